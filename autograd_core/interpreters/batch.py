"""Batching: a function of one example, run for all examples at once.

Every value stands for one example, while the values of all lie in ``inner`` along axis 0. A primitive is run once, on
those: elementwise primitives as they are, the others by what they declare (see ``batching``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..batching import expanded
from ..errors import BatchingError
from ..graph import AnyNode, Hook
from ..primitive import Elementwise, Primitive, bind
from ..tensor import Tensor
from .level import Opened, Wrapper


class Batched(Wrapper):
    """One example of a batch; ``inner`` holds them all along axis 0."""

    __slots__ = ()

    interpreter: Batch

    def __init__(self, interpreter: Batch, inner: Tensor, node: AnyNode | None = None):
        super().__init__(interpreter, inner, inner.shape[1:], node)

    def with_node(self, node: AnyNode | None) -> Batched:
        return Batched(self.interpreter, self.inner, node)

    @property
    def data(self) -> Any:
        raise BatchingError(
            f"inside vmap this tensor of shape {self.shape} stands for one of {self.inner.shape[0]} examples and has "
            "no values of its own: compute with tensors (ag.where instead of if), and look at values outside"
        )

    def numpy(self) -> np.ndarray:
        return self.data

    def __repr__(self) -> str:
        return f"<one of {self.inner.shape[0]} examples in vmap: {self.aval}>"


class Batch(Opened):
    """One ``vmap`` in progress, over ``size`` examples."""

    name = "vmap"
    shows_values = False

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def run(self, primitive: Primitive, inputs: Sequence[Any], params: dict[str, Any]) -> Any:
        batched = [self.owns(x) for x in inputs]
        values = [x.inner if has_axis else x for x, has_axis in zip(inputs, batched, strict=True)]
        if isinstance(primitive, Elementwise):
            return Batched(self, bind(primitive, expanded(values, batched, self.size), params))
        rule = primitive.batch
        if rule is None:
            return self._run_composed(primitive, inputs, params)
        if isinstance(rule, Mapping):
            values = [x if b else x.broadcast_to((self.size, *x.shape)) for x, b in zip(values, batched, strict=True)]
            changed = {name: rule[name](value, self.size) if name in rule else value for name, value in params.items()}
            y = bind(primitive, values, changed)
        else:
            if not self.size:  # rules divide by the number of examples: one of zeros, which is left out of the result
                values = [x.new_zeros((1, *x.shape[1:])) if b else x for x, b in zip(values, batched, strict=True)]
            y = rule(values, batched, self.size or 1, **params)
            if y is NotImplemented:
                return self._run_composed(primitive, inputs, params)
            if not self.size:
                y = tuple([piece[:0] for piece in y]) if type(y) is tuple else y[:0]
        return tuple([Batched(self, piece) for piece in y]) if type(y) is tuple else Batched(self, y)

    def _run_composed(self, primitive: Any, inputs: Sequence[Any], params: dict[str, Any]) -> Any:
        composed: Callable[..., Any] | None = getattr(primitive, "composed", None)
        if composed is None:
            raise BatchingError(
                f"{primitive.name}: does not say how it runs on a batch (batch=), nor how it is composed"
            )
        y = composed(*inputs, **params)
        return tuple([self.enter(t) for t in y]) if type(y) is tuple else self.enter(y)

    def hook_below(self, hook: Hook) -> Hook:
        def of_all(g: Tensor) -> Tensor | None:
            batch = Batch(self.size)
            with batch.scope():
                changed = hook(Batched(batch, g))
            return changed if changed is None else batch.enter(changed).inner

        return of_all

    def enter(self, x: Tensor) -> Batched:
        """``x`` as a value of this batch without history: what comes from below is the same for all examples."""
        inner = x.inner if self.owns(x) else x.broadcast_to((self.size, *x.shape))
        return Batched(self, inner)


def run_batched(
    f: Callable[..., Any], operands: Sequence[Tensor], batched: Sequence[bool], size: int, **scope: Any
) -> list[Tensor]:
    """``f`` of one example, run for all: operands with an axis for the examples in front, results likewise.

    ``f`` takes and returns flat sequences of tensors.
    """
    batch = Batch(size)
    with batch.scope(**scope):
        outputs = f(*[Batched(batch, x) if b else x for x, b in zip(operands, batched, strict=True)])
    return [batch.enter(y).inner for y in outputs]
