"""The worker: leases a job, turns the engine's crank, commits what comes out."""
