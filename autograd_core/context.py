"""The state that surrounds a call: interpreter, grad mode, default device, random generator.

One ContextVar holds one immutable ``State``, so threads and async tasks never see each other's, and leaving
a scope restores exactly what was there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar, Token
from typing import Any

from .errors import ArgumentError

MATH_MODES = ("fp32", "tf32", "bf16")
CONVOLUTIONS = ("auto", "cudnn", "own")
# cuDNN where it is installed: whoever installs it, which nothing here requires, has asked for it. Neither it nor our
# kernels have been timed; ``python -m autograd_core.benchmarks probes`` times both.
DEFAULT_CONVOLUTIONS = "auto"


class State:
    """interpreter: who runs a primitive on plain tensors; recording: grad mode; depth: open transforms;
    generator: where random numbers come from; observer: an instrument that is told what runs (``diagnostics``), or
    None: ``ran(primitive, inputs, output)`` after every primitive on every level, ``pulled(node, g, cotangents)`` after
    every pullback of a sweep; tape: notes, or plays back, the effects of a function that runs twice (checkpoint);
    strict: whether a tensor that would silently change its dtype is an error; math: what products of float32 are made
    in, one of ``MATH_MODES``; convolutions: who computes them on CUDA devices, one of ``CONVOLUTIONS``."""

    __slots__ = (
        "convolutions",
        "depth",
        "device",
        "generator",
        "interpreter",
        "math",
        "observer",
        "recording",
        "strict",
        "tape",
    )

    def __init__(
        self,
        interpreter: Any,
        recording: bool,
        device: str,
        depth: int,
        generator: Any,
        observer: Any = None,
        tape: Any = None,
        strict: bool = False,
        math: str = "fp32",
        convolutions: str = DEFAULT_CONVOLUTIONS,
    ):
        self.interpreter = interpreter
        self.recording = recording
        self.device = device
        self.depth = depth
        self.generator = generator
        self.observer = observer
        self.tape = tape
        self.strict = strict
        self.math = math
        self.convolutions = convolutions

    def replace(self, **changes: Any) -> State:
        fields = {name: changes.pop(name, getattr(self, name)) for name in State.__slots__}
        if changes:
            raise TypeError(f"State has no {sorted(changes)}")
        return State(**fields)


_BASE = State(interpreter=None, recording=True, device="cpu", depth=0, generator=None)
_STATE: ContextVar[State] = ContextVar("autograd_core.state", default=_BASE)

current = _STATE.get


def install_base_interpreter(interpreter: Any) -> None:
    """Called once, by the eager interpreter as it is imported: the layers below need not know it."""
    _BASE.interpreter = interpreter


def install_base_generator(generator: Any) -> None:
    """Called once, by the random operations as they are imported."""
    _BASE.generator = generator


@contextmanager
def scope(**changes: Any) -> Iterator[State]:
    """Run the body under a changed state."""
    state = _STATE.get().replace(**changes)
    token = _STATE.set(state)
    try:
        yield state
    finally:
        _STATE.reset(token)


class recording_mode(ContextDecorator):
    """Base of the two context managers below; also decorates functions. Re-entrant."""

    recording: bool

    def __init__(self) -> None:
        self._tokens: list[Token[State]] = []

    def __enter__(self) -> None:
        state = _STATE.get()
        changed = State(
            state.interpreter,
            self.recording,
            state.device,
            state.depth,
            state.generator,
            state.observer,
            state.tape,
            state.strict,
            state.math,
            state.convolutions,
        )
        self._tokens.append(_STATE.set(changed))

    def __exit__(self, *exc: object) -> None:
        _STATE.reset(self._tokens.pop())

    def _recreate_cm(self) -> recording_mode:
        return type(self)()


class no_grad(recording_mode):
    """Nothing computed inside remembers how it was made: results never require gradients.

    Forward mode (jvp) records nothing and is not concerned; ``detach`` makes a constant for both.

    >>> import autograd_core as ag
    >>> w = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> with ag.no_grad():
    ...     y = w * 2
    >>> y.requires_grad
    False
    """

    recording = False


class enable_grad(recording_mode):
    """Record again, inside a ``no_grad`` block.

    >>> import autograd_core as ag
    >>> w = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> with ag.no_grad(), ag.enable_grad():
    ...     y = w * 2
    >>> y.requires_grad
    True
    """

    recording = True


def is_grad_enabled() -> bool:
    """Whether operations are being recorded for backward."""
    return _STATE.get().recording


@contextmanager
def strict_dtypes() -> Iterator[None]:
    """Make it an error that an operation changes the dtype of a tensor by itself: to that of another, or to float32.

    Python numbers still take the dtype of the tensor that they meet.

    >>> import autograd_core as ag
    >>> with ag.strict_dtypes():
    ...     ag.ones(2) * ag.ones(2, dtype="float64")
    Traceback (most recent call last):
        ...
    autograd_core.errors.DTypeError: multiply: strict_dtypes is on, and operands of dtypes float32 and float64 ...
    """
    with scope(strict=True):
        yield


@contextmanager
def math_mode(mode: str) -> Iterator[None]:
    """Choose what matrix products, convolutions and recurrent layers of float32 may be computed in.

    mode: ``"fp32"``, the default, as NumPy would; ``"tf32"``: factors rounded to 10 bits after the point, sums in
    float32; ``"bf16"``: factors rounded to 7. Tensors stay float32. On GPUs with tensor cores the last two are several
    times faster; a device without them, the CPU among them, computes in float32 whatever the mode. Compiled functions
    are compiled for each mode that they are called in. ArgumentError for any other mode.

    >>> import autograd_core as ag
    >>> with ag.math_mode("tf32"):
    ...     ag.get_math_mode()
    'tf32'
    >>> ag.get_math_mode()
    'fp32'
    """
    if mode not in MATH_MODES:
        raise ArgumentError(f"math_mode: {mode!r} is none of {', '.join(map(repr, MATH_MODES))}")
    with scope(math=mode):
        yield


def get_math_mode() -> str:
    """What products of float32 may be computed in: ``"fp32"``, ``"tf32"`` or ``"bf16"`` (``math_mode``)."""
    return _STATE.get().math


@contextmanager
def default_device(device: str) -> Iterator[None]:
    """Create tensors on ``device`` unless a call names another.

    >>> import autograd_core as ag
    >>> with ag.default_device("numpy"):
    ...     str(ag.zeros(3).device)
    'numpy'
    """
    with scope(device=device):
        yield
