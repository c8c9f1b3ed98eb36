"""The base interpreter: runs a primitive at once, by the device's kernel for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import context
from ..aval import DEFAULT_FLOAT, HALF
from ..backend import Device, get_device, reads_halves
from ..errors import ArgumentError, AutogradError, DTypeError
from ..primitive import Elementwise, Primitive
from ..tensor import Tensor

_LITERAL_DTYPE = {np.dtype(np.float64): np.dtype(np.float32), np.dtype(np.complex128): np.dtype(np.complex64)}


class Eager:
    """Level 0: tensors hold arrays. ``transforms`` is filled in by the layer above, which the rules of ``general``
    primitives (composed forms) call back into."""

    level = 0
    in_place = True  # whether tensors hold arrays, which a sweep may add up in place
    transforms: Any = None
    generator: Any = None  # while a function is captured: the default one around it

    @property
    def base(self) -> Eager:
        return self

    def run(self, primitive: Primitive, inputs: Sequence[Tensor], params: dict[str, Any]) -> Any:
        device = inputs[0].device if primitive.device_param is None else params[primitive.device_param]
        source = inputs[0].device if inputs else device
        kernel = source.kernels[primitive]
        if kernel is None:
            return self._run_composed(primitive, inputs, params)
        are_halves = inputs and inputs[0].dtype.char in HALF and primitive.device_param is None
        if are_halves and not reads_halves(primitive, inputs, params):
            kernel = self._in_single(primitive, kernel, inputs)
        try:
            if not params and len(inputs) == 2:  # the common small operation: no list, no dictionary
                x1, x2 = inputs
                data = kernel(source.xp, x1.data, x2.data)
            else:
                data = kernel(source.xp, *[x.data for x in inputs], **params)
        except AutogradError:
            raise
        except (TypeError, ValueError, IndexError) as error:
            raise self._explain(primitive, inputs, error) from error
        if type(data) is device.array_type:
            return Tensor(data, device)
        if type(data) is tuple:
            return tuple([_wrap(piece, device) for piece in data])
        return _wrap(data, device)

    def _in_single(self, primitive: Primitive, kernel: Any, inputs: Sequence[Tensor]) -> Any:
        """``kernel`` for operands of half precision: computed in float32 and rounded once, at the end.

        Sums of many numbers would stand still in half precision, and squares overflow. The first operand tells: where
        it is a condition or an index, values are only moved.
        """

        def run(xp: Any, *arrays: Any, **params: Any) -> Any:
            wide = [xp.astype(a, DEFAULT_FLOAT) if a.dtype.char in HALF else a for a in arrays]
            if primitive.shape_rule is None and not isinstance(primitive, Elementwise):
                return kernel(xp, *wide, **params)
            declared = primitive.output_aval(*[x.aval for x in inputs], **params)
            y = kernel(xp, *wide, **params)
            with np.errstate(over="ignore"):  # what half precision has no room for is infinite there
                if type(y) is tuple:
                    return tuple([xp.astype(xp.asarray(a), aval.dtype) for a, aval in zip(y, declared, strict=True)])
                return xp.astype(xp.asarray(y), declared.dtype)

        return run

    def _run_composed(self, primitive: Any, inputs: Sequence[Tensor], params: dict[str, Any]) -> Any:
        with context.scope(recording=False):
            y = primitive.composed(*inputs, **params)
        return tuple(t.with_node(None) for t in y) if type(y) is tuple else y.with_node(None)

    def _explain(self, primitive: Primitive, inputs: Sequence[Tensor], error: Exception) -> AutogradError:
        given = ", ".join(f"{x.dtype}{list(x.shape)}" for x in inputs)
        kind = DTypeError if isinstance(error, TypeError) else ArgumentError
        return kind(f"{primitive.name}: cannot be computed for operands {given}: {error}")

    def constant(self, obj: Any, *, dtype: np.dtype | None, device: str | Device | None, op: str) -> Tensor:
        """``obj`` (a number, nested sequence or array) as a tensor without history."""
        device = get_device(device)
        if dtype is not None and type(obj) in (int, float):
            try:
                return Tensor(device.asarray(obj, dtype), device)
            except OverflowError as error:
                raise ArgumentError(f"{op}: {error}") from None
        if not isinstance(obj, device.backend.array_types):
            obj = _host_array(obj, dtype, op)
        if obj.dtype.kind not in "biufc" and obj.dtype.name != "bfloat16":
            raise DTypeError(f"{op}: an array of dtype {obj.dtype} cannot be a tensor: it holds no numbers")
        if dtype is not None and obj.dtype.kind == "c" and dtype.kind not in "cb":
            raise DTypeError(f"{op}: {obj.dtype} to {dtype} would lose the imaginary part; pass abs(data) or data.real")
        return Tensor(device.asarray(obj, dtype), device)

    def random_key(self, generator: Any, device: Any) -> Tensor:
        """The next call of ``generator`` as an operand: its seed and number."""
        return self.constant(np.array(generator.next(), np.uint64), dtype=None, device=device, op="random")

    def examine(self, x: Tensor, ask: Callable[[np.ndarray], Any]) -> Any:
        """``ask`` of the values of ``x``: raises for values that are wrong, or answers what they decide."""
        return ask(x.numpy())

    def reading(self, variable: Tensor) -> None:
        """Another tensor is about to be made that holds the value of ``variable``."""

    def assigning(self, variable: Tensor) -> None:
        """``variable`` is about to get another value, or another gradient."""

    def looking_at(self, x: Tensor, counts: bool = False) -> None:
        """The values of ``x`` are about to be read on the host; counts: to know how many elements a result has."""

    def states_derivative(self, what: str) -> None:
        """``what`` says how to differentiate, other than by the operations that run."""

    def uses(self, thing: Any) -> None:
        """Python decides by the options of ``thing``; its ``compile_guard()`` tells whether they are the same."""


def _host_array(obj: Any, dtype: np.dtype | None, op: str) -> np.ndarray:
    literal = not hasattr(obj, "dtype")
    try:
        array = np.asarray(obj)
        if literal and dtype is not None and array.dtype.kind in "biufc":
            array = np.asarray(obj, dtype)  # from the numbers themselves: each is seen to fit
    except (TypeError, ValueError, OverflowError) as error:
        raise ArgumentError(f"{op}: {_describe(obj)} cannot become a tensor: {error}") from None
    if array.dtype.kind == "O":
        raise ArgumentError(
            f"{op}: {_describe(obj)} cannot become a tensor: no number of at most 64 bits, no array, no nested "
            "list of such; tensors are joined with ag.stack"
        )
    if literal and dtype is None:
        array = array.astype(_LITERAL_DTYPE.get(array.dtype, array.dtype))
    return array


def _describe(obj: Any) -> str:
    return f"{type(obj).__name__} {obj!r}"[:80]


def _wrap(data: Any, device: Device) -> Tensor:
    if type(data) is not device.array_type:
        data = device.asarray(data)  # NumPy answers scalars where every operand is 0-d
    return Tensor(data, device)


EAGER = Eager()
context.install_base_interpreter(EAGER)
