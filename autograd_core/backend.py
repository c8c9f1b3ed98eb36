"""Where arrays live: the Backend protocol, devices, and the lazy registry.

A backend is found by name through the entry-point group ``autograd_core.backends`` (ours and anyone's alike), and
loaded on first use. A namespace of array functions makes a working backend; kernels are overrides for
single primitives. Nothing here imports an array library other than NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from . import context
from .errors import BackendUnavailableError, DeviceError

if TYPE_CHECKING:
    from .primitive import Primitive

Kernel = Callable[..., Any]
ENTRY_POINT_GROUP = "autograd_core.backends"


class Availability(NamedTuple):
    """Whether a backend works here; if not, ``reason`` says why in words."""

    available: bool
    reason: str = ""

    def __bool__(self) -> bool:
        return self.available


@runtime_checkable
class Backend(Protocol):
    """What a backend provides. Arrays are of ``array_types[0]``; others in it are accepted as input."""

    name: str
    array_types: tuple[type, ...]

    @property
    def xp(self) -> Any:
        """The array namespace (numpy, cupy, ...) that a primitive's formula is run with."""

    def availability(self) -> Availability:
        """Whether the backend works on this machine, or the reason why not."""

    def device_count(self) -> int:
        """How many devices ``name:0``, ``name:1``, ... there are."""

    def asarray(self, obj: Any, *, dtype: np.dtype | None, device: Device) -> Any:
        """``obj`` as an array of this backend on ``device``."""

    def to_numpy(self, array: Any) -> np.ndarray:
        """``array`` on the host."""

    def synchronize(self, device: Device) -> None:
        """Wait for all work queued on ``device``."""

    def kernel(self, primitive: Primitive) -> Kernel | None:
        """An override ``kernel(*arrays, **params) -> array`` for one primitive, or None for its own formula.

        Operands of half precision are cast to float32 around it, unless its attribute ``reads_halves``, a function of
        the operands as tensors and the parameters, says that it computes with them as they are.
        """


class KernelTable(dict):
    """primitive -> the function ``run(xp, *arrays, **params)`` for one backend; filled on first use.

    A primitive's formula stands here as it is, so that running it costs one plain call; None if it has neither formula
    nor kernel.
    """

    def __init__(self, backend: Backend):
        super().__init__()
        self.backend = backend

    def __missing__(self, primitive: Primitive) -> Kernel | None:
        kernel = self.backend.kernel(primitive)
        run = primitive.forward if kernel is None else _without_namespace(kernel)
        self[primitive] = run
        return run


def _without_namespace(kernel: Kernel) -> Kernel:
    def run(xp: Any, *arrays: Any, **params: Any) -> Any:
        return kernel(*arrays, **params)

    run.reads_halves = getattr(kernel, "reads_halves", None)  # type: ignore[attr-defined]
    return run


