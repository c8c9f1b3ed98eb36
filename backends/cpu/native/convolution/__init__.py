"""Convolution and its gradients, direct and by Winograd's algorithm."""
