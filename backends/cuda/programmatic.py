"""Kernels that may begin before the one before them has ended: programmatic dependent launch, of Hopper and later.

Between a kernel of a CUDA graph and the next lie one or two microseconds, in which the GPU waits for the first to end
and prepares the next. A kernel that is launched with this attribute is prepared meanwhile, and waits on the GPU
(``native/predecessors.cuh``). CuPy's launches have no attributes, so the driver is called directly; where it lacks what
is needed, kernels are launched in the usual way. Not yet run on hardware.

An attribute is set only where the launch comes after one kernel, and nothing else, in a capture: CUDA allows
programmatic edges between kernels alone, and a kernel that joins branches, or that comes after a copy, would leave to
the driver what becomes of its other edges. CUDA is asked what comes before, so libraries and CuPy's own calls may
launch what they like in between: a kernel of another's has ended when the wait for it has, whatever it was launched
with. Kernels whose blocks wait for one another are not launched through here: nothing says what becomes of a
cooperative launch with this attribute, and they let nothing begin before they end.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from ctypes import (
    CDLL,
    POINTER,
    Structure,
    Union,
    addressof,
    byref,
    c_char,
    c_int,
    c_size_t,
    c_uint,
    c_uint64,
    c_void_p,
    pointer,
)
from functools import lru_cache
from typing import Any

from .native import Launch

log = logging.getLogger("autograd_core.cuda")
OLDEST_GPU = 9  # its compute capability's first number
OLDEST_DRIVER = 12030  # knows programmatic edges of graphs
LIBRARY = "libcuda.so.1"
PROGRAMMATIC_STREAM_SERIALIZATION = 6  # CUlaunchAttributeID
KERNEL = 0  # CUgraphNodeType
CAPTURING = 1  # CUstreamCaptureStatus


class _Value(Union):
    _fields_ = [("programmatic_stream_serialization_allowed", c_int), ("pad", c_char * 64)]


class _Attribute(Structure):
    """CUlaunchAttribute."""

    _fields_ = [("id", c_int), ("pad", c_char * 4), ("value", _Value)]


class _Config(Structure):
    """CUlaunchConfig."""

    _fields_ = [
        ("grid", c_uint * 3),
        ("block", c_uint * 3),
        ("shared", c_uint),
        ("stream", c_void_p),
        ("attributes", POINTER(_Attribute)),
        ("count", c_uint),
    ]


_ARGUMENTS = {
    "cuDriverGetVersion": [POINTER(c_int)],
    "cuLaunchKernelEx": [POINTER(_Config), c_void_p, POINTER(c_void_p), c_void_p],
    # stream; status, number, graph, nodes, what is known of the edges from them, and how many, of the capture
    "cuStreamGetCaptureInfo_v3": [c_void_p, *[c_void_p] * 5, POINTER(c_size_t)],
    "cuGraphNodeGetType": [c_void_p, POINTER(c_int)],
}


class Unsupported(Exception):
    """Why kernels are launched in the usual way."""


class Programmatic:
    """Launches on whatever device is current. Unsupported where the driver lacks something.

    library: the driver's functions.
    """

    def __init__(self, library: Any):
        self._library = library
        for name, arguments in _ARGUMENTS.items():
            try:
                function = getattr(library, name)
            except AttributeError:
                raise Unsupported(f"the driver has no {name}") from None
            function.argtypes, function.restype = arguments, c_int
        version = c_int()
        if library.cuDriverGetVersion(byref(version)) or version.value < OLDEST_DRIVER:
            raise Unsupported(f"the driver knows CUDA {version.value // 1000}.{version.value % 1000 // 10}, not 12.3")

    def launch(self, function: Any, launch: Launch, arguments: Sequence[Any], stream: int) -> None:
        """Enqueue a kernel of CuPy's on arrays, to begin early if what it comes after in a capture is a kernel."""
        if not self._follows_a_kernel(stream):
            function((launch.grid,), (launch.block,), tuple(arguments), shared_mem=launch.shared)
            return
        attribute = _Attribute(PROGRAMMATIC_STREAM_SERIALIZATION)
        attribute.value.programmatic_stream_serialization_allowed = 1
        config = _Config((launch.grid, 1, 1), (launch.block, 1, 1), launch.shared, stream, pointer(attribute), 1)
        addresses = (c_uint64 * len(arguments))(*(a.data.ptr for a in arguments))
        first = addressof(addresses)
        places = (c_void_p * len(arguments))(*(first + 8 * i for i in range(len(arguments))))
        status = self._library.cuLaunchKernelEx(byref(config), function.kernel.ptr, places, None)
        if status:
            raise RuntimeError(f"cuLaunchKernelEx of {launch.entry}: status {status}")

    def _follows_a_kernel(self, stream: int) -> bool:
        """Whether the capture's next node comes after one kernel, in the usual way, and after nothing else."""
        status, nodes, edges, count = c_int(), POINTER(c_void_p)(), POINTER(c_uint64)(), c_size_t()
        refused = self._library.cuStreamGetCaptureInfo_v3(
            stream, byref(status), None, None, byref(nodes), byref(edges), byref(count)
        )
        if refused or status.value != CAPTURING or count.value != 1 or (edges and edges[0]):
            return False
        kind = c_int()
        return not self._library.cuGraphNodeGetType(nodes[0], byref(kind)) and kind.value == KERNEL


def load() -> Any:
    """The driver's library, which is there where CuPy has found a GPU."""
    return CDLL(LIBRARY)


@lru_cache(None)
def _found(index: int, major: int) -> Programmatic | None:
    try:
        if major < OLDEST_GPU:
            raise Unsupported(f"a GPU of compute capability {major}.x has no such launches")
        return Programmatic(load())
    except (Unsupported, OSError) as error:
        log.info("cuda:%d: no kernel begins before the one before it has ended: %s", index, error)
        return None


def programmatic(cupy: Any, index: int) -> Programmatic | None:
    """None, said once by the log, where the GPU or its driver cannot."""
    return _found(index, cupy.cuda.runtime.getDeviceProperties(index)["major"])
