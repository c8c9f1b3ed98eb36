"""Tensor as a value: every operator and method against NumPy, construction, conversion, description."""
