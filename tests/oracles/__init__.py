"""The same work done by others: what they computed is recorded, and can be computed again."""
