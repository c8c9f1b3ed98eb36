"""Memory for time: a function whose intermediate values are made again for the backward pass instead of kept."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from .. import context, tree
from ..aval import is_inexact
from ..errors import GradientError
from ..graph import AnyNode, Leaf, Node, Piece
from ..interpreters.reverse import captured, fresh, main_node, sweep
from ..primitive import Primitive
from ..rules import Pullback
from ..tensor import Tensor


class _Tape:
    """Notes the random keys that a run takes. (One run inside another notes for both.)"""

    def __init__(self) -> None:
        self.outer = context.current().tape
        self.keys: list[tuple[int, int]] = []
        self.replaying = self.outer is not None and self.outer.replaying

    def draw(self, generator: Any) -> tuple[int, int]:
        key = generator.advance() if self.outer is None else self.outer.draw(generator)
        self.keys.append(key)
        return key


class _Replay:
    """Gives a second run the random keys of the first, and lets it assign nothing."""

    replaying = True

    def __init__(self, keys: Sequence[tuple[int, int]]):
        self.keys: Iterator[tuple[int, int]] = iter(keys)

    def draw(self, generator: Any) -> tuple[int, int]:
        try:
            return next(self.keys)
        except StopIteration:
            raise GradientError(
                "checkpoint: run again for its gradient, the function draws more random numbers than the first time; "
                "it must do the same both times"
            ) from None


def checkpoint(f: Callable[..., Any]) -> Callable[..., Any]:
    """``f`` with the same values and the same gradients, bit for bit, that keeps its arguments alone for them.

    What ``f`` computes on its way is dropped after the call and made again in the backward pass, one more run of ``f``:
    n layers in sqrt(n) such functions need memory for about 2 sqrt(n) of them. Tensors that ``f`` uses without taking
    them as arguments (the parameters of a module) get their gradients too. The second run draws the same random numbers
    (dropout) and assigns nothing (running statistics), since the first one did.

    ``f`` returns tensors, in nested containers if need be. It must do the same when it runs again: parameters that an
    optimizer changes between forward and backward would give gradients at their new values. Inside ``vmap`` the memory
    is saved for gradients taken there; for a gradient of the vmapped function write checkpoint(vmap(f)).
    Source: Chen et al., Training deep nets with sublinear memory cost, 2016.

    >>> import autograd_core as ag
    >>> ag.grad(lambda x: ag.checkpoint(lambda x: ag.sin(ag.sin(x)))(x).sum())(ag.tensor([0.0, 1.0]))
    tensor([1.        , 0.36003944])
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if not context.is_grad_enabled():
            return f(*args, **kwargs)
        leaves, structure = tree.flatten((args, kwargs))
        wanted = [i for i, x in enumerate(leaves) if isinstance(x, Tensor) and x.node is not None]
        newest_outside = Leaf().order

        def run(given: Sequence[Any], tape: Any) -> tuple[list[Any], Any, list[Any]]:
            """The results, their structure, and the nodes of the arguments that they were made from."""
            variables = {i: fresh(given[i]) for i in wanted}
            filled_args, filled_kwargs = tree.unflatten(structure, [variables.get(i, x) for i, x in enumerate(given)])
            with context.scope(recording=True, tape=tape):
                results, result_structure = tree.flatten(f(*filled_args, **filled_kwargs))
            return results, result_structure, [x.node for x in variables.values()]

        tape = _Tape()
        outputs, output_structure, own = run(leaves, tape)
        for y in outputs:
            if not isinstance(y, Tensor):
                raise GradientError(f"checkpoint: the function must return tensors, it returned {type(y).__name__}")
        outside = captured(outputs, set(own), newest_outside)
        parents = [leaves[i].node for i in wanted] + outside
        if not parents:
            return tree.unflatten(output_structure, outputs)
        several = len(outputs) > 1

        def pull(g: Any, saved: tuple[Any, ...], params: dict[str, Any], avals: Any) -> Any:
            create_graph = context.is_grad_enabled()
            again, _, arguments = run(saved, _Replay(tape.keys))
            cotangents = g if several else (g,)
            roots = [(y.node, c) for y, c in zip(again, cotangents, strict=True) if y.node is not None]
            targets = [*arguments, *outside]
            found: Any = sweep(
                roots, {main_node(t) for t in targets}, retain_graph=create_graph, create_graph=create_graph
            )
            pulled = [_piece_of(found.get(main_node(t)), t) for t in targets]
            return pulled if len(pulled) > 1 else pulled[0]

        kept = tuple(x.snapshot() if isinstance(x, Tensor) else x for x in leaves)
        pullback = Pullback(Primitive("checkpoint", None, None, operands=()), (), pull, needs_avals=False)
        node = Node(pullback, parents, kept, {}, None, tuple(y.aval for y in outputs) if several else outputs[0].shape)
        connected = [
            y.with_node((Piece(node, i) if several else node) if is_inexact(y.dtype) else None)
            for i, y in enumerate(outputs)
        ]
        observer = context.current().observer
        if observer is not None:
            operands = [x for x in leaves if isinstance(x, Tensor)]
            observer.ran(pullback.primitive, operands, tuple(connected) if several else connected[0])
        return tree.unflatten(output_structure, connected)

    return wrapped


def _piece_of(found: Any, target: AnyNode) -> Any:
    """The cotangent of one target from that of its operation."""
    return found[target.index] if found is not None and type(target) is Piece else found
