"""CuPy arrays on NVIDIA GPUs, every primitive by its own formula or by a kernel where CuPy needs one.

All work on a device goes to one stream of ours; nothing waits for the device but copies to the host, checks of values
that the host has to see, and ``synchronize``. Not yet run on hardware: proved over a strict stand-in for CuPy.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import cached_property, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from autograd_core.backend import Availability, Device, Kernel, get_device
from autograd_core.cuda import MemoryStats, OwnKernel
from autograd_core.errors import BackendUnavailableError
from autograd_core.ops.arithmetic import power_p
from autograd_core.ops.casting import transfer_p
from autograd_core.primitive import Primitive

from .attention_kernels import kernels as attention_kernels
from .availability import availability
from .compiler import compile_graph
from .convolution_kernels import kernels as convolution_kernels
from .indexing_kernels import kernels as indexing_kernels
from .memory import described, out_of_memory, stats
from .namespace import Formulas, Namespace
from .numba_kernels import kernel_of as own_kernel
from .pooling_kernels import kernels as pooling_kernels
from .product_kernels import kernels as product_kernels
from .queues import Queue
from .recurrent_kernels import kernels as recurrent_kernels

if TYPE_CHECKING:
    from autograd_core.compiler.ir import Graph
    from autograd_core.compiler.runner import Runner


class CudaBackend:
    """CuPy arrays on NVIDIA GPUs. Constructed anywhere; ``availability()`` says whether it can be used."""

    name = "cuda"

    def __init__(self) -> None:
        self._queues: dict[int, Queue] = {}
        self._own: set[Primitive] = set()  # users' kernels that have been asked for

    # -------------------------------------------------------------------------------- what there is

    @cached_property
    def _availability(self) -> Availability:
        return availability()

    @cached_property
    def _cupy(self) -> Any:
        if not self._availability:
            raise BackendUnavailableError(f"device {self.name!r} cannot be used here: {self._availability.reason}")
        return import_module("cupy")

    @cached_property
    def array_types(self) -> tuple[type, ...]:
        return (self._cupy.ndarray,) if self._availability else ()

    @cached_property
    def _formulas(self) -> Any:
        """What formulas are run with, where the stream is current."""
        return Formulas(self._cupy, self.queue)

    @cached_property
    def xp(self) -> Any:
        """The same functions for calls from elsewhere: each runs on the stream of its arrays' device."""
        return Namespace(self._formulas, self.queue, self._out_of_memory)

    def _out_of_memory(self, index: int, name: str, error: Exception) -> Exception:
        return out_of_memory(self._cupy, get_device(f"{self.name}:{index}"), name, error)

    def availability(self) -> Availability:
        return self._availability

    def device_count(self) -> int:
        return self._cupy.cuda.runtime.getDeviceCount() if self._availability else 0

    def queue(self, index: int) -> Queue:
        """The device with that index and its stream."""
        found = self._queues.get(index)
        return self._queues.setdefault(index, Queue(self._cupy, index)) if found is None else found

    # -------------------------------------------------------------------------------- arrays in and out

    def asarray(self, obj: Any, *, dtype: np.dtype | None, device: Device) -> Any:
        """A copy to the device goes through pinned memory, and the host does not wait for it."""
        cupy, queue = self._cupy, self.queue(device.index)
        if isinstance(obj, cupy.ndarray):
            self.queue(obj.data.device_id).after_current()  # other code may have made it, on its own stream
            if obj.data.device_id != device.index:
                return self._copied_across(obj, device.index, dtype)
            if dtype is None or dtype == obj.dtype:
                return obj
            with queue:
                return obj.astype(dtype)
        host = np.asarray(obj, dtype=dtype)
        host = host if host.dtype.isnative else host.astype(host.dtype.type)
        try:
            with queue:
                return cupy.asarray(host)
        except cupy.cuda.memory.OutOfMemoryError as error:
            what = f"a copy of {host.dtype}{list(host.shape)} to the device"
            raise out_of_memory(cupy, device, what, error) from None

    def to_numpy(self, array: Any) -> np.ndarray:
        """The host waits once, for the copy."""
        queue = self.queue(array.data.device_id)
        with queue:
            host = array.get(blocking=False)
            queue.wait()
        return host

    def to_dlpack(self, array: Any, **options: Any) -> Any:
        """``array.__dlpack__(**options)``, after the work that makes the array."""
        with self.queue(array.data.device_id):
            return array.__dlpack__(**options)

    def _copied_across(self, array: Any, index: int, dtype: np.dtype | None = None) -> Any:
        """A copy on another device: each device's stream waits for the other's, the host for neither."""
        source, target = self.queue(array.data.device_id), self.queue(index)
        with source:
            packed = array.copy(order="C")  # rows without gaps; alive until the copy that ``source`` waits for
        target.after(source)
        with target:
            copied = packed.copy() if dtype is None else packed.copy().astype(dtype, copy=False)
        source.after(target)
        return copied

    def synchronize(self, device: Device) -> None:
        self.queue(device.index).wait()

    def memory_stats(self, device: Device) -> MemoryStats:
        """How much of the device's memory is in use."""
        with self.queue(device.index):
            return stats(self._cupy)

    def waits(self, device: Device) -> int:
        """How often the host has waited for the device so far."""
        return self.queue(device.index).waits

    # -------------------------------------------------------------------------------- kernels

    @cached_property
    def _kernels(self) -> dict[Primitive, Callable[..., Any]]:
        return {
            **indexing_kernels(self._cupy, self.queue, self._formulas),
            **product_kernels(self._cupy, self.queue, self._formulas),
            **recurrent_kernels(self._cupy, self._formulas),
            **convolution_kernels(self._cupy, self._formulas),
            **attention_kernels(self._cupy, self._formulas),
            **pooling_kernels(self._cupy, self._formulas),
            power_p: self._power,
            transfer_p: lambda x, *, source, target: target.asarray(x if target.backend is self else self.to_numpy(x)),
        }

    def _power(self, x1: Any, x2: Any) -> Any:
        """Whole numbers to negative powers are refused, as by NumPy, for which the host waits; CuPy gives 0."""
        if x2.dtype.kind == "i" and x2.size:
            queue = self.queue(x2.data.device_id)
            negative = None if queue.stream.is_capturing() else (x2 < 0).any().get(blocking=False)
            if negative is not None:
                queue.wait()
                if negative:
                    raise ValueError("Integers to negative integer powers are not allowed.")
        return x1**x2

    def kernel(self, primitive: Primitive) -> Kernel | None:
        """The kernel or the formula, run on the device of its operands; None where the composed form is to run."""
        if not self._availability:
            return None
        run = self._known(primitive)
        if run is None:
            if primitive.forward is None:
                return None
            run = partial(primitive.forward, self._formulas)
        return self._queued(primitive, run)

    def _known(self, primitive: Primitive) -> Callable[..., Any] | None:
        """The kernel, if there is one."""
        if isinstance(primitive, OwnKernel) and primitive not in self._own:
            self._own.add(primitive)
            own = own_kernel(self._cupy, primitive)
            if own is not None:
                self._kernels[primitive] = own
        return self._kernels.get(primitive)

    def compile(
        self, graph: Graph, device: Device, name: str, updates: Mapping[int, int], variables: Collection[int]
    ) -> Runner | None:
        """CUDA C and library calls for a captured graph, enqueued as one CUDA graph where they can be."""
        queue = self.queue(device.index)
        for e in graph.equations:
            self._known(e.primitive)
        return compile_graph(self._cupy, queue, self._kernels, graph, device, name, updates, variables)

    def _queued(self, primitive: Primitive, run: Callable[..., Any]) -> Kernel:
        no_memory = self._cupy.cuda.memory.OutOfMemoryError
        queue_of, placed_by = self.queue, primitive.device_param or ""

        def kernel(*arrays: Any, **params: Any) -> Any:
            index = arrays[0].data.device_id if arrays else params[placed_by].index
            with queue_of(index):
                try:
                    return run(*arrays, **params)
                except no_memory as error:
                    refused = error
            raise out_of_memory(
                self._cupy, get_device(f"{self.name}:{index}"), described(primitive, arrays), refused, primitive
            ) from None

        kernel.reads_halves = getattr(run, "reads_halves", None)  # type: ignore[attr-defined]
        return kernel
