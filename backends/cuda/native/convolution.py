"""Convolution and its two gradients as products on tensor cores of matrices that are never laid out: cut into blocks.

The convolution is, of each group, weight (channels, terms) x what the windows see (terms, pixels), where a term is a
tap of a channel. The input's gradient is the same with the roles of input and output exchanged, once for every
remainder that a place leaves when it is divided by the stride. The weight's is slopes (channels, pixels) x what the
windows see (pixels, terms), and blocks share the pixels. Blocks copy the elements of both factors to shared memory from
where they lie. Where a group has so few channels that tiles would be mostly empty, each thread has sums of its own.
``convolution_launches`` renders it. Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import gcd, prod
from typing import NamedTuple

from autograd_core.ops._windows import Windows

from .modes import HALF_MODES

MULTIPROCESSORS = 132  # of a large GPU: how work is cut follows from the sizes alone, so that results do too
WORKSPACE = 64 << 20  # most bytes of partial sums
FEWEST = 8  # chunks of pixels that a block sums up


class Convolution(NamedTuple):
    """One of the three. kind: "forward", "input" or "weight"; channels: (of the input, of the output), of each group.

    The others have an entry for each of three axes; padding: what is before the input. mode: of the products. dtype: of
    all arrays; sums are float32.
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
    dtype: str = "float32"

    def in_mode(self, mode: str) -> Convolution:
        """The same in a math mode, which halves do not have."""
        return self if self.halves else self._replace(mode=mode)

    @property
    def halves(self) -> bool:
        return self.dtype in HALF_MODES

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
    dtype: str = "float32",
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
        HALF_MODES.get(dtype, mode),
        dtype,
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
# Multiply-adds a clock cycle of a multiprocessor; not measured.
RATES = {"fp32": 170, "tf32": 512, "bf16": 1024, "fp16": 1024}


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
    """Blocks that the compiler is to leave registers for on a multiprocessor: of 16 warps, if that leaves it enough; of
    12 where each thread keeps the places of 16 columns.
    """
    sums = cut.down * cut.across // cut.threads * (2 if problem.mode == "fp32" else 1)
    copies_much = problem.kind == "weight" or cut.threads <= cut.across
    warps = 12 if problem.kind == "weight" and cut.threads <= cut.across and not problem.halves else 16
    return 32 * warps // cut.threads if sums <= (32 if copies_much else 64) else 1


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
