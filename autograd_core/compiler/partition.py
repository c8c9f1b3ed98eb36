"""What a gradient keeps of the forward pass: one graph of both passes, cut where the fewest bytes go across.

The backward pass reads values of the forward pass. Each is kept (a *residual*), or computed again from others that are.
Computed again is only what is cheap: operations on elements and views, which the loops that need them take in, and the
random masks of dropout, which a key of 16 bytes determines to the bit. Products, convolutions, reductions and
everything else with a kernel of its own runs once. Arguments are there anyway, and cost nothing to keep.

So the residuals are the smallest cut, in bytes, between what must be kept and what the backward pass reads, in a
network where a value passes on what can be computed from it. Of equally small cuts it is the last one, which
computes the least again. PyTorch's partitioner poses the problem in the same way. Source: Ahuja, Magnanti, Orlin,
Network flows, chapter 6; Dinitz, Algorithm for solution of a problem of maximum flow, 1970.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ..ops.random import random_bernoulli_p
from .clusters import COSTS
from .expression import Expressions, Inexpressible, Node
from .ir import Equation, Graph, Var
from .lower import lower
from .simplify import without_dead_code, without_duplicates

MOST_AGAIN = 64  # operations as cheap as an addition that an element may cost again; an exponential function is 20
_AS_THEY_ARE = frozenset({"input", "reshape", "permute", "broadcast"})  # no elements but those of the operand
_VIEWED = _AS_THEY_ARE | {"constant", "iota", "slice"}
_COMPUTED = _AS_THEY_ARE | {"constant", "iota", "map"}


class Partition(NamedTuple):
    """A forward pass that also returns ``residuals``, and a backward pass that reads them instead of running it again.

    forward: inputs -> outputs, residuals. backward: residuals, held inputs, cotangents -> gradients. again: held inputs
    -> residuals, for derivatives of the backward pass. held: positions of the inputs that the gradients depend on.
    """

    forward: Graph
    backward: Graph
    again: Graph
    held: tuple[int, ...]
    residuals: tuple[Var, ...]


def partition(joint: Graph, inputs: int, outputs: int) -> Partition:
    """``joint``: inputs and cotangents -> outputs and gradients, of which the first so many are the forward pass's."""
    joint = without_duplicates(without_dead_code(joint), derivatives=True)
    own, cotangents = joint.inputs[:inputs], joint.inputs[inputs:]
    results, gradients = joint.outputs[:outputs], joint.outputs[outputs:]
    made = {v: e for e in joint.equations for v in e.outputs}
    pulled = _dependent(joint, cotangents)
    needed = _ancestors(gradients, made)
    read = [v for v in _read(gradients, needed, made, pulled) if v in needed and v not in pulled]
    there = {*own, *joint.constants}
    kept = smallest_cut(read, made, there)
    residuals = tuple(v for v in made if v in kept)
    held = tuple(i for i, v in enumerate(own) if v in needed)
    holding = [own[i] for i in held]
    return Partition(
        without_dead_code(joint.replace(inputs=own, outputs=(*results, *residuals))),
        _from(joint, (*residuals, *holding, *cotangents), gradients),
        without_dead_code(joint.replace(inputs=holding, outputs=residuals)),
        held,
        residuals,
    )


def _dependent(graph: Graph, sources: Sequence[Var]) -> set[Var]:
    """What is computed from ``sources``."""
    found = set(sources)
    for e in graph.equations:
        if not found.isdisjoint(e.inputs):
            found.update(e.outputs)
    return found


def _ancestors(values: Sequence[Var], made: Mapping[Var, Equation]) -> set[Var]:
    found: set[Var] = set()
    stack = list(values)
    while stack:
        v = stack.pop()
        if v not in found:
            found.add(v)
            stack.extend(made[v].inputs if v in made else ())
    return found


def _read(
    gradients: Sequence[Var], needed: Collection[Var], made: Mapping[Var, Equation], pulled: Collection[Var]
) -> Iterator[Var]:
    """What the part of the backward pass that depends on the cotangents reads, itself included."""
    yield from gradients
    for v in needed:
        if v in made and v in pulled:
            yield from made[v].inputs


def _from(graph: Graph, inputs: Sequence[Var], outputs: Sequence[Var]) -> Graph:
    """The graph that computes ``outputs`` from ``inputs``, whatever these were computed from."""
    given = {*inputs, *graph.constants}
    wanted = set(outputs) - given
    kept: list[Equation] = []
    for e in reversed(graph.equations):
        if not wanted.isdisjoint(e.outputs):
            results = [Var(v.aval) if v in given else v for v in e.outputs]  # one of several results is given
            kept.append(Equation(e.primitive, e.inputs, e.params, results, e.origin, e.recorded))
            wanted.update(v for v in e.inputs if v not in given)
    return without_dead_code(graph.replace(inputs=inputs, equations=kept[::-1], outputs=outputs))


