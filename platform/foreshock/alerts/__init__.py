"""Alerts: from scored rows to something that people and receivers act on."""
