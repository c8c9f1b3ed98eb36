"""Attention and its gradients as launches: scores, softmax and weighted sums of a block of queries stay on chip.

The values are one launch. The gradients are two: the inner products of slopes and values, and one whose blocks sum over
queries, for keys and values, or over keys, for queries; each computes the weights again from the logarithms of their
sums. Which block sums what, and in which order, follows from the sizes alone. Operands are read where they lie, and
results are written where they are to lie, if the rows of their matrices have no gaps.

Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from autograd_core.compiler.space import row_major

from .c_types import literal
from .modes import MODES
from .source import WAIT, Launch, Source

FILES = ("arithmetic", "blocks", "tensor_cores", "factors", "attention")
MATRICES = ("q", "k", "v", "g", "y")  # operands whose rows are read by fours where they can be
ALIGNMENT = 256
MULTIPROCESSORS = 132  # of a large GPU
SHARED = 163 << 10  # bytes that a block may have where it may have least, at compute capability 8.0


class Place(NamedTuple):
    """Where an operand lies, in elements: how far apart the entries of each leading axis are, then rows, then columns;
    where the first is.
    """

    lead: tuple[int, ...]
    row: int
    column: int
    offset: int = 0


def placed(shape: Sequence[int], strides: Sequence[int], offset: int = 0) -> Place:
    """Of an operand with these strides, in elements, that is repeated along axes of length 1."""
    *lead, row, column = (0 if n == 1 else s for n, s in zip(shape, strides, strict=True))
    return Place(tuple(lead), row, column, offset)


class Result(NamedTuple):
    """Where a result goes: in which of the arrays that a launch writes, and where in that."""

    array: int
    place: Place


class Attention(NamedTuple):
    """One of the two. lead: the axes before the matrices. names: of the operands in their order, each with its place.

    wanted: of q, k and v, whose gradients are computed, in the order of the results; empty for the values. numbers:
    whether the mask is added to the scores. mode: of the products. results: where the values, or the gradients, go;
    empty for arrays of their own, without gaps.
    """

    lead: tuple[int, ...]
    queries: int
    keys: int
    features: int
    width: int
    scale: float
    causal: bool
    keep_scale: float
    names: tuple[str, ...]
    places: tuple[Place, ...]
    wanted: tuple[str, ...] = ()
    numbers: bool = False
    mode: str = "fp32"
    results: tuple[Result, ...] = ()

    def in_mode(self, mode: str) -> Attention:
        return self._replace(mode=mode)

    @property
    def matrices(self) -> int:
        return prod(self.lead)

    @property
    def written(self) -> tuple[str, ...]:
        """The names of the results that are stacks of matrices."""
        return self.wanted or ("y",)

    def columns(self, name: str) -> int:
        """Of an operand's or a result's matrices."""
        return self.features if name in "qk" else self.width

    @property
    def places_of_results(self) -> tuple[Result, ...]:
        """By name, as ``written`` has them."""
        if self.results:
            return self.results
        found = []
        for i, name in enumerate(self.written):
            rows, columns = self.keys if name in "kv" else self.queries, self.columns(name)
            strides = row_major((*self.lead, rows, columns))
            found.append(Result(i, placed((*self.lead, rows, columns), strides)))
        return tuple(found)

    @property
    def arrays(self) -> int:
        """That a launch writes."""
        return 1 + max(r.array for r in self.places_of_results) + (not self.wanted)

    @property
    def products(self) -> int:
        """Multiplications for every pair of a query and a key."""
        pairs = self.matrices * self.queries * self.keys
        if not self.wanted:
            return pairs * (self.features + self.width)
        both, of_keys = self.features + self.width, {"k", "v"} & {*self.wanted}
        queries = both + self.features if "q" in self.wanted else 0
        keys = both + sum(self.features if name == "k" else self.width for name in of_keys) if of_keys else 0
        return pairs * (queries + keys)


class Cut(NamedTuple):
    """A block's part: 16 rows for each of its warps, of whatever side. across: rows of the other side at a time.

    stages: how many such tiles have room; apart: whether the gradients of keys and values are made by different blocks.
    """

    warps: int
    across: int
    stages: int = 2
    apart: bool = False

    @property
    def down(self) -> int:
        return 16 * self.warps

    @property
    def threads(self) -> int:
        return 32 * self.warps


CUTS = tuple(
    Cut(warps, across, apart=apart) for warps in (8, 4, 2, 1) for across in (64, 32, 16) for apart in (False, True)
)
RATES = {"fp32": 170, "tf32": 512, "bf16": 512}  # multiply-adds a clock cycle of a multiprocessor; not measured
# Numbers that a thread adds to, for values and for gradients, so that registers hold them.
MOST = {"fp32": (90, 112), "tf32": (90, 136), "bf16": (90, 136)}
MANY = 100  # with which registers are left for fewer factors; in fp32 these are two numbers each


def pitch(size: int) -> int:
    """Of a row in shared memory."""
    return -(-size // 32) * 32


def padded(size: int) -> int:
    return -(-size // 16) * 16


def shared(problem: Attention, cut: Cut) -> int:
    """Bytes of a block."""
    one, other = pitch(problem.features), pitch(problem.width)
    if not problem.wanted:
        return 4 * (cut.down * one + cut.stages * cut.across * (one + other))
    return 4 * (cut.down * (one + other) + cut.stages * cut.across * (one + other + 2))


def sums(problem: Attention, cut: Cut) -> int:
    """Numbers of a thread that are added to, of which those that become factors are two each in fp32."""
    one, other = padded(problem.features), padded(problem.width)
    each = 2 if problem.mode == "fp32" else 1
    if not problem.wanted:
        return (other + each * cut.across) // 2
    most = max(one, other) if cut.apart else one + (other if "v" in problem.wanted else 0)
    return most // 2 + each * cut.across


def fits(problem: Attention, cut: Cut) -> bool:
    if (problem.wanted and cut.across > 32) or (cut.apart and not {"k", "v"} <= {*problem.wanted}):
        return False
    return shared(problem, cut) <= SHARED and sums(problem, cut) <= MOST[problem.mode][bool(problem.wanted)]


def blocks(problem: Attention, cut: Cut) -> tuple[int, int]:
    """That have rows of queries, and of keys."""
    of_queries, of_keys = (problem.matrices * -(-n // cut.down) for n in (problem.queries, problem.keys))
    if not problem.wanted:
        return of_queries, 0
    kinds = len({"k", "v"} & {*problem.wanted})
    return of_queries * ("q" in problem.wanted), of_keys * (kinds if cut.apart else min(kinds, 1))


def cycles(problem: Attention, cut: Cut) -> float:
    """An estimate of the clock cycles that all takes on a large GPU; not measured."""
    registers = min(255, sums(problem, cut) + 90)
    together = min(SHARED // shared(problem, cut), 65536 // (cut.threads * registers)) or 1
    both = padded(problem.features) + padded(problem.width)
    own, factors = (both, (1.67 if cut.apart else 1.75) * both) if problem.wanted else (padded(problem.features), both)
    each = cut.down * cut.across
    products = each * factors / RATES[problem.mode]
    reads = (cut.down * own + cut.warps * cut.across * factors) / 32
    busy = max(products, reads) + each * 30 / 128 + 60
    tile = max(together * max(busy, cut.across * both / 12), busy * 4 / min(4, cut.warps) + 400)
    turns = -(-sum(blocks(problem, cut)) // (MULTIPROCESSORS * together))
    others = max(problem.queries, problem.keys) if problem.wanted else problem.keys
    return turns * (-(-others // cut.across) * tile + 1500 + cut.down * own / 12)


@lru_cache(1024)
def best_cut(problem: Attention) -> Cut:
    """The fastest by the estimate; the same on every GPU, and so is the order of sums."""
    return min((cut for cut in CUTS if fits(problem, cut)), key=lambda cut: (cycles(problem, cut), cut))


def render(problem: Attention, name: str, cut: Cut | None = None) -> Source:
    """The launches that compute it. Operands: as the primitive has them, then its results."""
    cut = cut or best_cut(problem)
    kind = "float" if problem.numbers else "unsigned char"
    struct = f"{name}_sizes"
    text = _struct(struct, problem, cut)
    given = {n: f"a{i}" for i, n in enumerate(problem.names)}
    mask = given.get("mask", f"(const {kind} *)nullptr")
    rest = f"{mask}, {given.get('keep', 'nullptr')}"
    count = len(problem.names)
    size = shared(problem, cut)
    main = Launch(name, sum(blocks(problem, cut)), cut.threads, size)
    if not problem.wanted:
        arguments = f"{given['q']}, {given['k']}, {given['v']}, {rest}, a{count}, a{count + 1}, shared_floats()"
        entries = [(main, f"attended<{struct}>({arguments});")]
    else:
        to = {n: f"a{count + r.array}" for n, r in zip(problem.wanted, problem.places_of_results, strict=True)}
        found = ", ".join(to.get(n, "nullptr") for n in "qkv")
        operands = ", ".join(given[n] for n in ("g", "sums", "q", "k", "v"))
        inner = f"inner_products<{struct}>({given['g']}, {given['y']}, (float *)workspace);"
        entries = [
            (Launch(f"{name}_inner", -(-problem.matrices * problem.queries // 32), 256), inner),
            (main, f"adjoints<{struct}>({operands}, {rest}, (const float *)workspace, {found}, shared_floats());"),
        ]
    results = problem.arrays
    declared = [f"const {_kind(n, problem)} *__restrict__ a{i}" for i, n in enumerate(problem.names)]
    declared += [f"float *__restrict__ a{count + i}" for i in range(results)]
    declared += ["char *__restrict__ workspace"] if problem.wanted else []
    for launch, body in entries:
        head = f'extern "C" __global__ void __launch_bounds__({launch.block}, 1) {launch.entry}({", ".join(declared)})'
        text += f"{head}\n{{\n    {WAIT}\n    {body}\n}}\n"
    alignment = [_alignment(n, p, problem) for n, p in zip(problem.names, problem.places, strict=True)] + [8] * results
    workspace = -(-4 * problem.matrices * problem.queries // ALIGNMENT) * ALIGNMENT if problem.wanted else 0
    return Source(text, tuple(launch for launch, _ in entries), tuple(alignment), workspace, files=FILES)


def _kind(name: str, problem: Attention) -> str:
    return "unsigned char" if name == "keep" or (name == "mask" and not problem.numbers) else "float"


def _alignment(name: str, place: Place, problem: Attention) -> int:
    if name in MATRICES:
        return 4 * _wide(place, problem.columns(name))
    return 1 if _kind(name, problem) != "float" else 4


def _wide(place: Place, columns: int, most: int = 4) -> int:
    """Numbers that are copied, or stored, at once."""
    steps = (*place.lead, place.row, place.offset, columns)
    return most if all(n % most == 0 for n in steps) else 1


def _struct(name: str, problem: Attention, cut: Cut) -> str:
    p, places = problem, dict(zip(problem.names, problem.places, strict=True))
    fields = {
        "Mode": MODES.index(p.mode),
        "Matrices": p.matrices,
        "Queries": p.queries,
        "Keys": p.keys,
        "Features": p.features,
        "Width": p.width,
        "Causal": int(p.causal),
        "Mask": 0 if "mask" not in places else 2 if p.numbers else 1,
        "Keep": int("keep" in places),
        "Warps": cut.warps,
        "Across": cut.across,
        "Stages": cut.stages,
        "Apart": int(cut.apart),
        "Few": 1 if p.mode == "fp32" or sums(p, cut) > MANY else 2,
    }
    fields |= {f"Wants{n.upper()}": int(n in p.wanted) for n in "qkv"}
    nowhere = Place((0,) * len(p.lead), 0, 0)
    for n in MATRICES:
        place = places.get(n, nowhere)
        fields |= {f"{n.upper()}Row": place.row, f"{n.upper()}Wide": _wide(place, p.columns(n))}
    targets = {n: r.place for n, r in zip(p.written, p.places_of_results, strict=True)}
    for n in "qkvy":
        place = targets.get(n, nowhere)
        fields |= {f"To{n.upper()}Row": place.row, f"To{n.upper()}Wide": _wide(place, p.columns(n), 2)}
    for n in ("mask", "keep"):
        place = places.get(n, nowhere)
        fields |= {f"{n.title()}Row": place.row, f"{n.title()}Column": place.column}
    numbers = {"scale": p.scale, "keep_scale": p.keep_scale}
    lines = [f"    enum {{ {', '.join(f'{key} = {value}' for key, value in fields.items())} }};"]
    lines += [_function("float", n, "", f"{literal(value, np.dtype('float32'))}") for n, value in numbers.items()]
    lines += [_function("int", n, "int n", _first(places.get(n, nowhere), p.lead)) for n in (*MATRICES, "mask", "keep")]
    lines += [_function("int", f"to_{n}", "int n", _first(targets.get(n, nowhere), p.lead)) for n in "qkvy"]
    return f"struct {name} {{\n" + "\n".join(lines) + "\n};\n"


def _function(kind: str, name: str, takes: str, gives: str) -> str:
    return f"    static __device__ __forceinline__ {kind} {name}({takes}) {{ return {gives}; }}"


def _first(place: Place, lead: Sequence[int]) -> str:
    """Where matrix n begins."""
    parts, inner = [str(place.offset)], 1
    axes: list[tuple[int, int]] = []  # (size, step), those that go on where the next one ends together
    for size, step in zip(lead, place.lead, strict=True):
        if axes and axes[-1][1] == size * step:
            axes[-1] = axes[-1][0] * size, step
        elif size > 1:
            axes.append((size, step))
    for size, step in reversed(axes):
        outer = f"n / {inner}" if inner > 1 else "n"
        whole = inner * size == prod(lead)
        if step:
            parts.append(f"{outer} * {step}" if whole else f"{outer} % {size} * {step}")
        inner *= size
    return " + ".join(parts if place.offset or len(parts) == 1 else parts[1:])
