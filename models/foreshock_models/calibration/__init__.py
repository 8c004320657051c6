"""Calibration: raw scores to scores on one scale, on which 1.0 is the alert line that a budget sets."""
