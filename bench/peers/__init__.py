"""Those whom we race, one a module; run in an environment of their own."""
