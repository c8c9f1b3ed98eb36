"""Numbers of an optimizer that go where its parameters are: counts of steps, rates, scales."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.backend import Device
from autograd_core.tensor import Variable


def placed(value: float, dtype: Any, device: Device) -> Variable:
    """A variable with the value there; while a function is captured as well, of which it is no part."""
    return Variable(device.asarray(np.array(value, dtype)), device)


def number_in(variable: Variable) -> float | int | None:
    """The value of a 0-d variable; None while it is being computed by what a capture has begun."""
    data, backend = variable.data, variable.device.backend
    return backend.to_numpy(data).item() if isinstance(data, backend.array_types) else None
