"""The short way of scoring requests."""
