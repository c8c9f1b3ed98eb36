"""Softmax, log-softmax and the losses built on them."""
