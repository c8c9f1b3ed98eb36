"""The launches of a convolution, of its gradients: CUDA C with the shapes at hand. Not yet run on hardware."""

from __future__ import annotations

from math import gcd, prod

from .c_types import HALVES
from .convolution import (
    Convolution,
    Cut,
    best_cut,
    grid,
    is_direct,
    most_chunks,
    padded_channels,
    splits,
    tiles,
    together,
    weights,
)
from .modes import MODES
from .source import WAIT, Launch, Source

KERNELS = ("convolution_places", "convolution", "convolution_halves", "convolution_direct")
FILES = ("arithmetic", "half", "blocks", "tensor_cores", "factors", *KERNELS)
TYPES = {"float32": "float", **HALVES}
PRODUCTS = (*MODES, "fp16")  # as tensor_cores.cuh numbers them
RUN, WINDOW = 4, 16  # neighbours that a thread computes, and most elements that it then holds
ALIGNMENT = 256


def render(problem: Convolution, name: str, cut: Cut | None = None) -> Source:
    """The launches that compute it. Operands: as the primitive has them, then its result."""
    if is_direct(problem):
        return _direct(problem, name)
    cut = cut or best_cut(problem)
    return _correlated(problem, name, cut) if problem.kind == "weight" else _gathered(problem, name, cut)


def _gathered(problem: Convolution, name: str, cut: Cut) -> Source:
    rows, pixels = tiles(problem, cut)
    lanes = problem.phases * problem.groups * most_chunks(problem) * rows * cut.down // 16 * 32
    quads = 1 if problem.mode in ("bf16", "fp16") else 2
    fields = _sizes(problem) | _tiles(problem, cut) | {"PixelTiles": pixels, "MostChunks": most_chunks(problem)}
    struct, kind = f"{name}_sizes", _kind(problem)
    bias, target = ("a2", "a3") if problem.bias else (f"(const {_type(problem)} *)nullptr", "a2")
    words = 8 if problem.halves else 16  # of a chunk's pixel
    shared = 4 * cut.stages * (cut.down * 8 * quads + words * (cut.across + 8))
    entries = [
        (Launch(f"{name}_ordered", -(-lanes // 256), 256), f"ordered{kind}<{struct}>(a1, (float4 *)workspace);"),
        (
            Launch(name, grid(problem, cut), cut.threads, shared),
            f"gathered{kind}<{struct}>(a0, (const float4 *)workspace, {bias}, {target}, shared_floats());",
        ),
    ]
    operands = (fields["Wide"], 1, *[1] * problem.bias, 2)
    return _source(problem, struct, fields, entries, operands, _whole(lanes * 16 * quads), together(problem, cut))


def _correlated(problem: Convolution, name: str, cut: Cut) -> Source:
    fields = _sizes(problem) | _tiles(problem, cut) | {"Splits": cut.splits}
    struct, words = f"{name}_sizes", 8 if problem.halves else 16  # of a chunk's row, or column
    to = "(float *)workspace" if cut.splits > 1 else "a2"
    body = f"correlated{_kind(problem)}<{struct}>(a0, a1, {to}, shared_floats());"
    entries = [(Launch(name, grid(problem, cut), cut.threads, 4 * cut.stages * words * (cut.down + cut.across)), body)]
    entries += _added_up(problem, name, cut.splits)
    operands = (1, fields["Wide"], 1)
    workspace = _partial(problem, cut.splits)
    return _source(problem, struct, fields, entries, operands, workspace, together(problem, cut))


def _direct(problem: Convolution, name: str) -> Source:
    struct = f"{name}_sizes"
    if problem.kind == "weight":
        pairs = prod(problem.channels) * problem.groups
        parts = splits(problem, pairs, 1024)
        entries = [(Launch(name, pairs * parts, 128), "correlated_directly<{}>(a0, a1, {});")]
        to = "(float *)workspace" if parts > 1 else "a2"
        entries = [(launch, body.format(struct, to)) for launch, body in entries] + _added_up(problem, name, parts)
        fields = _sizes(problem) | {"Splits": parts}
        return _source(problem, struct, fields, entries, (1, 1, 1), _partial(problem, parts))
    bias, target = ("a2", "a3") if problem.bias else (f"(const {_type(problem)} *)nullptr", "a2")
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
    operands = (1, 1, *[1] * problem.bias, 4 if run == 4 and along[2] % 4 == 0 else 1)
    return _source(problem, struct, _sizes(problem) | {"Run": run}, entries, operands, 0)


def _type(problem: Convolution) -> str:
    return TYPES[problem.dtype]


def _kind(problem: Convolution) -> str:
    """What the names of tiles' functions end in."""
    return "_halves" if problem.halves else ""


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
        "Mode": PRODUCTS.index(p.mode),
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
        most = (8, 4, 2) if p.halves else (4,)  # copies that go on meanwhile are of 4 bytes or more
        return next((n for n in most if prod(p.output) % n == 0), 1)
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
    problem: Convolution,
    struct: str,
    fields: dict[str, int],
    entries: list[tuple[Launch, str]],
    operands: tuple[int, ...],
    workspace: int,
    blocks: int = 0,
) -> Source:
    """operands: how many elements each pointer must be a multiple of; the last is written. blocks: of launches with
    dynamic shared memory, to be on a multiprocessor together.
    """
    text = f"struct {struct} {{ enum {{ {', '.join(f'{name} = {value}' for name, value in fields.items())} }}; }};\n"
    last = len(operands) - 1
    held = _type(problem)
    declared = [f"{'const ' if i < last else ''}{held} *__restrict__ a{i}" for i in range(len(operands))]
    declared += ["char *__restrict__ workspace"] if workspace else []
    for launch, body in entries:
        bounds = f"{launch.block}, {blocks}" if launch.shared else f"{launch.block}"
        head = f'extern "C" __global__ void __launch_bounds__({bounds}) {launch.entry}({", ".join(declared)})'
        text += f"{head}\n{{\n    {WAIT}\n    {body}\n}}\n"
    alignment = tuple((2 if problem.halves else 4) * n for n in operands)
    return Source(text, tuple(launch for launch, _ in entries), alignment, workspace, files=FILES)
