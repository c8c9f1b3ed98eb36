"""Functions from functions to their derivatives.

Reverse mode records operations on tensors and sweeps cotangents back over the record; forward mode runs the function
on dual numbers. Both act through rules that are themselves recorded or dualised, so they nest in any order.

Complex numbers are pairs of real ones: a tangent is dRe + i dIm, the gradient of a real L is dL/dRe + i dL/dIm (so that
descent is z - step * gradient), and a vjp is the adjoint of the jvp under Re(conj(g) t); PyTorch's convention.
Source: Griewank and Walther, Evaluating Derivatives, 2nd ed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .. import context, tree
from ..aval import is_inexact
from ..errors import ArgumentError, DTypeError, GradientError, ShapeError
from ..graph import AnyNode
from ..interpreters.forward import Dual, Forward
from ..interpreters.reverse import fresh, initial_cotangent, main_node, pull_back
from ..ops._apply import as_tensor, check_devices
from ..tensor import Tensor

Function = Callable[..., Any]

# ---------------------------------------------------------------------------------- reverse mode


def _check_inexact(op: str, leaves: Sequence[Tensor]) -> None:
    for x in leaves:
        if not is_inexact(x.dtype):
            raise DTypeError(
                f"{op}: cannot differentiate with respect to an argument of dtype {x.dtype}; pass it as a floating "
                "tensor, or name the other arguments with argnums"
            )


def _outputs(op: str, result: Any) -> tuple[list[Tensor], Any]:
    leaves, structure = tree.flatten(result)
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            hint = "; float() and .item() end the gradient, leave them out" if isinstance(leaf, (int, float)) else ""
            raise GradientError(f"{op}: the function must return tensors, it returned {type(leaf).__name__}{hint}")
    return leaves, structure


def _is_closed(roots: Sequence[AnyNode], variables: set[Any]) -> bool:
    """Whether the graph under ``roots`` ends in fresh ``variables`` alone: then nobody outside can differentiate it.

    What is older comes from outside; younger leaves belong to transforms that began and ended inside.
    """
    newest = min((node.order for node in variables), default=1)
    seen: set[AnyNode] = set()
    stack = [main_node(node) for node in roots]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node not in variables and node.order > newest:
            return False
        stack.extend(main_node(parent) for parent in getattr(node, "parents", ()))
    return True


class Record:
    """One call of a function on fresh variables, recorded, ready to pull cotangents back."""

    def __init__(self, op: str, f: Function, args: Sequence[Any], kwargs: dict[str, Any], has_aux: bool = False):
        leaves, self.structure = tree.flatten(tuple(args))
        originals = [as_tensor(op, leaf) for leaf in leaves]
        _check_inexact(op, originals)
        self.variables = [fresh(x) for x in originals]
        self.outer_recording = context.is_grad_enabled()
        with context.scope(recording=True):
            result = f(*tree.unflatten(self.structure, self.variables), **kwargs)
        aux = None
        if has_aux:
            if not (isinstance(result, tuple) and len(result) == 2):
                raise GradientError(f"{op}: with has_aux=True the function must return a pair (value, aux)")
            result, aux = result
        self.outputs, output_structure = _outputs(op, result)
        kept = [x for x in tree.flatten((result, aux))[0] if isinstance(x, Tensor)]
        closed = _is_closed([x.node for x in kept if x.node is not None], {x.node for x in self.variables})
        self.inside_transform = any(x.level for x in [*originals, *kept])
        self.differentiable = self.outer_recording and not closed
        self.output_structure = output_structure
        self.result, self.aux = tree.tree_map(self._as_kept, (result, aux))

    def _as_kept(self, x: Any) -> Any:
        """A result as the caller may keep it: connected to outer variables, not to the fresh ones."""
        inner = isinstance(x, Tensor) and x.node is not None and not self.differentiable
        return x.with_node(None) if inner else x

    def can_be_differentiated(self, cotangents: Sequence[Tensor] = ()) -> bool:
        """Whether somebody can differentiate what is pulled back: only then do rules need to be recorded."""
        return (self.outer_recording or context.is_grad_enabled()) and (
            self.differentiable or self.inside_transform or any(g.node is not None or g.level for g in cotangents)
        )

    def pull(self, cotangents: Sequence[Tensor], *, retain_graph: bool, create_graph: bool | None = None) -> Any:
        """The cotangents of the arguments, in their structure; zeros where the outputs do not depend on one."""
        if create_graph is None:
            create_graph = self.can_be_differentiated(cotangents)
        found = pull_back(
            self.outputs,
            cotangents,
            self.variables,
            retain_graph=retain_graph or create_graph,
            create_graph=create_graph,
        )
        filled = [x.new_zeros(x.shape) if g is None else g for x, g in zip(self.variables, found, strict=True)]
        return tree.unflatten(self.structure, filled)


def positions(op: str, argnums: int | Sequence[int], args: Sequence[Any]) -> tuple[int, ...]:
    given = argnums if isinstance(argnums, (tuple, list)) else (argnums,)
    if not all(isinstance(i, int) for i in given):
        raise ArgumentError(f"{op}: argnums must be a position or a tuple of positions, got {argnums!r}")
    for i in given:
        if not -len(args) <= i < len(args):
            raise ArgumentError(f"{op}: argnums {i} is out of range for {len(args)} positional argument(s)")
    found = tuple(i % len(args) for i in given)
    if len(set(found)) < len(found):
        raise ArgumentError(f"{op}: argnums {argnums!r} names an argument twice")
    return found


def of_positions(f: Function, chosen_positions: Sequence[int], args: Sequence[Any]) -> tuple[Function, list[Any]]:
    """``f`` as a function of the arguments at ``positions`` alone, and those arguments."""

    def partial(*chosen: Any, **kwargs: Any) -> Any:
        full = list(args)
        for i, value in zip(chosen_positions, chosen, strict=True):
            full[i] = value
        return f(*full, **kwargs)

    return partial, [args[i] for i in chosen_positions]


def value_and_grad(f: Function, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Function:
    """The function (args) -> (f(args), df/dargs) for scalar ``f``.

    argnums: which positional arguments; an int gives one gradient, a sequence a tuple of them. Arguments may be
    nested dicts, lists and tuples of tensors; gradients have the same structure. has_aux: ``f`` returns (value, aux).

    >>> import autograd_core as ag
    >>> ag.value_and_grad(lambda x: (x * x).sum())(ag.tensor([1.0, 2.0]))
    (tensor(5.), tensor([2., 4.]))
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        call = Record("grad", *of_positions(f, positions("grad", argnums, args), args), kwargs, has_aux)
        value = call.result
        if not isinstance(value, Tensor) or not is_inexact(value.dtype):
            kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
            raise GradientError(
                f"grad: the function must return one floating scalar tensor, it returned {kind}; "
                "for several outputs use vjp or jacrev"
            )
        gradients = call.pull([initial_cotangent("grad", call.outputs[0], None)], retain_graph=False)
        gradients = gradients if isinstance(argnums, (tuple, list)) else gradients[0]
        return ((value, call.aux) if has_aux else value), gradients

    return wrapped


