"""MLflow follows the study; the study never waits for MLflow."""
