"""Loop kernels as CUDA C: which of the shapes a kernel gets.

points    elementwise work and totals, in packs of neighbours                        points.py
tiles     the same where some arrays are contiguous along another dimension          tiles.py
rows      reductions over inner points: a team of threads a row, in stages           rows.py
across    the same where neighbours in memory are rows                               rows.py, teams.py
columns   accumulations for each inner point: rows of a kernel that is turned round  form.py
split     few long rows: parts of rows, and a launch for every stage                 rows.py
"""

from __future__ import annotations

from collections.abc import Collection

from autograd_core.compiler.loops import LoopKernel

from .form import form
from .points import points
from .rows import rows
from .source import Sizes, Source
from .tiles import rows_of_tiles, tiles

DEFAULT = Sizes()


def loop_kernel(kernel: LoopKernel, name: str, *, sizes: Sizes = DEFAULT, misaligned: Collection[int] = ()) -> Source:
    """The kernel's code, with ``name`` at the start of every entry's.

    misaligned: operands whose pointers may be at any element; see ``Source.alignment``. TypeError for a dtype or an
    operation that CUDA does not render; ValueError for one that writes where other threads may still have to read.
    """
    found = form(kernel)
    if found.reduces:
        return rows(kernel, found, name, sizes, misaligned)
    over = rows_of_tiles(found)
    if over is not None:
        return tiles(kernel, found, over, name, sizes)
    return points(kernel, found, name, sizes, misaligned)
