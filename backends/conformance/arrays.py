"""Checks of arrays: into a backend, out of it, between two of them."""

from __future__ import annotations

import numpy as np

import autograd_core as ag
from autograd_core.backend import Device, get_device
from autograd_core.errors import DeviceError

from .coverage import primitives
from .requirements import Nonconformance, raised, require, same

DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)


def _examples(dtype: np.dtype) -> dict[str, np.ndarray]:
    """Arrays of every layout that may come in."""
    values = np.arange(24).reshape(2, 3, 4) % 2 if dtype.kind == "b" else np.arange(24).reshape(2, 3, 4)
    base = (values * (1 - 2j) if dtype.kind == "c" else -values if dtype.kind == "f" else values).astype(dtype)
    frozen = base.copy()
    frozen.flags.writeable = False
    return {
        "3-d": base,
        "0-d": base[1, 2, 3].reshape(()),
        "zero-size": base[:, :0],
        "read-only": frozen,
        "Fortran-ordered": np.asfortranarray(base),
        "strided": base[:, ::2, 1::2],
        "reversed": base[::-1, :, ::-1],
        "broadcast": np.broadcast_to(base[0, 0], (3, 4)),
        "transposed": base.T,
        "unaligned": np.frombuffer(b"\0" + base.tobytes(), np.uint8)[1:].view(dtype),
        "of the other byte order": base.astype(dtype.newbyteorder()),
    }


def round_trip(device: Device, dtype: np.dtype) -> None:
    backend = device.backend
    for layout, given in _examples(dtype).items():
        kept = given.copy()
        array = backend.asarray(given, dtype=None, device=device)
        what = f"asarray of a {layout} {dtype} array"
        require(type(array) is device.array_type, f"{what} must be a {device.array_type}, is a {type(array)}")
        require(tuple(array.shape) == given.shape, f"{what} of shape {given.shape} has shape {array.shape}")
        require(array.dtype == dtype, f"{what} has dtype {array.dtype}")
        back = backend.to_numpy(array)
        require(type(back) is np.ndarray, f"to_numpy must give a numpy.ndarray, gave {type(back)}")
        same(back, kept.astype(dtype), what)
        same(given, kept, f"the input of {what}, which must not change")
        again = backend.asarray(array, dtype=None, device=device)
        require(type(again) is device.array_type, "asarray of its own array must be its own array")
        same(backend.to_numpy(again), kept.astype(dtype), f"asarray of {what}")


def conversion(device: Device) -> None:
    backend = device.backend
    for value in (True, 3, 2.5, np.float32(1.5), np.int64(-3), np.array([1, 2])):
        for dtype in ("float32", "float64", "int32", "complex64"):
            array = backend.asarray(value, dtype=np.dtype(dtype), device=device)
            require(type(array) is device.array_type, f"asarray({value!r}) must be a {device.array_type}")
            same(backend.to_numpy(array), np.asarray(value).astype(dtype), f"asarray({value!r}, dtype={dtype})")
    for other in backend.array_types[1:]:
        require(isinstance(other, type), f"array_types must be types, got {other!r}")


def synchronization(device: Device) -> None:
    x = ag.ones((64, 64), device=device)
    y = x @ x
    device.synchronize()
    same(y.numpy(), np.full((64, 64), 64, np.float32), "a product after synchronize()")


def _another(device: Device) -> Device:
    names = (row.name for row in ag.devices() if row.available and row.name != str(device))
    return get_device(next(names, str(device)))


def transfers(device: Device) -> None:
    here, there = ag.tensor([1.0, 2.0], device=device, requires_grad=True), _another(device)
    moved = here.to(there)
    require(moved.device is there, f"x.to({str(there)!r}) must lie there")
    (moved * moved).to(device).sum().backward()
    found = here.grad
    if found is None or found.device is not device:
        raise Nonconformance("the gradient of a moved tensor must come back to its device")
    same(found.numpy(), np.array([2, 4], np.float32), "the gradient of a moved tensor")


def mixed_devices(device: Device) -> None:
    other = _another(device)
    if other is device:
        return
    here, there = ag.ones(2, device=device), ag.ones(2, device=other)
    for attempt in (lambda: here + there, lambda: there @ here, lambda: ag.concat([here, there])):
        words = str(raised(DeviceError, attempt))
        require(f"on {device}" in words and f"on {other}" in words, f"the error {words!r} must name both devices")


def kernels(device: Device) -> None:
    for p in primitives():
        kernel = device.backend.kernel(p)
        require(kernel is None or callable(kernel), f"kernel({p.name}) must be None or a function, got {kernel!r}")
