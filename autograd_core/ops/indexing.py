"""Picking and placing elements: slices, integer and boolean indices, gather and scatter."""
