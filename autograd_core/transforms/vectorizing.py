"""Functions of one example, run for a whole batch at once: ``vmap``, and what it makes cheap."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .. import context, tree
from ..aval import normalize_axis
from ..errors import ArgumentError, BatchingError, GradientError, ShapeError
from ..interpreters.batch import Batch, Batched
from ..interpreters.reverse import initial_cotangent, pull_back
from ..ops._apply import as_tensor
from ..ops.shaping import moveaxis
from ..tensor import Tensor
from .derivatives import grad
from .randomness import generator_for

Function = Callable[..., Any]
Axes = Any  # an int or None for all leaves of an argument, or a container of such in its structure

RANDOMNESS = ("error", "different", "same")


def vmap(
    f: Function, in_axes: Axes = 0, out_axes: Axes = 0, *, axis_size: int | None = None, randomness: str = "error"
) -> Function:
    """``f``, a function of one example, as a function of a batch: every operation runs once, for all examples.

        vmap(f)(x)[i] = f(x[i])

    in_axes: which axis of each positional argument counts the examples; None: the argument is the same for all. An int
    for all arguments, or a tuple with an entry for each, which may follow the argument's containers. Keyword arguments
    are the same for all. out_axes: where the axis is to be in the results, likewise; None for a result that is the same
    for all. axis_size: the number of examples, where no argument tells.
    randomness: what ``ag.random`` (so also dropout) means inside: "different": every example its own numbers, row i of
    one draw for all; "same": all examples the same; "error" (default): BatchingError. A generator passed to the
    drawing function itself gives all examples the same.

    Composes with every transform, itself included. There is no loop over examples: an operation that could not be run
    at once is an error. Values cannot decide what happens next (``if x > 0``, x.item()): BatchingError; use
    ``ag.where``. ArgumentError or ShapeError for axes that do not fit. The interface is that of JAX's and PyTorch's
    functions of this name.

    >>> import autograd_core as ag
    >>> ag.vmap(lambda x, w: (x * w).sum(), in_axes=(0, None))(ag.ones((3, 2)), ag.tensor([1.0, 2.0]))
    tensor([3., 3., 3.])
    >>> ag.vmap(ag.grad(lambda x: x * x * x))(ag.tensor([1.0, 2.0]))
    tensor([ 3., 12.])
    """
    if randomness not in RANDOMNESS:
        raise ArgumentError(f"vmap: randomness must be one of {', '.join(map(repr, RANDOMNESS))}, got {randomness!r}")

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        leaves, structure, axes = _flat_arguments(args, in_axes)
        moved, size = _moved_to_front(leaves, axes, axis_size)
        batch = Batch(size)
        with batch.scope(generator=generator_for(batch, randomness)):
            given = [x if axis is None else Batched(batch, x) for x, axis in zip(moved, axes, strict=True)]
            result = f(*tree.unflatten(structure, given), **kwargs)
        outputs, output_structure = tree.flatten(result)
        output_axes = _axes_of(out_axes, result, "out_axes")
        return tree.unflatten(
            output_structure, [_collected(batch, y, axis) for y, axis in zip(outputs, output_axes, strict=True)]
        )

    return wrapped


def _flat_arguments(args: tuple[Any, ...], in_axes: Axes) -> tuple[list[Any], Any, list[int | None]]:
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    if isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise ArgumentError(f"vmap: in_axes has {len(in_axes)} entries for {len(args)} positional argument(s)")
    leaves, structure = tree.flatten(args)
    return leaves, structure, _axes_of(in_axes, args, "in_axes")


def _axes_of(axes: Axes, values: Any, name: str) -> list[int | None]:
    """An axis for every leaf of ``values``: an entry of ``axes`` counts for all that is under it."""
    if axes is None or (isinstance(axes, int) and not isinstance(axes, bool)):
        return [axes] * len(tree.flatten(values)[0])
    alike = isinstance(axes, (tuple, list)) and isinstance(values, (tuple, list)) and len(axes) == len(values)
    if alike:
        pairs = list(zip(axes, values, strict=True))
    elif isinstance(axes, dict) and isinstance(values, dict) and set(axes) == set(values):
        pairs = [(axes[k], values[k]) for k in tree.sorted_keys(values)]
    else:
        raise ArgumentError(
            f"vmap: {name} must be an int, None, or containers of them in the structure of the values; got {axes!r} "
            f"for a {type(values).__name__}"
        )
    return [axis for entry, value in pairs for axis in _axes_of(entry, value, name)]


def _moved_to_front(leaves: Sequence[Any], axes: Sequence[int | None], size: int | None) -> tuple[list[Any], int]:
    """Every leaf that has an axis for the examples with it in front, and how many examples there are."""
    moved: list[Any] = []
    for i, (leaf, axis) in enumerate(zip(leaves, axes, strict=True)):
        if axis is None:
            moved.append(leaf)
            continue
        x = as_tensor("vmap", leaf)
        if not x.shape:
            raise ShapeError(
                f"vmap: argument {i} (of all leaves, from 0) is 0-d and has no axis {axis} of examples; say None for "
                "it in in_axes, as for everything that is the same for all examples"
            )
        axis = normalize_axis("vmap", axis, len(x.shape))
        if size is None:
            size = x.shape[axis]
        elif x.shape[axis] != size:
            raise ShapeError(
                f"vmap: argument {i} (of all leaves, from 0) of shape {x.shape} has {x.shape[axis]} examples along "
                f"axis {axis}, where {size} are expected; say None in in_axes for what is the same for all examples"
            )
        moved.append(moveaxis(x, axis, 0))
    if size is None:
        raise ArgumentError("vmap: no argument has an axis of examples; pass axis_size, or in_axes that are not None")
    return moved, size


def _collected(batch: Batch, y: Any, axis: int | None) -> Tensor:
    """A result of the function, with the axis of examples where it is to be."""
    if not isinstance(y, Tensor):
        raise BatchingError(f"vmap: the function must return tensors, it returned {type(y).__name__}")
    if axis is None:
        if batch.owns(y):
            raise ArgumentError(
                "vmap: out_axes=None is for results that are the same for all examples; this one differs: give its axis"
            )
        return y
    inner = batch.enter(y).inner
    return moveaxis(inner, 0, normalize_axis("vmap", axis, len(inner.shape)))


def per_sample_grad(
    f: Function, argnums: int | Sequence[int] | None = None, *, wrt: Any = None, randomness: str = "different"
) -> Function:
    """The gradient of a loss for each example, with an axis for the examples in front.

        per_sample_grad(f, wrt=p)(x, y)[i] = gradient of f(x[i : i + 1], y[i : i + 1]) with respect to p

    f: ordinary code, the loss of a batch; it is given batches of one example. wrt: the tensors that require gradients
    and that ``f`` uses, in nested dicts, lists and tuples: ``dict(model.named_parameters())``. Or argnums (default 0):
    the positional arguments to differentiate, an int or several, the same for all examples. All other positional
    arguments have the examples along axis 0, keyword arguments are the same for all. With argnums the result can be
    differentiated again; with wrt it is a constant, as what ``backward`` leaves in ``grad``.
    One pass forward and one back for all examples, whatever the model; what mixes examples (batch normalization in
    training) is not a function of one example, and is refused. randomness: as in ``vmap``.
    Source: Goodfellow, Efficient per-example gradient computations, 2015.

    >>> import autograd_core as ag
    >>> w = ag.tensor([1.0, 2.0], requires_grad=True)
    >>> x, y = ag.eye(2), ag.zeros(2)
    >>> ag.per_sample_grad(lambda x, y: ((x @ w - y) ** 2).mean(), wrt=w)(x, y)
    tensor([[2., 0.],
            [0., 4.]])
    """
    if wrt is not None:
        if argnums is not None:
            raise ArgumentError("per_sample_grad: give wrt (tensors that f uses) or argnums (arguments of f), not both")
        return _per_sample_grad_of_used(f, wrt, randomness)
    argnums = 0 if argnums is None else argnums

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        chosen = argnums if isinstance(argnums, (tuple, list)) else (argnums,)
        same = {i % len(args) for i in chosen if -len(args) <= i < len(args)}
        if len(same) == len(args):
            raise ArgumentError("per_sample_grad: all arguments are in argnums; some argument must hold the examples")

        def of_one(*values: Any) -> Any:
            ones = [v if i in same else tree.tree_map(lambda x: x.unsqueeze(0), v) for i, v in enumerate(values)]
            return grad(f, argnums)(*ones, **kwargs)

        axes = tuple(None if i in same else 0 for i in range(len(args)))
        return vmap(of_one, axes, randomness=randomness)(*args)

    return wrapped


def _per_sample_grad_of_used(f: Function, wrt: Any, randomness: str) -> Function:
    variables, structure = tree.flatten(wrt)
    for x in variables:
        if not isinstance(x, Tensor) or x.node is None:
            raise GradientError("per_sample_grad: wrt must hold tensors that require gradients")

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        def of_one(*values: Any) -> Any:
            loss = f(*[tree.tree_map(lambda x: x.unsqueeze(0), v) for v in values], **kwargs)
            cotangent = initial_cotangent("per_sample_grad", loss, None)
            found = pull_back([loss], [cotangent], variables, retain_graph=False, create_graph=False)
            filled = [x.new_zeros(x.shape) if g is None else g for x, g in zip(variables, found, strict=True)]
            return tree.unflatten(structure, filled)

        with context.scope(recording=True):
            return tree.tree_map(lambda g: g.with_node(None), vmap(of_one, randomness=randomness)(*args))

    return wrapped
