"""Reproducible random tensors, with the same bits on every device: ``ag.random.normal((2, 3))``.

>>> import autograd_core as ag
>>> with ag.random.fork(0):
...     ag.random.uniform((2,)), ag.random.uniform((2,))
(tensor([0.39904642, 0.88052016]), tensor([0.5166791 , 0.93965805]))
"""

from .ops.random import *  # noqa: F403 (its __all__ is the list)
