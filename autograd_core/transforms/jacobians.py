"""Matrices of derivatives, and their products with vectors."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from .. import tree
from ..errors import ArgumentError, DTypeError, GradientError
from ..interpreters.batch import run_batched
from ..ops import creation
from ..ops._apply import as_tensor
from ..ops.shaping import moveaxis
from ..tensor import Tensor
from .derivatives import Record, grad, jvp, of_positions, positions

Function = Callable[..., Any]


def _basis(x: Tensor) -> Tensor:
    """The unit tensors of the shape of ``x``, one after another along a new first axis."""
    return creation.eye(x.size, dtype=x.dtype, device=x.device).reshape((x.size, *x.shape))


def _one_tensor(op: str, args: Sequence[Any], argnums: Any) -> tuple[int, Tensor]:
    if isinstance(argnums, (tuple, list)):
        raise ArgumentError(f"{op}: argnums must be one position, got {argnums!r}; call it once for each")
    (position,) = positions(op, argnums, args)
    x = args[position]
    if isinstance(x, (tuple, list, dict)):
        raise ArgumentError(f"{op}: argument {position} must be one tensor, got a {type(x).__name__}")
    return position, as_tensor(op, x)


def jacrev(f: Function, argnums: int = 0) -> Function:
    """The Jacobian dy[i]/dx[j] by reverse mode, of shape y.shape + x.shape: one sweep for all output elements at once.

    Of complex y and x it is the derivative of a holomorphic function; of real y and complex x its rows are gradients,
    dy/dRe x + i dy/dIm x.

    >>> import autograd_core as ag
    >>> ag.jacrev(lambda x: x * x)(ag.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        position, x = _one_tensor("jacrev", args, argnums)
        call = Record("jacrev", *of_positions(f, (position,), args), kwargs)
        create_graph = call.can_be_differentiated()

        def rows(k: int, y: Tensor) -> Tensor:
            def pulled(g: Tensor) -> list[Tensor]:
                given = [g if j == k else z.new_zeros(z.shape) for j, z in enumerate(call.outputs)]
                return [call.pull(given, retain_graph=True, create_graph=create_graph)[0]]

            def of_units(units: Tensor) -> Tensor:
                return run_batched(pulled, [units], [True], y.size)[0].reshape(y.shape + x.shape)

            units = _basis(y)
            if y.dtype.kind != "c":
                return of_units(units)
            if x.dtype.kind == "c":
                return of_units(units).conj()
            return of_units(units) + 1j * of_units(1j * units)

        return tree.unflatten(call.output_structure, [rows(k, y) for k, y in enumerate(call.outputs)])

    return wrapped


def jacfwd(f: Function, argnums: int = 0) -> Function:
    """The Jacobian dy[i]/dx[j] by forward mode, of shape y.shape + x.shape: one run for all input elements at once.

    Of complex x and y it is the derivative of a holomorphic function; GradientError for complex x and real y.

    >>> import autograd_core as ag
    >>> ag.jacfwd(lambda x: x * x)(ag.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        position, x = _one_tensor("jacfwd", args, argnums)
        partial, _ = of_positions(f, (position,), args)
        structure: Any = None

        def pushed(t: Tensor) -> list[Tensor]:
            nonlocal structure
            tangents, structure = tree.flatten(jvp(partial, (x,), (t,), **kwargs)[1])
            return tangents

        found = run_batched(pushed, [_basis(x)], [True], x.size)
        if x.dtype.kind == "c" and any(t.dtype.kind != "c" for t in found):
            raise GradientError("jacfwd: a real function of complex numbers has no complex derivative; use jacrev")
        columns = [moveaxis(t, 0, -1).reshape((*t.shape[1:], *x.shape)) for t in found]
        return tree.unflatten(structure, columns)

    return wrapped


def hessian(f: Function, argnums: int = 0) -> Function:
    """The matrix of second derivatives d2f/dx[i]dx[j] of a real scalar function of real x, of shape x.shape + x.shape.

    >>> import autograd_core as ag
    >>> ag.hessian(lambda x: x[0] * x[0] * x[1])(ag.tensor([3.0, 5.0]))
    tensor([[10.,  6.],
            [ 6.,  0.]])
    """
    of_gradient = jacfwd(grad(f, argnums), argnums)

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        _, x = _one_tensor("hessian", args, argnums)
        if x.dtype.kind == "c":
            raise DTypeError("hessian: of a complex argument there is no one matrix; pass its real and imaginary parts")
        return of_gradient(*args, **kwargs)

    return wrapped


def hvp(f: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> Any:
    """The Hessian of a scalar function times a vector, without the matrix: the jvp of the gradient.

    Source: Pearlmutter, Fast exact multiplication by the Hessian, 1994.

    >>> import autograd_core as ag
    >>> ag.hvp(lambda x: (x * x * x).sum(), (ag.tensor([1.0, 2.0]),), (ag.tensor([1.0, 1.0]),))
    tensor([ 6., 12.])
    """
    argnums: int | tuple[int, ...] = 0 if len(primals) == 1 else tuple(range(len(primals)))
    return jvp(grad(f, argnums), primals, tangents)[1]
