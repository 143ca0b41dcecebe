"""The service: HTTP in, one call, JSON out."""
