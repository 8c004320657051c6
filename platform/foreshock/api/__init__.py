"""The HTTP API: one Ray Serve application of an ingress, scorers and explainers."""
