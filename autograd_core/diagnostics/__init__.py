"""Seeing inside: instruments that look at derivatives and at the graph. Nothing in the engine imports them."""
