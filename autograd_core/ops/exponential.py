"""Exponentials, logarithms, roots and the error function."""