def grad(f: Function, argnums: int | Sequence[int] = 0, *, has_aux: bool = False) -> Function:
    """The gradient of a scalar function: (args) -> df/dargs, itself differentiable.

    Arguments as for ``value_and_grad``; with has_aux the result is (gradient, aux).

    >>> import autograd_core as ag
    >>> ag.grad(ag.grad(lambda x: x * x * x))(ag.tensor(2.0))
    tensor(12.)
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, gradients = value_and_grad(f, argnums, has_aux=has_aux)(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    return wrapped


def vjp(f: Function, *primals: Any, **kwargs: Any) -> tuple[Any, Function]:
    """f(primals) and the function pulling a cotangent of it back to the primals: g -> (g^T J_1, ..., g^T J_n).

    The pullback may be called any number of times.

    >>> import autograd_core as ag
    >>> y, pull = ag.vjp(lambda x: x * x, ag.tensor([1.0, 2.0]))
    >>> pull(ag.tensor([1.0, 10.0]))
    (tensor([ 2., 40.]),)
    """
    call = Record("vjp", f, primals, kwargs)

    def pull(cotangent: Any) -> Any:
        leaves, structure = tree.flatten(cotangent)
        if structure != call.output_structure:
            raise ArgumentError("vjp: the cotangent must have the structure of the function's output")
        given = [initial_cotangent("vjp", y, g) for y, g in zip(call.outputs, leaves, strict=True)]
        return call.pull(given, retain_graph=True)

    return call.result, pull


# ---------------------------------------------------------------------------------- forward mode


def _tangent(op: str, x: Tensor, given: Any) -> Tensor:
    """``given`` as a tangent of ``x``."""
    t = as_tensor(op, given, x)
    check_devices(op, (x, t))
    if x.shape != t.shape:
        raise ShapeError(f"{op}: a tangent of shape {t.shape} given for a primal of shape {x.shape}")
    if t.dtype.kind == "c" != x.dtype.kind:
        raise DTypeError(
            f"{op}: a tangent of dtype {t.dtype} given for a primal of dtype {x.dtype}: real numbers move "
            "along real ones; pass t.real"
        )
    return t.astype(x.dtype)


def jvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any], **kwargs: Any) -> tuple[Any, Any]:
    """f(primals) and its directional derivative J @ tangents, in one forward run without a record.

    >>> import autograd_core as ag
    >>> ag.jvp(lambda x: x * x, (ag.tensor([1.0, 2.0]),), (ag.tensor([1.0, 0.0]),))
    (tensor([1., 4.]), tensor([2., 0.]))
    """
    leaves, structure = tree.flatten(tuple(primals))
    tangent_leaves, tangent_structure = tree.flatten(tuple(tangents))
    if structure != tangent_structure or isinstance(primals, Tensor):
        raise ArgumentError("jvp: primals and tangents must have the same structure; pass both as tuples of tensors")
    originals = [as_tensor("jvp", x) for x in leaves]
    _check_inexact("jvp", originals)
    given = [_tangent("jvp", x, t) for x, t in zip(originals, tangent_leaves, strict=True)]
    forward = Forward()
    with forward.scope():
        duals = [Dual(forward, x, t) for x, t in zip(originals, given, strict=True)]
        outputs, output_structure = _outputs("jvp", f(*tree.unflatten(structure, duals), **kwargs))
    pairs = [forward.split(y) for y in outputs]
    zero_filled = [y.new_zeros(y.shape) if t is None else t for y, t in pairs]
    return tree.unflatten(output_structure, [y for y, _ in pairs]), tree.unflatten(output_structure, zero_filled)


def linearize(f: Function, *primals: Any, **kwargs: Any) -> tuple[Any, Function]:
    """f(primals) and its linear part there: (t_1, ..., t_n) -> J_1 t_1 + ... + J_n t_n, as jvp gives it.

    ``f`` runs once; applying the linear function costs about what a backward pass does, however often it is applied. It
    is the transpose of the pullback, itself the transpose of what is asked for.

    >>> import autograd_core as ag
    >>> y, push = ag.linearize(lambda x: x * x, ag.tensor([1.0, 2.0]))
    >>> push(ag.tensor([1.0, 0.0])), push(ag.tensor([0.0, 1.0]))
    (tensor([2., 0.]), tensor([0., 4.]))
    """
    call = Record("linearize", f, primals, kwargs)
    with context.scope(recording=True):
        cotangents = [fresh(y.new_zeros(y.shape)) for y in call.outputs]
        rows, _ = tree.flatten(call.pull(cotangents, retain_graph=True))

    def push(*tangents: Any) -> Any:
        leaves, structure = tree.flatten(tangents)
        if structure != call.structure:
            raise ArgumentError("linearize: the tangents must have the structure of the primals")
        given = [_tangent("linearize", x, t) for x, t in zip(call.variables, leaves, strict=True)]
        create_graph = context.is_grad_enabled() and (
            call.differentiable or call.inside_transform or any(t.node is not None or t.level for t in given)
        )
        found = pull_back(rows, given, cotangents, retain_graph=True, create_graph=create_graph)
        filled = [y.new_zeros(y.shape) if t is None else t for y, t in zip(call.outputs, found, strict=True)]
        return tree.unflatten(call.output_structure, filled)

    return call.result, push
