"""Choosing between values: where, minimum, maximum, clip."""
