"""The schema's history, for Alembic. `backpropd migrate` brings a database to its newest state."""
