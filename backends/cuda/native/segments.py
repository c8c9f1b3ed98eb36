"""One launch over many arrays: elementwise kernels of one form, such as an optimizer's updates of all parameters.

See ``compiler/horizontal.py``. The kernel's one operand is a table in the device's memory (``table``): where each
segment begins and ends among all blocks, and where its arrays are. So neither lengths nor addresses are in the code.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autograd_core.compiler.loops import Load, LoopKernel, Map, Store

from . import once
from .c_types import memory_type
from .form import Form, form, live
from .lanes import MOST, Lanes
from .source import WAIT, Launch, Sizes, Source
from .writer import Writer

DEFAULT = Sizes()
HEAD = 2  # numbers before the segments; of each segment two, and its addresses


def segments(kernel: LoopKernel, lengths: Sequence[int], name: str, *, sizes: Sizes = DEFAULT) -> Source:
    """The code of an elementwise kernel of one point, for segments of these lengths; the code is the same for all.

    Operands: ``table(kernel, lengths, addresses)``. An array that lies on no boundary of a pack is moved element by
    element, and so are the others of its segment.
    """
    found = _contiguous(kernel)
    width, blocks = _width(found, sizes), _blocks(found, lengths, sizes)
    w = Writer()
    needed = live(found)
    constant, inside = ([p for p in needed if found.inside(p) == wanted] for wanted in (False, True))
    with w.block(f'extern "C" __global__ void __launch_bounds__({sizes.threads}) {name}(const long long *a)'):
        w.line(WAIT)
        once.declare(w, found, constant, inside)
        with w.block("for (long long block = blockIdx.x; block < a[1]; block += gridDim.x)"):
            _find(w, found)
            once.define(w, found, constant, inside)
            w.line(f"const long long c0 = ((block - segment[0]) * {sizes.threads} + threadIdx.x) * {width};")
            with w.block("if (c0 < length)"):
                _points(w, found, inside, width)
    grid = min(sizes.blocks, sum(blocks))
    return Source(w.text, (Launch(name, grid, sizes.threads),) if grid else (), (8,))


def _find(w: Writer, found: Form) -> None:
    """The last segment that begins at this block or before, and its arrays."""
    each = HEAD + len(found.operands)
    w.line("int low = 0, high = (int)a[0] - 1;")
    with w.block("while (low < high)"):
        w.line("const int middle = (low + high + 1) / 2;")
        w.line(f"if (a[{HEAD} + {each} * middle] <= block) low = middle;")
        w.line("else high = middle - 1;")
    w.line(f"const long long *const segment = a + {HEAD} + {each} * low;")
    w.line("const long long length = segment[1];")
    for i, dtype in enumerate(found.operands):
        kind = ("" if i in found.outputs else "const ") + memory_type(dtype)
        w.line(f"{kind} *const a{i} = ({kind} *)segment[{HEAD + i}];")
        w.line(f"__builtin_assume(__isGlobal(a{i}));")  # else the compiler asks at every load


def _points(w: Writer, found: Form, inside: Sequence[int], width: int) -> None:
    if width == 1:
        Lanes(w, found).run(inside)
        return
    lanes = Lanes(w, found, width, extent="length")
    whole = {found.body[p].access.operand for p in inside if lanes.packed(p)}
    apart = " | ".join(f"(unsigned long long)a{i} % {width * found.operands[i].itemsize}" for i in sorted(whole))
    with w.block(f"if (({apart}) == 0)"):
        lanes.run(inside)
    with w.block("else"):
        Lanes(w, found, width, whole, extent="length").run(inside)


def table(
    kernel: LoopKernel, lengths: Sequence[int], addresses: Sequence[int], *, sizes: Sizes = DEFAULT
) -> np.ndarray:
    """What the operand holds. addresses: of the first segment's operands, at their first elements, then the next's."""
    count, blocks = len(kernel.operands), _blocks(_contiguous(kernel), lengths, sizes)
    before = np.cumsum([0, *blocks])
    rows = np.zeros((len(lengths), HEAD + count), np.int64)
    rows[:, 0], rows[:, 1] = before[:-1], lengths
    rows[:, HEAD:] = np.array(addresses, np.uint64).view(np.int64).reshape(len(lengths), count)
    return np.concatenate([np.array([len(lengths), before[-1]], np.int64), rows.reshape(-1)])


def _contiguous(kernel: LoopKernel) -> Form:
    if kernel.outer or kernel.inner != (1,):
        raise ValueError(f"segments: a kernel of one inner point, whose segments tell how many; got {kernel}")
    for s in kernel.body:
        if isinstance(s, Load | Store):
            step = s.access.strides[0]
            if s.access.offset or step not in (0, 1) or (isinstance(s, Store) and not step):
                raise ValueError(f"segments: arrays are contiguous from their first element, or one number; got {s}")
        elif not isinstance(s, Map) and hasattr(s, "access"):
            raise ValueError(f"segments: an elementwise kernel; got {s}")
    return form(kernel._replace(inner=(2,)))._replace(inner=(1,))  # one point would be merged away


def _width(found: Form, sizes: Sizes) -> int:
    whole = [s.access.operand for s in found.body if isinstance(s, Load | Store) and s.access.strides[0]]
    size = max((found.operands[i].itemsize for i in whole), default=sizes.vector)
    return max(1, min(MOST, sizes.vector // size))


def _blocks(found: Form, lengths: Sequence[int], sizes: Sizes) -> list[int]:
    share = sizes.threads * _width(found, sizes)
    return [-(-n // share) for n in lengths]