def reads_halves(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> bool:
    """Whether the kernel of the operands' device computes with halves as they are."""
    reads = getattr(operands[0].device.kernels[primitive], "reads_halves", None)
    return reads is not None and reads(*operands, **params)


class Device:
    """One device of a backend; ``str(device)`` is the name that ``device=`` takes."""

    __slots__ = ("__weakref__", "array_type", "backend", "index", "kernels", "xp")

    def __init__(self, backend: Backend, index: int, kernels: KernelTable):
        self.backend = backend
        self.index = index
        self.kernels = kernels
        self.xp = backend.xp
        self.array_type = backend.array_types[0]

    def __str__(self) -> str:
        return f"{self.backend.name}:{self.index}" if self.index else self.backend.name

    def __repr__(self) -> str:
        return f"Device({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        """Equal to itself and to its name, so ``x.device == "cuda:1"`` works."""
        return self is other or (isinstance(other, str) and other in (str(self), f"{self.backend.name}:{self.index}"))

    def __hash__(self) -> int:
        return hash(str(self))

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy of a device is the device: operands are on one device if theirs is the same object."""
        return get_device, (str(self),)

    def asarray(self, obj: Any, dtype: np.dtype | None = None) -> Any:
        return self.backend.asarray(obj, dtype=dtype, device=self)

    def synchronize(self) -> None:
        self.backend.synchronize(self)


class DeviceInfo(NamedTuple):
    """A row of ``ag.devices()``."""

    name: str
    available: bool
    reason: str


@cache
def _entry_points() -> dict[str, list[Any]]:
    """name -> what is registered under it, first the one that counts: this package's own, else the path's first."""
    from importlib.metadata import entry_points  # costs as much as a third of NumPy's import: only when asked

    found: dict[str, list[Any]] = {}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        found.setdefault(point.name, []).append(point)
    for points in found.values():
        if len(points) > 1:
            points.sort(key=lambda point: _package_of(point) != __package__.replace("_", "-"))
    return found


def _package_of(point: Any) -> str:
    return "an unnamed package" if point.dist is None else point.dist.name


_BACKENDS: dict[str, Backend] = {}
_DEVICES: dict[str, Device] = {}
_REGISTERING = RLock()  # two threads that ask first must get the same device


def load_backend(name: str) -> Backend:
    """The backend registered under ``name``, constructed once, available or not.

    DeviceError if nothing has that name; BackendUnavailableError if what has it cannot be loaded.
    """
    with _REGISTERING:
        if name not in _BACKENDS:
            _BACKENDS[name] = _load(name)
        return _BACKENDS[name]


def _load(name: str) -> Backend:
    try:
        point = _entry_points()[name][0]
    except KeyError:
        known = ", ".join(sorted(_entry_points())) or "none (is the package installed? try: pip install -e .)"
        raise DeviceError(f"no backend is named {name!r}; registered are: {known}") from None
    try:
        backend = point.load()()
        own_name = backend.name
    except Exception as error:
        raise BackendUnavailableError(
            f"backend {name!r} ({point.value} of {_package_of(point)}) failed to load: {type(error).__name__}: {error}"
        ) from error
    if own_name != name:
        raise BackendUnavailableError(f"backend {name!r} ({point.value}) calls itself {own_name!r}: names must agree")
    return backend


def _ask(name: str, question: str) -> Any:
    """What backend ``name`` answers to a method without arguments; BackendUnavailableError if it raises instead."""
    backend = load_backend(name)
    try:
        return getattr(backend, question)()
    except Exception as error:
        raise BackendUnavailableError(
            f"backend {name!r} failed in {question}(): {type(error).__name__}: {error}"
        ) from error


def _availability(name: str) -> Availability:
    answer = _ask(name, "availability")
    if not isinstance(answer, Availability):
        raise BackendUnavailableError(f"backend {name!r}: availability() must return an Availability, got {answer!r}")
    if answer and _count(name) < 1:
        return Availability(False, "the backend counts no devices")
    return answer


def _count(name: str) -> int:
    count = _ask(name, "device_count")
    if not isinstance(count, int):
        raise BackendUnavailableError(f"backend {name!r}: device_count() must return an int, got {count!r}")
    return count


def _device(name: str) -> Device:
    with _REGISTERING:
        if name not in _DEVICES:
            _DEVICES[name] = _find_device(name)
        return _DEVICES[name]


def _find_device(name: str) -> Device:
    backend_name, colon, index_text = name.partition(":")
    availability = _availability(backend_name)
    if not availability:
        raise BackendUnavailableError(f"device {name!r} cannot be used here: {availability.reason}")
    if colon and not index_text.isdecimal():
        raise DeviceError(f"device {name!r}: write the backend's name or name:index, such as '{backend_name}:0'")
    index, count = int(index_text or 0), _count(backend_name)
    if index >= count:
        last = f" to '{backend_name}:{count - 1}'" if count > 1 else ""
        raise DeviceError(
            f"device {name!r} does not exist: {backend_name} has {count} device(s), '{backend_name}:0'{last}"
        )
    canonical = f"{backend_name}:{index}" if index else backend_name
    if canonical != name:
        return _device(canonical)
    siblings = [device.kernels for device in _DEVICES.values() if device.backend.name == backend_name]
    backend = load_backend(backend_name)
    return Device(backend, index, siblings[0] if siblings else KernelTable(backend))


def get_device(device: str | Device | None = None) -> Device:
    """The device named, or the default device of the context."""
    if isinstance(device, Device):
        return device
    if device is None:
        device = context.current().device
    if not isinstance(device, str):
        raise DeviceError(f"a device is a name such as 'cpu' or 'cuda:1', got {device!r}")
    return _DEVICES.get(device) or _device(device)


def devices() -> list[DeviceInfo]:
    """Every registered device: usable or not, and why not.

    >>> import autograd_core as ag
    >>> [d.available for d in ag.devices() if d.name == "cpu"]
    [True]
    """
    rows = []
    for name, points in sorted(_entry_points().items()):
        rows += _rows(name)
        rows += [
            DeviceInfo(name, False, f"the name is taken: {_package_of(points[0])} comes before {_package_of(point)}")
            for point in points[1:]
        ]
    return rows


def _rows(name: str) -> list[DeviceInfo]:
    try:
        availability = _availability(name)
        count = _count(name) if availability else 1
    except BackendUnavailableError as error:  # a broken plug-in must not hide the devices that work
        return [DeviceInfo(name, False, str(error))]
    return [DeviceInfo(f"{name}:{i}" if i else name, bool(availability), availability.reason) for i in range(count)]
