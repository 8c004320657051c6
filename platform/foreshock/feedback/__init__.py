"""Feedback of people on alerts."""
