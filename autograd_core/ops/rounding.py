"""Rounding to integers."""
