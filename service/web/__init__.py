"""The pages: files for a browser, built on the same HTTP contract as every other client."""
