"""Incidents: alerts that belong together in time, topology and cause, and that a team handles as one."""
