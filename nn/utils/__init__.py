"""Helpers beside the layers, where users of PyTorch look for them."""

from . import parametrizations, parametrize, rnn
from .vectors import parameters_to_vector, vector_to_parameters
