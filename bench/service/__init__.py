"""The service over HTTP, beside MLflow and FastTrackML on the same machine."""
