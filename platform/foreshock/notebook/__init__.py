"""The functions that notebooks call."""
