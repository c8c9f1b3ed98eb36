"""Device memory: how much is in use, and the error that says what holds it when there is no more."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from autograd_core.backend import Device
from autograd_core.cuda import MemoryStats
from autograd_core.diagnostics.live import LiveTensor, live_tensors
from autograd_core.diagnostics.origins import Call, Paths
from autograd_core.errors import OutOfMemoryError
from autograd_core.primitive import Primitive

LISTED = 8


def stats(cupy: Any) -> MemoryStats:
    """Of the current device."""
    pool = cupy.get_default_memory_pool()
    free, total = cupy.cuda.runtime.memGetInfo()
    return MemoryStats(pool.used_bytes(), pool.total_bytes(), pool.get_limit(), free, total)


@contextmanager
def memory_for(cupy: Any, device: Device, what: str) -> Iterator[None]:
    """What is done inside is told by that name when CuPy finds no memory for it."""
    try:
        yield
        return
    except cupy.cuda.memory.OutOfMemoryError as error:
        refused = error
    raise out_of_memory(cupy, device, what, refused) from None


def out_of_memory(
    cupy: Any, device: Device, what: str, error: Exception, primitive: Primitive | None = None
) -> OutOfMemoryError:
    """The error for ``what``, which found no memory: where it was called, and the largest tensors that are alive."""
    memory = stats(cupy)
    used, room, free = (amount(n) for n in (memory.in_use, memory.limit or memory.total, memory.free))
    where = "" if primitive is None else f", {_place(primitive)}"
    held = live_tensors(device)
    lines = [
        f"{device}: out of memory in {what}{where}: {error}",
        f"{used} of {room} are in use, {free} are free.",
        f"The largest of {len(held)} live tensors:" if held else "No live tensor holds any of it.",
        *[f"  {line(tensor)}" for tensor in held[:LISTED]],
        "Make the batch smaller, wrap parts of the model in ag.checkpoint, or drop tensors that are no longer needed.",
    ]
    if any(tensor.node and not tensor.place for tensor in held[:LISTED]):
        lines.append("Inside ag.record_origins() the lines and modules that made the tensors are named too.")
    return OutOfMemoryError("\n".join(lines))


def _place(primitive: Primitive) -> str:
    """The line and the module that called the operation, from the stack."""
    origin = Call(sys._getframe(1)).origin(primitive.name, Paths())
    inside = f", in module {origin.within}" if origin.within else ""
    return f"called at {origin.place}{inside}"


def line(tensor: LiveTensor) -> str:
    what = f"{amount(tensor.nbytes):>9}  {tensor.dtype}{list(tensor.shape)}  {tensor.what}"
    return f"{what}, {tensor.place}" if tensor.place else what


def amount(nbytes: int) -> str:
    size, unit = float(nbytes), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def described(primitive: Primitive, arrays: Sequence[Any]) -> str:
    """``matmul of float32[8, 4], float32[4, 2]``"""
    given = ", ".join(f"{x.dtype}{list(x.shape)}" for x in arrays)
    return f"{primitive.name} of {given}" if given else primitive.name
