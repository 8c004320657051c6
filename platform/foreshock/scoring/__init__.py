"""The scoring loop: a worker for each job."""
