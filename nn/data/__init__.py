"""Datasets and the loader that batches them."""
