"""Comparisons, logic and tests of floating values: boolean results, no derivatives."""
