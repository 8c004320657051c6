"""Explanations: how much each feature drove a score."""
