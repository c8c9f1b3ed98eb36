"""Helpers beside the layers, where users of PyTorch look for them."""

from . import rnn
