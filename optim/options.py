"""Options of optimizers and schedules, whatever kind of number they were given as."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.tensor import Tensor


def plain(value: Any) -> Any:
    """An option as Python's own number, where it is one of NumPy's: those would widen what they are multiplied with."""
    if isinstance(value, (tuple, list)) and any(isinstance(x, (np.generic, np.ndarray)) for x in value):
        return type(value)(plain(x) for x in value)
    is_number = isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.shape == ())
    return value.item() if is_number else value


def has_arrays(value: Any) -> bool:
    """Whether an option is, or holds, what has no one truth value when it is compared."""
    if isinstance(value, (tuple, list)):
        return any(isinstance(x, (Tensor, np.ndarray)) for x in value)
    return isinstance(value, (Tensor, np.ndarray))


def shown(value: Any) -> str:
    """What messages say of an option; of a tensor no value, since in a compiled function it has none yet."""
    return f"a tensor of shape {value.shape}" if isinstance(value, Tensor) else repr(value)
