"""Recurrent layers over a whole sequence as one launch, whose blocks keep the recurrent weights in registers.

A step of a recurrent layer is a product of one matrix with the states that the last step left, and a little arithmetic.
Here each block has some rows of the matrix and some of the sequences for all steps; what it computes of a state is
written to memory, the blocks wait for each other, and each reads the states that it needs. So the matrix is read once
a sequence instead of once a step, and a step costs no launch. All blocks must be on the GPU at once, one to a
multiprocessor.

Diamos et al., Persistent RNNs: Stashing Recurrent Weights On-Chip, 2016. The formulas: ``ops/_recurrences.py``.
Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .c_types import HALVES
from .modes import HALF_MODES, MODES
from .source import with_functions

TYPES = {"float32": "float", **HALVES}
GATES = {"lstm": 4, "gru": 3, "rnn": 1}
REGISTERS, MOST = 65536, 240  # of a multiprocessor, and of a thread, by the estimate
ROOMY = 222  # up to this estimate NVIDIA's compiler spills nothing; a little above it, few bytes a thread
OTHERS = 48  # registers for addresses and what is on the way, beside matrix, sums and cells
LINE = 128  # bytes: each group's count of arrivals has a line of its own
# Arguments of each entry: name, and whether it is written. All are pointers to the layer's dtype, but for int32
# ``lengths``. input: what x is of the gates; previous: the states that steps begin with. Those may be null that a layer
# can do without: initial states and cotangents of last ones, which are zeros then, biases, lengths, ``previous``.
ARGUMENTS = {
    ("lstm", "forward"): "weight bias h0 c0 lengths input gates* states* cells* previous*",
    ("lstm", "adjoint"): "weight gy gh gc gates cells c0 lengths slopes* dh0* dc0*",
    ("gru", "forward"): "weight bias h0 lengths input gates* states* inner* previous*",
    ("gru", "adjoint"): "weight gy gh states gates inner h0 lengths d_input* d_hidden* dh0*",
    ("rnn", "forward"): "weight bias h0 lengths input states* previous*",
    ("rnn", "adjoint"): "weight gy gh states lengths slopes* dh0*",
}


# (written, read) arguments that may be one array: a thread reads an element before it writes it, and no other reads it.
SHARED = {
    ("lstm", "forward"): ("gates", "input"),
    ("lstm", "adjoint"): ("slopes", "gates"),
    ("gru", "forward"): ("gates", "input"),
    ("gru", "adjoint"): ("d_input", "gates"),
    ("rnn", "forward"): ("states", "input"),
    ("rnn", "adjoint"): ("slopes", "states"),
}


def written(kind: str, way: str) -> tuple[str, ...]:
    """The arguments that a launch writes, in order."""
    return tuple(a.rstrip("*") for a in ARGUMENTS[kind, way].split() if a.endswith("*"))


class Recurrence(NamedTuple):
    """A layer in one direction. kind: "lstm", "gru" or "rnn"; way: "forward" or "adjoint"; mode: of the products.

    dtype: of all arrays. Of halves, what a step hands on is rounded; sums, and what a thread keeps, are float32.
    batch_first: arrays are (batch, steps, ...) instead of (steps, batch, ...).
    """

    kind: str
    way: str
    steps: int
    batch: int
    hidden: int
    reverse: bool = False
    relu: bool = False
    mode: str = "fp32"
    dtype: str = "float32"
    batch_first: bool = False

    def in_mode(self, mode: str) -> Recurrence:
        return self if self.dtype in HALF_MODES else self._replace(mode=mode)

    @property
    def products(self) -> str:
        """What factors are: the math mode, which halves do not have."""
        return HALF_MODES.get(self.dtype, self.mode)

    @property
    def gates(self) -> int:
        return GATES[self.kind]

    @property
    def terms(self) -> int:
        """Of each sum in a step's product: states, or all gates' cotangents."""
        return self.hidden if self.way == "forward" else self.gates * self.hidden


class Cut(NamedTuple):
    """What one block has: so many hidden units of so many sequences; its warps share each sum's terms."""

    units: int
    rows: int
    warps: int


class Persistent(NamedTuple):
    """CUDA C with one entry, which takes ``arguments``, then ``arrivals``: so many bytes, all 0 before each launch.

    shared: bytes of dynamic shared memory. The grid must fit on the GPU at once.
    """

    text: str
    entry: str
    arguments: tuple[str, ...]
    grid: int
    block: int
    shared: int
    arrivals: int

    @property
    def unit(self) -> str:
        """The text with the functions that it calls: what a compiler is given."""
        return with_functions(self.text, ("half", "tensor_cores", "persistent", "recurrent"))


