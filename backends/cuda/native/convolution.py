"""Convolution and its two gradients as launches: products on tensor cores of matrices that are never laid out.

The convolution is, of each group, weight (channels, terms) x what the windows see (terms, pixels), where a term is a
tap of a channel. The input's gradient is the same with the roles of input and output exchanged, once for every
remainder that a place leaves when it is divided by the stride. The weight's is slopes (channels, pixels) x what the
windows see (pixels, terms), and blocks share the pixels. Blocks copy the elements of both factors to shared memory from
where they lie. Where a group has so few channels that tiles would be mostly empty, each thread has sums of its own.

Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import gcd, prod
from typing import NamedTuple

from autograd_core.ops._windows import Windows

from .source import Launch, Source

MODES = ("fp32", "tf32", "bf16")
FILES = ("arithmetic", "blocks", "tensor_cores", "factors", "convolution", "convolution_direct")
MULTIPROCESSORS = 132  # of a large GPU: how work is cut follows from the sizes alone, so that results do too
WORKSPACE = 64 << 20  # most bytes of partial sums
FEWEST = 8  # chunks of pixels that a block sums up
RUN, WINDOW = 4, 16  # neighbours that a thread computes, and most elements that it then holds
ALIGNMENT = 256


class Convolution(NamedTuple):
    """One of the three. kind: "forward", "input" or "weight"; channels: (of the input, of the output), of each group.

    The others have an entry for each of three axes; padding: what is before the input. mode: of the products.
    """

    kind: str
    batch: int
    groups: int
    channels: tuple[int, int]
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    output: tuple[int, ...]
    bias: bool = False
    mode: str = "fp32"

    @property
    def adjoint(self) -> bool:
        return self.kind == "input"

    @property
    def phases(self) -> int:
        return prod(self.stride) if self.adjoint else 1

    @property
    def rows(self) -> int:
        """Channels, of a group, of what is computed; for the weight, its output channels."""
        return self.channels[0 if self.adjoint else 1]

    @property
    def terms(self) -> int:
        """Channels, of a group, that are summed over; for the weight, its input channels."""
        return self.channels[1 if self.adjoint else 0]

    @property
    def taps(self) -> int:
        return prod(self.kernel)

    @property
    def pixels(self) -> int:
        """Of the largest phase of what is computed; for the weight, of the outputs."""
        if not self.adjoint:
            return self.batch * prod(self.output)
        return self.batch * prod(-(-n // s) for n, s in zip(self.size, self.stride, strict=True))

    @property
    def products(self) -> int:
        """Multiplications of the convolution, those with padding too; the gradients have as many."""
        outputs = self.batch * self.groups * self.channels[1] * prod(self.output)
        return outputs * self.channels[0] * self.taps

    @property
    def most_taps(self) -> int:
        """Of the kernel that meet one element of what is computed."""
        if not self.adjoint:
            return self.taps
        every = [s // gcd(s, d) for s, d in zip(self.stride, self.dilation, strict=True)]
        return prod(-(-k // e) for k, e in zip(self.kernel, every, strict=True))

    @property
    def inside(self) -> tuple[bool, ...]:
        """Of each axis, whether no window meets the padding."""
        return tuple(
            p == 0 and s * (t - 1) + d * (k - 1) < n
            for n, k, s, p, d, t in zip(
                self.size, self.kernel, self.stride, self.padding, self.dilation, self.output, strict=True
            )
        )

    @property
    def elements(self) -> int:
        """Of the largest of the three arrays."""
        inputs = self.batch * self.groups * self.channels[0] * prod(self.size)
        outputs = self.batch * self.groups * self.channels[1] * prod(self.output)
        return max(inputs, outputs, self.groups * prod(self.channels) * self.taps)


def convolution(
    kind: str,
    batch: int,
    channels: tuple[int, int],
    windows: Windows,
    groups: int,
    *,
    bias: bool = False,
    mode: str = "fp32",
) -> Convolution:
    """channels: of the whole input and the whole output. Axes before the windows' have length 1."""

    def axes(values: Sequence[int], neutral: int = 1) -> tuple[int, ...]:
        return (*[neutral] * (3 - len(values)), *values)

    return Convolution(
        kind,
        batch,
        groups,
        (channels[0] // groups, channels[1] // groups),
        axes(windows.size),
        axes(windows.kernel),
        axes(windows.stride),
        axes([before for before, _ in windows.padding], 0),
        axes(windows.dilation),
        axes(windows.output),
        bias,
        mode,
    )


class Cut(NamedTuple):
    """A block's part: ``down`` x ``across`` sums, of which each warp has an equal part. stages: chunks on their way."""

    down: int
    across: int
    warps_down: int
    warps_across: int
    stages: int = 3
    splits: int = 1

    @property
    def threads(self) -> int:
        return 32 * self.warps_down * self.warps_across


CUTS = (
    Cut(128, 128, 2, 4),
    Cut(64, 128, 2, 4),
    Cut(128, 64, 4, 2),
    Cut(64, 64, 2, 2),
    Cut(32, 128, 1, 4),
    Cut(32, 64, 2, 2),
    Cut(16, 128, 1, 4),
    Cut(16, 64, 1, 2),
)
RATES = {"fp32": 170, "tf32": 512, "bf16": 1024}  # multiply-adds a clock cycle of a multiprocessor; not measured


def is_direct(problem: Convolution) -> bool:
    """Whether tiles of 16 rows would be mostly empty: depthwise layers, and few channels of a result."""
    if problem.kind == "weight":
        return problem.channels[0] * problem.channels[1] <= 2 and problem.taps <= 32
    return problem.rows <= 2


def padded_channels(problem: Convolution) -> int:
    """Filled up to whole chunks, if that is not much more; else chunks go on from tap to tap."""
    filled = -(-problem.terms // 16) * 16
    return filled if 8 * filled <= 9 * problem.terms else problem.terms


def most_chunks(problem: Convolution) -> int:
    return max(1, -(-problem.most_taps * padded_channels(problem) // 16))


def chunks_of_pixels(problem: Convolution) -> int:
    return -(-problem.pixels // 16)


def tiles(problem: Convolution, cut: Cut) -> tuple[int, int]:
    """Of rows, and of pixels or the weight's columns."""
    columns = problem.terms * problem.taps if problem.kind == "weight" else problem.pixels
    return -(-problem.rows // cut.down), -(-columns // cut.across)


def grid(problem: Convolution, cut: Cut) -> int:
    return prod(tiles(problem, cut)) * problem.groups * problem.phases * cut.splits


def cycles(problem: Convolution, cut: Cut) -> float:
    """An estimate of the clock cycles that all takes on a large GPU; not measured."""
    chunks = most_chunks(problem) if problem.kind != "weight" else -(-chunks_of_pixels(problem) // cut.splits)
    products = cut.down * cut.across * 16 / RATES[problem.mode]
    copied = (cut.down + cut.across) * 16 / 12
    block = (max(products, copied) + 40) * chunks + 1500
    turns = -(-grid(problem, cut) // MULTIPROCESSORS)
    added = 4 * cut.splits * prod(problem.channels) * problem.groups * problem.taps / 100_000 if cut.splits > 1 else 0
    return turns * block + added


def together(problem: Convolution, cut: Cut) -> int:
    """Blocks that the compiler is to leave registers for on a multiprocessor: of 16 warps, if that leaves it enough."""
    sums = cut.down * cut.across // cut.threads * (2 if problem.mode == "fp32" else 1)
    copies_much = problem.kind == "weight" or cut.threads <= cut.across
    return 16 * 32 // cut.threads if sums <= (32 if copies_much else 64) else 1


def splits(problem: Convolution, blocks: int, smallest: int) -> int:
    """Blocks that share a weight's pixels, of which each has ``smallest`` or more: as many as fill a large GPU."""
    if problem.kind != "weight":
        return 1
    wanted = 2 * MULTIPROCESSORS // max(1, blocks)
    return max(1, min(wanted, problem.pixels // smallest, WORKSPACE // (4 * weights(problem))))


def weights(problem: Convolution) -> int:
    """Elements of the weight."""
    return prod(problem.channels) * problem.groups * problem.taps


@lru_cache(1024)
def best_cut(problem: Convolution) -> Cut:
    """The fastest by the estimate; the same on every GPU, and so is the order of sums."""
    found = [cut._replace(splits=splits(problem, grid(problem, cut), FEWEST * 16)) for cut in CUTS]
    return min(found, key=lambda cut: (cycles(problem, cut), cut))


def render(problem: Convolution, name: str, cut: Cut | None = None) -> Source:
    """The launches that compute it. Operands: as the primitive has them, then its result."""
    if is_direct(problem):
        return _direct(problem, name)
    cut = cut or best_cut(problem)
    return _correlated(problem, name, cut) if problem.kind == "weight" else _gathered(problem, name, cut)


def _gathered(problem: Convolution, name: str, cut: Cut) -> Source:
    rows, pixels = tiles(problem, cut)
    lanes = problem.phases * problem.groups * most_chunks(problem) * rows * cut.down // 16 * 32
    quads = 1 if problem.mode == "bf16" else 2
    fields = _sizes(problem) | _tiles(problem, cut) | {"PixelTiles": pixels, "MostChunks": most_chunks(problem)}
    struct = f"{name}_sizes"
    bias, target = ("a2", "a3") if problem.bias else ("nullptr", "a2")
    shared = 4 * cut.stages * (cut.down * 8 * quads + 16 * (cut.across + 8))
    entries = [
        (Launch(f"{name}_ordered", -(-lanes // 256), 256), f"ordered<{struct}>(a1, (float4 *)workspace);"),
        (
            Launch(name, grid(problem, cut), cut.threads, shared),
            f"gathered<{struct}>(a0, (const float4 *)workspace, {bias}, {target}, shared_floats());",
        ),
    ]
    operands = (16 if fields["Wide"] == 4 else 4, 4, *[4] * problem.bias, 8)
    return _source(struct, fields, entries, operands, _whole(lanes * 16 * quads), together(problem, cut))


def _correlated(problem: Convolution, name: str, cut: Cut) -> Source:
    fields = _sizes(problem) | _tiles(problem, cut) | {"Splits": cut.splits}
    struct, shared = f"{name}_sizes", 4 * cut.stages * 16 * (cut.down + cut.across)
    to = "(float *)workspace" if cut.splits > 1 else "a2"
    entries = [
        (Launch(name, grid(problem, cut), cut.threads, shared), f"correlated<{struct}>(a0, a1, {to}, shared_floats());")
    ]
    entries += _added_up(problem, name, cut.splits)
    operands = (4, 16 if fields["Wide"] == 4 else 4, 4)
    return _source(struct, fields, entries, operands, _partial(problem, cut.splits), together(problem, cut))


def _direct(problem: Convolution, name: str) -> Source:
    struct = f"{name}_sizes"
    if problem.kind == "weight":
        pairs = prod(problem.channels) * problem.groups
        parts = splits(problem, pairs, 1024)
        entries = [(Launch(name, pairs * parts, 128), "correlated_directly<{}>(a0, a1, {});")]
        to = "(float *)workspace" if parts > 1 else "a2"
        entries = [(launch, body.format(struct, to)) for launch, body in entries] + _added_up(problem, name, parts)
        return _source(struct, _sizes(problem) | {"Splits": parts}, entries, (4, 4, 4), _partial(problem, parts))
    bias, target = ("a2", "a3") if problem.bias else ("nullptr", "a2")
    run = _run(problem)
    along = problem.size if problem.adjoint else problem.output
    lines = problem.batch * problem.groups * problem.rows
    for n, s in zip(along, problem.stride if problem.adjoint else (1, 1, 1), strict=True):
        lines *= -(-n // s)
    last = -(-along[2] // (problem.stride[2] if problem.adjoint else 1))
    threads = lines // last * -(-last // run)
    entries = [
        (
            Launch(name, -(-threads // 128) * problem.phases, 128),
            f"summed<{struct}>(a0, a1, {bias}, {target});",
        )
    ]
    operands = (4, 4, *[4] * problem.bias, 16 if run == 4 and along[2] % 4 == 0 else 4)
    return _source(struct, _sizes(problem) | {"Run": run}, entries, operands, 0)


def _run(problem: Convolution) -> int:
    """Neighbours that a thread computes: some, where their windows overlap."""
    step = 1 if problem.adjoint else problem.stride[2]
    window = step * (RUN - 1) + problem.dilation[2] * (problem.kernel[2] - 1) + 1
    return RUN if problem.phases == 1 and window <= WINDOW else 1


def _sizes(problem: Convolution) -> dict[str, int]:
    """What every launch is told of the operation."""
    p = problem
    axes = {
        "Size": p.size,
        "Kernel": p.kernel,
        "Stride": p.stride,
        "Padding": p.padding,
        "Dilation": p.dilation,
        "Output": p.output,
        "Inside": tuple(map(int, p.inside)),
        "Common": tuple(map(gcd, p.stride, p.dilation)),
        "Inverse": tuple(map(_inverse, p.stride, p.dilation)),
    }
    found = {
        "Mode": MODES.index(p.mode),
        "Adjoint": int(p.adjoint),
        "Bias": int(p.bias),
        "Batch": p.batch,
        "Groups": p.groups,
        "Rows": p.rows,
        "Channels": p.terms,
        "Phases": p.phases,
    }
    return found | {f"{name}{a}": values[a] for name, values in axes.items() for a in range(3)}


def _inverse(stride: int, dilation: int) -> int:
    """The tap, if any, that lies gcd(stride, dilation) further than a multiple of the stride."""
    common = gcd(stride, dilation)
    return pow(dilation // common, -1, stride // common) if stride > common else 0


def _tiles(problem: Convolution, cut: Cut) -> dict[str, int]:
    """What launches of tiles are told beside."""
    return {
        "Padded": padded_channels(problem),
        "Down": cut.down,
        "Across": cut.across,
        "WarpsDown": cut.warps_down,
        "WarpsAcross": cut.warps_across,
        "Stages": cut.stages,
        "RowTiles": tiles(problem, cut)[0],
        "Wide": _wide(problem),
    }


def _wide(problem: Convolution) -> int:
    """Numbers that are copied at once: some, where neighbours among pixels always are neighbours in memory."""
    p = problem
    if p.kind == "weight":
        return 4 if prod(p.output) % 4 == 0 else 1
    pointwise = p.taps == 1 and set(p.stride) == {1} and p.size == p.output and not any(p.padding)
    return 4 if pointwise and prod(p.size) % 4 == 0 else 1


def _partial(problem: Convolution, parts: int) -> int:
    return _whole(4 * weights(problem) * parts) if parts > 1 else 0


def _whole(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _added_up(problem: Convolution, name: str, parts: int) -> list[tuple[Launch, str]]:
    """The last launch, where blocks have left partial sums."""
    if parts == 1:
        return []
    size = weights(problem)
    body = f"added_up<{parts}, {size}>((const float *)workspace, a2);"
    return [(Launch(f"{name}_sum", -(-size // 32), 256), body)]


def _source(
    struct: str,
    fields: dict[str, int],
    entries: list[tuple[Launch, str]],
    operands: tuple[int, ...],
    workspace: int,
    blocks: int = 0,
) -> Source:
    """operands: what each pointer must be a multiple of; the last is written. blocks: of launches with dynamic shared
    memory, to be on a multiprocessor together.
    """
    text = f"struct {struct} {{ enum {{ {', '.join(f'{name} = {value}' for name, value in fields.items())} }}; }};\n"
    last = len(operands) - 1
    declared = [f"{'const ' if i < last else ''}float *__restrict__ a{i}" for i in range(len(operands))]
    declared += ["char *__restrict__ workspace"] if workspace else []
    for launch, body in entries:
        bounds = f"{launch.block}, {blocks}" if launch.shared else f"{launch.block}"
        head = f'extern "C" __global__ void __launch_bounds__({bounds}) {launch.entry}({", ".join(declared)})'
        text += f"{head}\n{{\n    {body}\n}}\n"
    return Source(text, tuple(launch for launch, _ in entries), operands, workspace, files=FILES)
