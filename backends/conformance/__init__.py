"""What every backend must do, as a suite that anyone can run on theirs.

    from autograd_core.backends import conformance
    print(conformance.run("numpy"))               # or: python -m autograd_core.backends.conformance numpy

    @pytest.mark.parametrize("check", conformance.checks("numpy"), ids=str)
    def test_conformance(check):
        check()

"numpy", where every primitive runs by its own formula, is what the others are compared with: integers, booleans and
random numbers exactly, floating values to rounding. ``docs/backends.md`` says how to write a backend.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, NamedTuple

import numpy as np

import autograd_core as ag
from autograd_core import context, ops, primitive
from autograd_core.backend import Availability, Device, get_device, load_backend
from autograd_core.errors import AutogradError, BackendUnavailableError, DeviceError, DTypeError, ShapeError
from autograd_core.primitive import Elementwise, Primitive, bind

from .conformance_cases import CASES, DRAWS, Case

__all__ = ["Case", "Check", "Nonconformance", "Report", "checks", "primitives", "run"]

REFERENCE = "numpy"
DTYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
TOLERANCE = {"float16": 5e-3, "float32": 2e-5, "complex64": 2e-5}  # relative; 1e-11 for those of 64 bits a number


class Nonconformance(AssertionError):
    """A backend does not do what the protocol or the reference says."""


class Check(NamedTuple):
    """One requirement; calling it raises Nonconformance (or whatever the backend raised) if it is not met."""

    name: str
    body: Callable[[], None]

    def __call__(self) -> None:
        with np.errstate(all="ignore"):
            self.body()

    def __str__(self) -> str:
        return self.name


class Report(NamedTuple):
    """What ``run`` found. ``unreached``: primitives that no case ran; give more cases to cover them."""

    backend: str
    passed: list[str]
    failed: dict[str, BaseException]
    unreached: list[str]
    reason: str

    @property
    def ok(self) -> bool:
        return not self.failed

    def __str__(self) -> str:
        lines = [f"backend {self.backend!r}: {len(self.passed)} checks passed, {len(self.failed)} failed"]
        if self.reason:
            lines.append(f"  not run further: it is unavailable here: {self.reason}")
        lines += [f"  {name}: {type(e).__name__}: {e}" for name, e in self.failed.items()]
        if self.unreached:
            lines.append(f"  not reached by any case: {', '.join(self.unreached)}")
        return "\n".join(lines)


def run(name: str, cases: Iterable[Case] = ()) -> Report:
    """Every check of ``checks(name, cases)``, in order.

    >>> from autograd_core.backends import conformance
    >>> conformance.run("numpy").ok
    True
    """
    reason = "" if (availability := load_backend(name).availability()) else availability.reason
    passed, failed = [], {}
    with _recorded() as reached:
        for check in checks(name, cases):
            try:
                check()
            except Exception as error:
                failed[check.name] = error
            else:
                passed.append(check.name)
    unreached = [] if reason else sorted(p.name for p in primitives() if p not in reached)
    return Report(name, passed, failed, unreached, reason)


def checks(name: str, cases: Iterable[Case] = ()) -> list[Check]:
    """The requirements on backend ``name``, each a callable with a name; ``cases`` are run beside the built-in ones.

    Of a backend that is unavailable only this is required: that it says why.
    """
    backend = load_backend(name)
    found = [Check("protocol", partial(_protocol, name)), Check("availability", partial(_availability, name))]
    if not backend.availability():
        return [*found, Check("refusal", partial(_refusal, name))]
    devices = [get_device(f"{name}:{i}") for i in range(backend.device_count())]
    found.append(Check("devices", partial(_devices, name)))
    for device in devices:
        add = partial(_add, found, device)
        for dtype in DTYPES:
            add(f"round trip of {dtype}", _round_trip, np.dtype(dtype))
        add("conversion", _conversion)
        add("synchronization", _synchronization)
        add("transfers", _transfers)
        add("mixed devices", _mixed_devices)
        add("kernels", _kernels)
        for p in primitives():
            if isinstance(p, Elementwise) and not p.forward.__code__.co_kwonlyargcount:
                add(f"formula of {p.name}", _formula, p)
        for case in (*CASES, *cases):
            add(f"values of {case.name}", _values, case)
            add(f"gradients of {case.name}", _gradients, case)
        for draw, make in DRAWS.items():
            add(f"bits of {draw}", _bits, make)
        for mistake, (error, attempt) in MISTAKES.items():
            add(f"error for {mistake}", _error, error, attempt)
    return found


def _add(found: list[Check], device: Device, name: str, body: Callable[..., None], *args: Any) -> None:
    where = f" on {device}" if device.index else ""
    found.append(Check(name + where, partial(body, device, *args)))


def primitives() -> list[Primitive]:
    """Every primitive that the operations define, by name."""
    modules = [primitive, *(import_module(f"{ops.__name__}.{m.name}") for m in iter_modules(ops.__path__))]
    found = {value for module in modules for value in vars(module).values() if isinstance(value, Primitive)}
    return sorted(found, key=lambda p: p.name)


class _Recorder:
    """An interpreter that notes which primitives it passes on."""

    def __init__(self, base: Any):
        self.base = base.base
        self.reached: set[Primitive] = set()

    def run(self, p: Primitive, inputs: Sequence[Any], params: dict[str, Any]) -> Any:
        self.reached.add(p)
        return self.base.run(p, inputs, params)


@contextmanager
def _recorded() -> Iterator[set[Primitive]]:
    recorder = _Recorder(context.current().interpreter)
    with context.scope(interpreter=recorder):
        yield recorder.reached


# ------------------------------------------------------------------------------------------ the protocol


def _require(condition: Any, message: str) -> None:
    if not condition:
        raise Nonconformance(message)


def _protocol(name: str) -> None:
    backend = load_backend(name)
    _require(backend.name == name, f"is registered as {name!r} but calls itself {backend.name!r}")
    _require(name.isidentifier(), f"the name {name!r} must be an identifier: device names are name:index")
    for method in ("availability", "device_count", "asarray", "to_numpy", "synchronize", "kernel"):
        _require(callable(getattr(backend, method, None)), f"{method} must be a method")
    types = backend.array_types
    _require(type(types) is tuple and all(isinstance(t, type) for t in types), "array_types must be a tuple of types")
    _require(load_backend(name) is backend, "is constructed once")


def _availability(name: str) -> None:
    answer = load_backend(name).availability()
    _require(isinstance(answer, Availability), f"availability() must return an Availability, got {answer!r}")
    _require(isinstance(answer.reason, str), f"the reason must be words, got {answer.reason!r}")
    _require(answer.available or len(answer.reason.split()) > 2, "says that it is unavailable, but not why in words")
    rows = [row for row in ag.devices() if row.name.partition(":")[0] == name]
    _require(rows and rows[0].available == answer.available, "ag.devices() must say what availability() says")


def _refusal(name: str) -> None:
    reason = load_backend(name).availability().reason
    error = _raised(BackendUnavailableError, lambda: ag.zeros(2, device=name))
    _require(reason in str(error), f"the error {str(error)!r} must give the reason {reason!r}")


def _devices(name: str) -> None:
    backend = load_backend(name)
    count = backend.device_count()
    _require(type(count) is int and count >= 1, f"device_count() must be a positive int, got {count!r}")
    _require(len(backend.array_types) >= 1, "array_types must name the type of its arrays")
    for i in range(count):
        device = get_device(f"{name}:{i}")
        _require(device is get_device(str(device)), f"{device} must be one object")
        _require(copy.deepcopy(device) is device, f"a copy of {device} must be itself")
        _require(ag.zeros(2, device=device).device is device, f"a tensor made on {device} must say so")
    error = _raised(DeviceError, lambda: ag.zeros(2, device=f"{name}:{count}"))
    _require(f"{name}:{count}" in str(error), "an index out of range must be named")


# -------------------------------------------------------------------------------------------- arrays


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


def _round_trip(device: Device, dtype: np.dtype) -> None:
    backend = device.backend
    for layout, given in _examples(dtype).items():
        kept = given.copy()
        array = backend.asarray(given, dtype=None, device=device)
        what = f"asarray of a {layout} {dtype} array"
        _require(type(array) is device.array_type, f"{what} must be a {device.array_type}, is a {type(array)}")
        _require(tuple(array.shape) == given.shape, f"{what} of shape {given.shape} has shape {array.shape}")
        _require(array.dtype == dtype, f"{what} has dtype {array.dtype}")
        back = backend.to_numpy(array)
        _require(type(back) is np.ndarray, f"to_numpy must give a numpy.ndarray, gave {type(back)}")
        _same(back, kept.astype(dtype), what)
        _same(given, kept, f"the input of {what}, which must not change")
        again = backend.asarray(array, dtype=None, device=device)
        _require(type(again) is device.array_type, "asarray of its own array must be its own array")
        _same(backend.to_numpy(again), kept.astype(dtype), f"asarray of {what}")


def _conversion(device: Device) -> None:
    backend = device.backend
    for value in (True, 3, 2.5, np.float32(1.5), np.int64(-3), np.array([1, 2])):
        for dtype in ("float32", "float64", "int32", "complex64"):
            array = backend.asarray(value, dtype=np.dtype(dtype), device=device)
            _require(type(array) is device.array_type, f"asarray({value!r}) must be a {device.array_type}")
            _same(backend.to_numpy(array), np.asarray(value).astype(dtype), f"asarray({value!r}, dtype={dtype})")
    for other in backend.array_types[1:]:
        _require(isinstance(other, type), f"array_types must be types, got {other!r}")


def _synchronization(device: Device) -> None:
    x = ag.ones((64, 64), device=device)
    y = x @ x
    device.synchronize()
    _same(y.numpy(), np.full((64, 64), 64, np.float32), "a product after synchronize()")


def _transfers(device: Device) -> None:
    here, there = ag.tensor([1.0, 2.0], device=device, requires_grad=True), get_device(REFERENCE)
    moved = here.to(there)
    _require(moved.device is there, f"x.to({str(there)!r}) must lie there")
    (moved * moved).to(device).sum().backward()
    _require(here.grad.device is device, "the gradient of a moved tensor must come back to its device")
    _same(here.grad.numpy(), np.array([2, 4], np.float32), "the gradient of a moved tensor")


def _mixed_devices(device: Device) -> None:
    other = next((row.name for row in ag.devices() if row.available and row.name != str(device)), None)
    if other is None:
        return
    here, there = ag.ones(2, device=device), ag.ones(2, device=other)
    for attempt in (lambda: here + there, lambda: there @ here, lambda: ag.concat([here, there])):
        error = _raised(DeviceError, attempt)
        _require(str(device) in str(error) and other in str(error), f"the error {str(error)!r} must name both devices")


def _kernels(device: Device) -> None:
    for p in primitives():
        kernel = device.backend.kernel(p)
        _require(kernel is None or callable(kernel), f"kernel({p.name}) must be None or a function, got {kernel!r}")


# ------------------------------------------------------------------------------------------- values

Results = list[np.ndarray] | type[AutogradError]


def _evaluate(device: Any, fn: Callable[..., Any], operands: Sequence[np.ndarray]) -> Results:
    """The results as NumPy arrays, or the class of our error."""
    tensors = [ag.asarray(x, device=device) for x in operands]
    with ag.default_device(str(device)):
        try:
            y = fn(*tensors)
        except AutogradError as error:
            return type(error)
    for t in y if isinstance(y, (tuple, list)) else [y]:
        _require(t.device is get_device(device), f"the result must lie on {device}, lies on {t.device}")
    return [t.numpy() for t in (y if isinstance(y, (tuple, list)) else [y])]


def _compare(found: Results, expected: Results, what: str) -> None:
    if isinstance(expected, type) or isinstance(found, type):
        _require(found is expected, f"{what} must be {_named(expected)}, is {_named(found)}")
        return
    _require(len(found) == len(expected), f"{what}: {len(found)} results instead of {len(expected)}")
    for i, (a, e) in enumerate(zip(found, expected, strict=True)):
        _close(a, e, f"{what}, result {i}" if len(expected) > 1 else what)


def _named(results: Results) -> str:
    return results.__name__ if isinstance(results, type) else "a value"


def _close(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    """Equal shape and dtype; floating values equal to within rounding of the largest of them."""
    if expected.dtype.kind not in "fc":
        return _same(found, expected, what)
    _require(found.shape == expected.shape, f"{what} must have shape {expected.shape}, has {found.shape}")
    _require(found.dtype == expected.dtype, f"{what} must have dtype {expected.dtype}, has {found.dtype}")
    relative = TOLERANCE.get(expected.dtype.name, 1e-11)
    finite = np.abs(expected[np.isfinite(expected)])
    scale = float(finite.max()) if finite.size else 0.0
    wrong = ~np.isclose(found, expected, rtol=relative, atol=relative * min(scale, 1.0), equal_nan=True)
    if wrong.any():
        place = tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(wrong)))
        a, e = np.atleast_1d(found)[place], np.atleast_1d(expected)[place]
        raise Nonconformance(f"{what} must be {e!r} at {place}, is {a!r} ({int(wrong.sum())} of {wrong.size} differ)")


def _same(found: np.ndarray, expected: np.ndarray, what: str) -> None:
    """Equal shape, dtype and bits (but for the sign and payload of NaN)."""
    _require(found.shape == expected.shape, f"{what} must have shape {expected.shape}, has {found.shape}")
    _require(found.dtype == expected.dtype, f"{what} must have dtype {expected.dtype}, has {found.dtype}")
    if not np.array_equal(found, expected, equal_nan=expected.dtype.kind in "fc"):
        raise Nonconformance(f"{what} must be {expected!r}, is {found!r}")


def _layouts(operands: Sequence[np.ndarray]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """The operands as they may lie in memory."""
    frozen = [x.copy() for x in operands]
    for x in frozen:
        x.flags.writeable = False
    yield "contiguous", frozen
    yield "strided", [np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x for x in operands]
    yield "reversed", [np.flip(np.flip(x).copy()) for x in operands]
    yield "Fortran-ordered", [np.asfortranarray(x) if x.ndim else x for x in operands]


def _precisions(operands: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """The operands as they are, and in single precision if they are in double."""
    yield list(operands)
    if any(x.dtype == np.float64 for x in operands):
        yield [x.astype(np.float32) if x.dtype == np.float64 else x for x in operands]


def _values(device: Device, case: Case) -> None:
    for operands in _precisions(case.operands):
        expected = _evaluate(REFERENCE, case.fn, operands)
        for layout, given in _layouts(operands):
            what = f"{case.name} of {layout} {[f'{x.dtype}{list(x.shape)}' for x in operands]}"
            _compare(_evaluate(device, case.fn, given), expected, what)
            for x, kept in zip(given, operands, strict=True):
                _same(x, kept, f"an operand after {what}")


def _formula(device: Device, p: Elementwise) -> None:
    rng = np.random.default_rng(0)
    special = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 50.0, -50.0, 1.0])
    draws: dict[str, Callable[[tuple[int, ...]], np.ndarray]] = {
        "bool": lambda shape: rng.integers(0, 2, shape),
        "int32": lambda shape: rng.integers(1, 7, shape),
        "int64": lambda shape: rng.integers(1, 7, shape),
        "float32": lambda shape: rng.uniform(0.05, 0.95, shape),
        "float64": lambda shape: rng.uniform(0.05, 0.95, shape),
    }
    for dtype, draw in draws.items():
        shapes = [(3, 5), (67,), (), (0,), (2, 0, 3)]
        given = [[draw(shape).astype(dtype) for _ in p.operands] for shape in shapes]
        if dtype.startswith("float"):
            grid = np.meshgrid(*[special] * len(p.operands))
            given.append([axis.ravel().astype(dtype) for axis in grid])
        for operands in given:
            expected = _evaluate(REFERENCE, lambda *xs: bind(p, xs, {}), operands)
            for layout, laid_out in _layouts(operands):
                found = _evaluate(device, lambda *xs: bind(p, xs, {}), laid_out)
                _compare(found, expected, f"{p.name} of {layout} {dtype}{list(operands[0].shape)}")
                for x, kept in zip(laid_out, operands, strict=True):
                    _same(x, kept, f"an operand after {p.name}")


def _gradients(device: Device, case: Case) -> None:
    for operands in _precisions(case.operands):
        found, expected = (_pulled_back(d, case.fn, operands) for d in (device, get_device(REFERENCE)))
        _compare(found, expected, f"gradients of {case.name} in {[str(x.dtype) for x in operands]}")


def _pulled_back(device: Device, fn: Callable[..., Any], operands: Sequence[np.ndarray]) -> Results:
    leaves = [ag.tensor(x, device=device, requires_grad=x.dtype.kind in "fc") for x in operands]
    with ag.default_device(str(device)):
        try:
            y = fn(*leaves)
        except AutogradError as error:
            return type(error)
        outputs = [t for t in (y if isinstance(y, (tuple, list)) else [y]) if t.requires_grad]
        for i, t in enumerate(outputs):
            cotangent = np.random.default_rng(i).standard_normal(t.shape).astype(t.dtype)
            t.backward(ag.asarray(cotangent, device=device), retain_graph=True)
    gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
    for g in gradients:
        _require(g.device is device, f"a gradient must lie on {device}, lies on {g.device}")
    return [g.numpy() for g in gradients]


def _bits(device: Device, make: Callable[[], list[Any]]) -> None:
    found, expected = [], []
    for where, into in ((device, found), (get_device(REFERENCE), expected)):
        with ag.random.fork(2**40 + 7), ag.default_device(str(where)):
            into += [t.numpy() for t in make()]
    for i, (a, e) in enumerate(zip(found, expected, strict=True)):
        _same(a, e, f"draw {i}")


# ------------------------------------------------------------------------------------------- errors


def _raised(kind: type[AutogradError], attempt: Callable[[], Any]) -> AutogradError:
    try:
        attempt()
    except kind as error:
        return error
    except Exception as error:
        raise Nonconformance(f"must raise {kind.__name__}, raised {type(error).__name__}: {error}") from error
    raise Nonconformance(f"must raise {kind.__name__}, raised nothing")


MISTAKES: dict[str, tuple[type[AutogradError], Callable[[], Any]]] = {
    "shapes that do not broadcast": (ShapeError, lambda: ag.ones(2) + ag.ones(3)),
    "inner lengths that differ": (ShapeError, lambda: ag.ones((2, 3)) @ ag.ones((2, 3))),
    "elements that do not fit": (ShapeError, lambda: ag.ones(6).reshape((4, 2))),
    "an axis out of range": (ShapeError, lambda: ag.ones((2, 3)).sum(axis=2)),
    "gradients of integers": (DTypeError, lambda: ag.tensor([1, 2], requires_grad=True)),
    "text": (AutogradError, lambda: ag.asarray(np.array(["a"]))),
    "objects": (AutogradError, lambda: ag.asarray([object()])),
    "a dtype that holds no numbers": (DTypeError, lambda: ag.zeros(2, dtype="datetime64[s]")),
    "the sign of booleans": (AutogradError, lambda: ag.negative(ag.asarray([True]))),
}


def _error(device: Device, kind: type[AutogradError], attempt: Callable[[], Any]) -> None:
    with ag.default_device(str(device)):
        _raised(kind, attempt)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m autograd_core.backends.conformance BACKEND")
    report = run(sys.argv[1])
    print(report)
    sys.exit(0 if report.ok else 1)
