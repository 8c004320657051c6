"""Entities of jobs, as people see them."""