# --------------------------------------------------------------------------------------------- the cut


def smallest_cut(read: Iterable[Var], made: Mapping[Var, Equation], there: Collection[Var]) -> set[Var]:
    """Values of the fewest bytes from which, and from what is ``there``, all that is ``read`` is cheaply computed."""
    network = Network()
    source, sink = network.place(), network.place()
    ends: dict[Var, tuple[int, int]] = {}
    kinds: dict[int, str] = {}

    def met(v: Var) -> tuple[int, int]:
        if v not in ends:
            ends[v] = network.place(), network.place()
            stack.append(v)
        return ends[v]

    stack: list[Var] = []
    for v in read:
        network.join(met(v)[1], sink, UNLIMITED)
    while stack:
        v = stack.pop()
        into, out = ends[v]
        if v in there:
            continue  # nothing flows through it: nothing comes in
        e = made[v]
        if id(e) not in kinds:
            kinds[id(e)] = _kind(e)
        kind = kinds[id(e)]
        network.join(into, out, UNLIMITED if kind == "view" else v.aval.size * v.dtype.itemsize)
        if kind == "whole":
            network.join(source, into, UNLIMITED)
        else:
            for operand in e.inputs:
                network.join(met(operand)[1], into, UNLIMITED)
    behind = network.behind_the_last_cut(source, sink)
    return {v for v, (into, out) in ends.items() if v not in there and out in behind and into not in behind}


def _kind(e: Equation) -> str:
    """``view``: the elements of an operand; ``again``: cheap to compute again; ``whole``: has to be kept."""
    if e.primitive is random_bernoulli_p:
        return "again"
    x = Expressions()
    try:
        results = lower(e, [x.input(v) for v in e.inputs], x)
    except Inexpressible:
        return "whole"
    nodes = _below(results)
    found = {n.kind for n in nodes}
    if found <= _AS_THEY_ARE:
        return "view"
    if found <= _VIEWED:
        return "again"
    cost = sum(COSTS.get(n.op, 1) for n in nodes if n.kind == "map")
    return "again" if found <= _COMPUTED and cost <= MOST_AGAIN else "whole"


def _below(nodes: Iterable[Node]) -> list[Node]:
    found: dict[int, Node] = {}
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node.index not in found:
            found[node.index] = node
            stack.extend(node.args)
    return list(found.values())


UNLIMITED = 2**62


class Network:
    """Places, and joints between them through which so much can flow."""

    def __init__(self) -> None:
        self._joints: list[list[int]] = []  # of each place; a joint and the way back through it are 2 k and 2 k + 1
        self._ends: list[int] = []
        self._room: list[int] = []

    def place(self) -> int:
        self._joints.append([])
        return len(self._joints) - 1

    def join(self, start: int, end: int, room: int) -> None:
        for a, b, free in ((start, end, room), (end, start, 0)):
            self._joints[a].append(len(self._ends))
            self._ends.append(b)
            self._room.append(free)

    def behind_the_last_cut(self, source: int, sink: int) -> set[int]:
        """As much as can flow from source to sink does; the places from which more could still go on to the sink."""
        while True:
            distance = self._distances(sink)
            if distance[source] < 0:
                return {place for place, d in enumerate(distance) if d >= 0}
            self._fill(source, sink, distance)

    def _distances(self, sink: int) -> list[int]:
        """The number of joints with room from each place to the sink; -1 where there is no way."""
        found = [-1] * len(self._joints)
        found[sink] = 0
        queue = deque([sink])
        while queue:
            end = queue.popleft()
            for joint in self._joints[end]:
                start = self._ends[joint]
                if found[start] < 0 and self._room[joint ^ 1]:
                    found[start] = found[end] + 1
                    queue.append(start)
        return found

    def _fill(self, source: int, sink: int, distance: list[int]) -> None:
        """Use up all shortest ways."""
        untried = [0] * len(self._joints)
        way: list[int] = []
        place = source
        while True:
            if place == sink:
                amount = min(self._room[joint] for joint in way)
                for joint in way:
                    self._room[joint] -= amount
                    self._room[joint ^ 1] += amount
                way, place = [], source
            elif untried[place] < len(self._joints[place]):
                joint = self._joints[place][untried[place]]
                if self._room[joint] and distance[self._ends[joint]] == distance[place] - 1:
                    way.append(joint)
                    place = self._ends[joint]
                else:
                    untried[place] += 1
            elif way:
                place = self._ends[way.pop() ^ 1]
                untried[place] += 1
            else:
                return
