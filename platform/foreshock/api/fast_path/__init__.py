"""The fast path of scoring requests."""
