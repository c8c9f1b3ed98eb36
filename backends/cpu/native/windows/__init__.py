"""Sliding windows: pooling, unfolding, resampling."""
