"""Convolutions of one and two dimensions."""
