"""Forecasts, and alerts on resources that run out."""
