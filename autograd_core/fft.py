"""Discrete Fourier transforms, differentiable: ``ag.fft.rfft(x)``, under the names of NumPy and the array API standard.

>>> import autograd_core as ag
>>> x = ag.tensor([1.0, 2.0, 1.0, 2.0], requires_grad=True)
>>> ag.abs(ag.fft.rfft(x))[2].backward()
>>> x.grad
tensor([-1.,  1., -1.,  1.])
"""

from .ops.fft import *  # noqa: F403 (its __all__ is the list)
