"""The arithmetic of a convolution's positions: which of the source's pixels each of the target's is a sum over.

A ``Correlation`` says it for the operation itself, whose source is the input, and for the input's gradient, whose
source is the output's gradient: there one for each residue of positions modulo the stride, since positions with
different residues see different taps. Along each axis separately, target position start + step * t sums over the source
positions origin + source_step * t + tap_step * i, its taps i.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from autograd_core.ops._windows import Windows

SHORTEST_LINE, LONGEST_LINE = 8, 96  # pixels in a line of a rearranged image


class Line(NamedTuple):
    """One axis of a pass: ``length`` target positions, ``taps`` source positions for each."""

    length: int
    start: int
    step: int
    origin: int
    source_step: int
    taps: int
    tap_step: int
    first_tap: int  # of the kernel: tap i is first_tap + i * tap_delta
    tap_delta: int

    @property
    def last_source(self) -> int:
        """The farthest source position."""
        return self.origin + self.source_step * (self.length - 1) + self.tap_step * (self.taps - 1)


Pass = tuple[Line, Line]


class Shape(NamedTuple):
    """A convolution of images with groups; one spatial axis counts as two, the first of length 1."""

    n: int
    channels: int  # of a group
    outputs: int  # of a group
    groups: int
    windows: Windows

    @property
    def taps(self) -> int:
        return self.windows.taps

    @property
    def flops(self) -> int:
        per_pixel = 2 * self.channels * self.outputs * self.groups * self.taps
        return self.n * self.windows.outputs * per_pixel


def shape_of(n: int, c_in: int, c_out: int, windows: Windows, groups: int, last: bool = False) -> Shape:
    """last: channels come last in both images, so that for a pointwise convolution all pixels are one sequence."""
    windows = planar(windows)
    if last and windows.taps == max(windows.stride) == 1 and windows.padded == windows.output == windows.size:
        n, windows = _rearranged(n, windows)
    return Shape(n, c_in // groups, c_out // groups, groups, windows)


def _rearranged(n: int, windows: Windows) -> tuple[int, Windows]:
    """The same pixels as one image with lines that tiles fit into, if their number has a suitable divisor."""
    pixels = n * windows.outputs
    width = next((d for d in range(LONGEST_LINE, SHORTEST_LINE - 1, -1) if pixels % d == 0), None)
    if width is None:
        return n, windows
    size = (pixels // width, width)
    return 1, windows._replace(size=size, output=size)


def planar(windows: Windows) -> Windows:
    """One axis as two, the first of length 1."""
    if len(windows.size) == 2:
        return windows
    size, kernel, stride, padding, dilation, output = windows
    return Windows((1, *size), (1, *kernel), (1, *stride), ((0, 0), *padding), (1, *dilation), (1, *output))


def forward_passes(windows: Windows) -> list[Pass]:
    lines = [
        Line(count, 0, 1, -padding[0], stride, taps, dilation, 0, 1)
        for count, padding, stride, taps, dilation in zip(
            windows.output, windows.padding, windows.stride, windows.kernel, windows.dilation
        )
    ]
    return [(lines[0], lines[1])]


def input_passes(windows: Windows) -> list[Pass]:
    """Of the input's gradient. Positions that no window saw are in none of them."""
    rows, columns = (_residues(windows, axis) for axis in (0, 1))
    return list(product(rows, columns))


def _residues(windows: Windows, axis: int) -> list[Line]:
    """Padded position stride * v + r meets the taps k with dilation * k = stride * e + r, of the outputs v - e."""
    size, taps, stride = windows.size[axis], windows.kernel[axis], windows.stride[axis]
    dilation, before = windows.dilation[axis], windows.padding[axis][0]
    lines = []
    for r in range(stride):
        kept = [k for k in reversed(range(taps)) if dilation * k % stride == r]
        first = max(0, -((r - before) // stride))
        count = (before + size - 1 - r) // stride + 1 - first
        if not kept or count < 1:
            continue
        shifts = [(dilation * k - r) // stride for k in kept]
        between = (shifts[0] - shifts[1], kept[1] - kept[0]) if len(kept) > 1 else (1, -1)
        start = stride * first + r - before
        lines.append(Line(count, start, stride, first - shifts[0], 1, len(kept), between[0], kept[0], between[1]))
    return lines


def covers(passes: list[Pass], size: tuple[int, ...]) -> bool:
    """Whether every target position is in a pass."""
    return sum(rows.length * columns.length for rows, columns in passes) == size[0] * size[1]
