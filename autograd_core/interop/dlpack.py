"""Arrays of other libraries by DLPack, without a copy where they lie on a device of ours.

https://dmlc.github.io/dlpack/latest/python_spec.html. The way out is ``Tensor.__dlpack__``.
"""

from __future__ import annotations

from typing import Any

from ..backend import Device, devices, get_device
from ..errors import ArgumentError, DeviceError
from ..ops.casting import detach
from ..ops.creation import made
from ..primitive import Value

__all__ = ["from_dlpack"]


def from_dlpack(x: Any, /, *, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor of what another library's array holds, through ``x.__dlpack__()``; without gradient.

    device: by default the one where the array lies. copy: True always copies, None where the array has to move; False
    never, BufferError if that cannot be. Without a copy the memory is shared: do not write to it afterwards.
    Python array API standard.

    >>> import autograd_core as ag
    >>> import numpy as np
    >>> ag.from_dlpack(np.array([1.0, 2.0]))
    tensor([1., 2.], dtype=float64)
    """
    if not hasattr(x, "__dlpack__") or not hasattr(x, "__dlpack_device__"):
        raise ArgumentError(f"from_dlpack: {type(x).__name__} does not offer __dlpack__; write ag.asarray(x)")
    target = None if device is None else get_device(device)
    source = x.device if isinstance(x, Value) else _home(x, target)
    if target not in (None, source) and copy is False:
        raise BufferError(f"from_dlpack: {source} to {target} takes a copy, but copy=False forbids one")
    if isinstance(x, Value) and not copy:
        y = detach(x)
    else:
        y = made("from_dlpack", _taken(source, x, copy), device=source)
    return y if target is None else y.to(target)


def _taken(device: Device, x: Any, copy: bool | None) -> Any:
    """The array of another library as one of ``device``, by the array library that this computes with."""
    try:
        return device.xp.from_dlpack(x, copy=copy)
    except RuntimeError as error:  # a dtype that it does not know
        raise BufferError(
            f"from_dlpack: {type(x).__name__} of dtype {getattr(x, 'dtype', '?')} cannot be taken: {error} "
            "Convert it to a dtype that NumPy has first."
        ) from error


def _home(x: Any, preferred: Device | None) -> Device:
    """The device of ours where the array of another library lies: the one asked for, if that is it."""
    place = _place(x)
    usable = (get_device(row.name) for row in devices() if row.available)
    for device in filter(None, (preferred, get_device(), *usable)):
        probe = device.asarray(0)
        if hasattr(probe, "__dlpack_device__") and _place(probe) == place:
            return device
    raise DeviceError(
        f"from_dlpack: no device here holds arrays of DLPack's device {place}; copy the array to the host first"
    )


def _place(x: Any) -> tuple[int, int]:
    kind, index = x.__dlpack_device__()
    return int(kind), int(index)
