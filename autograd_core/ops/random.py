"""Random tensors from a counter-based generator."""