def sums(problem: Recurrence, units: int) -> int:
    """Rows of the matrix that a block with so many units computes, filled up to whole tiles of 16."""
    rows = units * problem.gates if problem.way == "forward" else units
    return -(-rows // 16) * 16


def shared_bytes(problem: Recurrence, cut: Cut) -> int:
    return 4 * cut.warps * cut.rows * (sums(problem, cut.units) + 4)


def registers(problem: Recurrence, cut: Cut) -> int:
    """An estimate of what a thread needs, a little above what NVIDIA's compiler takes."""
    down, along = sums(problem, cut.units) // 16, problem.terms // cut.warps // 16
    matrix = down * along * (4 if problem.products in ("bf16", "fp16") else 8)
    cells = -(-cut.units * cut.rows // (32 * cut.warps))
    return matrix + min(32, down * cut.rows // 2) + cells * (problem.gates + 3) + OTHERS


def cuts(problem: Recurrence, multiprocessors: int, shared: int) -> Iterator[Cut]:
    """All that can be launched on a GPU with so many multiprocessors and so much shared memory for a block."""
    for units in (n for n in (8, 16, 32, 64, 128) if problem.hidden % n == 0):
        for warps in (n for n in (2, 4, 8, 16) if problem.terms % (16 * n) == 0):
            for rows in (8, 16, 32, 64, 128):
                cut = Cut(units, rows, warps)
                fits = registers(problem, cut) <= min(MOST, REGISTERS // (32 * warps))
                if fits and shared_bytes(problem, cut) <= shared and grid(problem, cut) <= multiprocessors:
                    yield cut


def grid(problem: Recurrence, cut: Cut) -> int:
    return problem.hidden // cut.units * -(-problem.batch // cut.rows)


def arrivals(problem: Recurrence, cut: Cut) -> int:
    """Bytes in which the blocks that wait for one another are counted."""
    return -(-problem.batch // cut.rows) * LINE


def cycles(problem: Recurrence, cut: Cut) -> float:
    """An estimate of a step's clock cycles on one multiprocessor, of the size of what Hopper's can do; not measured."""
    rows, across = sums(problem, cut.units), cut.rows
    products = rows * problem.terms * across / {"fp32": 200, "tf32": 600, "bf16": 1200, "fp16": 1200}[problem.products]
    read = (4 if problem.dtype == "float32" else 2) * across * problem.terms / 64
    exchanged = 2 * 4 * cut.warps * rows * across / 128
    tight = max(0, registers(problem, cut) - ROOMY)
    return (max(products, read) + exchanged) * (1 + tight / 20)


def best_cut(problem: Recurrence, multiprocessors: int, shared: int) -> Cut | None:
    """The fastest by the estimate; None where the matrix does not fit on the GPU, or its sizes into tiles."""
    found = list(cuts(problem, multiprocessors, shared))
    return min(found, key=lambda cut: (cycles(problem, cut), cut)) if found else None


def render(problem: Recurrence, cut: Cut) -> Persistent:
    """The launch that computes it, cut so."""
    described = {
        "Mode": (*MODES, "fp16").index(problem.products),
        "Steps": problem.steps,
        "Batch": problem.batch,
        "Hidden": problem.hidden,
        "Gates": problem.gates,
        "Terms": problem.terms,
        "Reverse": int(problem.reverse),
        "Relu": int(problem.relu),
        "BatchFirst": int(problem.batch_first),
        "Units": cut.units,
        "Sums": sums(problem, cut.units),
        "Rows": cut.rows,
        "Warps": cut.warps,
    }
    function, held = f"{problem.kind}_{problem.way}", TYPES[problem.dtype]
    entry = f"{function}_{'_'.join(map(str, described.values()))}_{held.lower()}"
    arguments = ARGUMENTS[problem.kind, problem.way].split()
    names = tuple(a.rstrip("*") for a in arguments)
    declared = ", ".join(_declared(a, held) for a in (*arguments, "arrivals*"))
    fields = ", ".join(f"{name} = {value}" for name, value in described.items())
    text = (
        f"struct Launch_{entry} {{ enum {{ {fields} }}; }};\n"
        f'extern "C" __global__ void __launch_bounds__({32 * cut.warps}) {entry}({declared})\n'
        f"{{\n    {function}<Launch_{entry}>({', '.join((*names, 'arrivals'))}, shared_floats());\n}}\n"
    )
    shared = shared_bytes(problem, cut)
    return Persistent(text, entry, names, grid(problem, cut), 32 * cut.warps, shared, arrivals(problem, cut))


def _declared(argument: str, held: str) -> str:
    name = argument.rstrip("*")
    kind = {"lengths": "int", "arrivals": "unsigned"}.get(name, held)
    return f"{'' if argument.endswith('*') else 'const '}{kind} *{name}"
