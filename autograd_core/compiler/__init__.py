"""Compiled functions: a program captured as a graph, simplified, fused, planned and handed to a backend."""
