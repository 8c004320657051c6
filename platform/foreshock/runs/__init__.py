"""Runs of jobs: training, tuning, forecasts."""
