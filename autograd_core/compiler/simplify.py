"""Passes that make a graph smaller and leave every value as it is, to the last bit.

    aliases     what hands on its operand: ``detach``, casts to the dtype that is there, reshapes to the same shape;
                reshape of reshape, transpose of transpose, broadcast of broadcast
    folding     equations of constants, where the result is small
    common      equal equations: one primitive, the same operands and parameters
    dead code   equations that no output depends on

Scalar algebra (x * 1, x - 0) is done in expressions, where formulas have been taken apart. What is not done, because
values would change: x + 0.0, which makes 0.0 of -0.0; x * 0, x - x and x / x, which are NaN for some x; sums in another
order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..aval import HALF
from ..errors import AutogradError
from ..ops.casting import alias_p, astype_p, detach_p, truncating_cast_p
from ..ops.shaping import broadcast_to_p, permute_dims_p, reshape_p
from .ir import Equation, Graph, Var, check

LARGEST_FOLDED = 64  # elements


def simplify(graph: Graph) -> Graph:
    """All passes, in an order in which each profits from those before."""
    for one in (without_dead_code, without_aliases, folded, without_duplicates, without_dead_code):
        graph = check(one(graph))
    return graph


def without_dead_code(graph: Graph) -> Graph:
    """Only equations that an output depends on, and the constants that these use."""
    live = set(graph.outputs)
    kept = []
    for e in reversed(graph.equations):
        if not live.isdisjoint(e.outputs):
            live.update(e.inputs)
            kept.append(e)
    constants = {v: array for v, array in graph.constants.items() if v in live}
    return graph.replace(equations=kept[::-1], constants=constants)


# ------------------------------------------------------------------------------------------- aliases


def without_aliases(graph: Graph) -> Graph:
    """Views of views as one; nothing in place of what changes nothing. Outputs of the graph stay their own values."""
    made: dict[Var, Equation] = {}
    outputs = set(graph.outputs)

    def rewritten(e: Equation) -> Equation | Var:
        before = made.get(e.inputs[0]) if len(e.inputs) == 1 else None
        e = _merged(e, before)
        if not outputs.isdisjoint(e.outputs) or not _changes_nothing(e):
            for v in e.outputs:
                made[v] = e
            return e
        return e.inputs[0]

    return _rewritten(graph, rewritten)


def _merged(e: Equation, before: Equation | None) -> Equation:
    if before is None or before.primitive is not e.primitive:
        return e
    if e.primitive is reshape_p:
        return _with(e, before.inputs, e.params)
    if e.primitive is permute_dims_p:
        first, second = before.params["axes"], e.params["axes"]
        return _with(e, before.inputs, {"axes": tuple(first[a] for a in second)})
    if e.primitive is broadcast_to_p and len(e.inputs[0].shape) == len(before.inputs[0].shape):
        return _with(e, before.inputs, e.params)
    return e


def _with(e: Equation, inputs: Sequence[Var], params: dict[str, Any]) -> Equation:
    return Equation(e.primitive, inputs, params, e.outputs, e.origin, e.recorded)


def _changes_nothing(e: Equation) -> bool:
    if e.primitive in (detach_p, alias_p):
        return True
    if e.primitive in (astype_p, truncating_cast_p):
        return e.inputs[0].dtype == e.outputs[0].dtype
    if e.primitive in (reshape_p, broadcast_to_p):
        return e.inputs[0].shape == e.outputs[0].shape
    return e.primitive is permute_dims_p and e.params["axes"] == tuple(range(len(e.inputs[0].shape)))


def _rewritten(graph: Graph, rule: Callable[[Equation], Equation | Var]) -> Graph:
    """Every equation, its operands replaced already, as ``rule`` has it; a Var stands for its only output."""
    stands: dict[Var, Var] = {}
    equations = []
    for e in graph.equations:
        e = _with(e, [stands.get(v, v) for v in e.inputs], e.params)
        new = rule(e)
        if isinstance(new, Var):
            stands[e.outputs[0]] = new
        else:
            equations.append(new)
    return graph.replace(equations=equations, outputs=[stands.get(v, v) for v in graph.outputs])


# ------------------------------------------------------------------------------------------- folding


def folded(graph: Graph) -> Graph:
    """Equations of constants carried out, where the results are small, by the formulas in NumPy."""
    constants = dict(graph.constants)
    kept = []
    outputs = set(graph.outputs)  # what is handed out is computed in every call: nobody shares it
    for e in graph.equations:
        results = None
        small = all(v.aval.size <= LARGEST_FOLDED for v in e.outputs) and outputs.isdisjoint(e.outputs)
        if small and all(v in constants for v in e.inputs):
            results = _carried_out(e, [constants[v] for v in e.inputs])
        if results is None:
            kept.append(e)
        else:
            constants.update(zip(e.outputs, results, strict=True))
    return graph.replace(equations=kept, constants=constants)


def _carried_out(e: Equation, operands: Sequence[Any]) -> list[np.ndarray] | None:
    if e.primitive.forward is None or (e.primitive.device_param is not None and e.inputs):
        return None
    if any(v.dtype.char in HALF for v in (*e.inputs, *e.outputs)):  # these are computed in single precision
        return None
    if not all(isinstance(x, np.ndarray) for x in operands):
        return None
    try:
        with np.errstate(all="ignore"):
            y = e.primitive.forward(np, *operands, **e.params)
    except (AutogradError, ArithmeticError, ValueError, IndexError):  # an error of the call, not of the compiler
        return None
    results = [np.array(r) for r in (y if isinstance(y, tuple) else (y,))]
    fits = all((r.shape, r.dtype) == (v.shape, v.dtype) for r, v in zip(results, e.outputs, strict=True))
    return results if fits else None


# ------------------------------------------------------------------------------------------- duplicates


def without_duplicates(graph: Graph, *, derivatives: bool = False) -> Graph:
    """Equal equations once, equal constants too; outputs of the graph may then be one value.

    derivatives: whether the result is differentiated, so that what is recorded is not one with what is not.
    """
    stands: dict[Var, Var] = {}
    constants: dict[Var, Any] = {}
    arrays: dict[Any, Var] = {}
    for v, array in graph.constants.items():
        if v.aval.size > LARGEST_FOLDED or not isinstance(array, (np.ndarray, np.generic)):  # looking would wait
            constants[v] = array
            continue
        first = arrays.setdefault((array.dtype, array.shape, array.tobytes()), v)
        if first is v:
            constants[v] = array
        else:
            stands[v] = first
    known: dict[Any, Equation] = {}
    kept = []
    for e in graph.equations:
        e = _with(e, [stands.get(v, v) for v in e.inputs], e.params)
        same = known.setdefault((e.primitive, e.inputs, identity(e.params), derivatives and e.recorded), e)
        if same is e:
            kept.append(e)
        else:
            stands.update(zip(e.outputs, same.outputs, strict=True))
    outputs = [stands.get(v, v) for v in graph.outputs]
    return graph.replace(equations=kept, constants=constants, outputs=outputs)


def identity(value: Any) -> Any:
    """A key that is equal for equal parameters only: 1, 1.0 and True differ, and so do 0.0 and -0.0."""
    if isinstance(value, dict):
        return ("dict", tuple((k, identity(v)) for k, v in sorted(value.items())))
    if isinstance(value, (tuple, list)):
        return (type(value), tuple([identity(v) for v in value]))
    if isinstance(value, np.ndarray):
        return ("array", value.dtype, value.shape, value.tobytes())
    if isinstance(value, (bool, int, float, complex, str, np.generic)):
        return (type(value), repr(value))
    if isinstance(value, (np.dtype, type(None))):
        return value
    return ("object", id(value))  # alive as long as the equation that holds it
