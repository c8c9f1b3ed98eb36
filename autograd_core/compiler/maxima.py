"""Gradients of maxima: what would be done to an image is done to its windows, which are fewer.

The gradient of a maximum is the windows' gradients put to their places in an image of zeros. If a rectifier came
before the pooling, its slope at such a place is known from the maximum; and a sum over the image is one over windows:

    where_positive(scatter(g, places), x)  =  scatter(where_positive(g, maxima), places)
    sum(scatter(g, places), image)         =  sum(g, windows)
"""

from __future__ import annotations

from ..ops.activation import where_positive_p
from ..ops.pooling import max_pool_p, pool_scatter_p
from ..ops.reductions import sum_p
from .ir import Equation, Graph, Var, check, users


def in_windows(graph: Graph) -> Graph:
    """The graph with these rewritten; sums are taken in another order."""
    maker = {v: e for e in graph.equations for v in e.outputs}
    readers, seen = users(graph), set(graph.outputs)
    equations: list[Equation] = []

    def add(e: Equation) -> None:
        maker.update((v, e) for v in e.outputs)
        equations.append(e)

    for e in graph.equations:
        scatter = maker.get(e.inputs[0]) if e.inputs else None
        if scatter is None or scatter.primitive is not pool_scatter_p:
            add(e)
            continue
        g, places = scatter.inputs
        maxima = _maxima(maker.get(places), e) if e.primitive is where_positive_p else None
        if maxima is not None and len(readers[e.inputs[0]]) == 1 and e.inputs[0] not in seen:
            slope = Equation(where_positive_p, (g, maxima), e.params, (Var(g.aval),), e.origin, e.recorded)
            add(slope)
            add(Equation(pool_scatter_p, (slope.outputs[0], places), scatter.params, e.outputs, e.origin, e.recorded))
        elif e.primitive is sum_p and set(e.params["axis"]) >= set(range(2, len(g.shape))):
            add(Equation(sum_p, (g,), e.params, e.outputs, e.origin, e.recorded))
        else:
            add(e)
    return check(graph.replace(equations=equations))


def _maxima(pool: Equation | None, slope: Equation) -> Var | None:
    """The maxima of the image whose slopes are taken, if this is what found the places."""
    if pool is None or pool.primitive is not max_pool_p or pool.inputs[0] is not slope.inputs[1]:
        return None
    return pool.outputs[0]
