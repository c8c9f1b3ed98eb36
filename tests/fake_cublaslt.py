"""cuBLASLt's functions over host memory, by NumPy, strict about what the real ones only assume.

Descriptors that were never created or are destroyed twice, attributes of a wrong type, layouts that do not fit each
other, addresses off their promised alignment, missing workspace and the default stream are errors here.
"""

from __future__ import annotations

import ctypes
from ctypes import c_byte, c_int32, c_int64, c_uint64
from functools import partial
from itertools import count
from typing import Any

import numpy as np
from fake_cupy.hardware import machine
from fake_cupy.runtime import get_current_stream
from ml_dtypes import bfloat16

from autograd_core.backends.cuda import cublaslt

NAMES = {number: name for name, number in cublaslt.DATA_TYPES.items()}
DTYPES = {number: np.dtype(bfloat16 if name == "bfloat16" else name) for number, name in NAMES.items()}
SCALES = {68: {0, 4}, 70: {1, 5}, 75: {0, 4}, 77: {0, 4}}  # the types that sums of each kind are scaled by
ATTRIBUTES = {
    "product": {3: c_int32, 4: c_int32},
    "layout": {5: c_int32, 6: c_int64},
    "preference": {1: c_uint64, 3: c_int32, **dict.fromkeys(range(5, 9), c_int32)},
}
INVALID, UNSUPPORTED = 7, 15
LONG, WORKSPACE = 64, 4096  # sums of more terms need so many bytes of workspace


class Refused(Exception):
    def __init__(self, why: str, status: int = INVALID):
        super().__init__(why)
        self.status = status


def require(condition: Any, why: str, status: int = INVALID) -> None:
    if not condition:
        raise Refused(why, status)


class Function:
    """One of the library's functions: a status number comes back, the reason is noted."""

    def __init__(self, library: FakeCublasLt, f: Any):
        self._library, self._f = library, f
        self.argtypes: Any = None
        self.restype: Any = None

    def __call__(self, *arguments: Any) -> int:
        assert self.restype is ctypes.c_int
        assert len(arguments) == len(self.argtypes)
        for argument, kind in zip(arguments, self.argtypes, strict=True):
            kind.from_param(argument)  # TypeError for what ctypes would not pass
        try:
            self._f(*arguments)
        except Refused as error:
            self._library.refusals.append(str(error))
            return error.status
        return 0


class FakeCublasLt:
    """living: what has been created and not destroyed; multiplied: products that ran; refusals: why calls failed."""

    def __init__(self) -> None:
        self.living: dict[int, dict[Any, Any]] = {}
        self.multiplied = 0
        self.refusals: list[str] = []
        self._numbers = count(1000)
        for kind, name in [("handle", ""), ("product", "MatmulDesc"), ("layout", "MatrixLayout")]:
            self._lifetime(kind, name)
        self._lifetime("preference", "MatmulPreference")
        self.cublasLtMatmulAlgoGetHeuristic = Function(self, self._choose)
        self.cublasLtMatmul = Function(self, self._multiply)

    def _lifetime(self, kind: str, name: str) -> None:
        def create(made: Any, *described: Any) -> None:
            if kind == "product":
                compute, scale = described
                require(scale in SCALES.get(compute, ()), f"sums in {compute} are not scaled by {scale}")
            made._obj.value = number = next(self._numbers)
            self.living[number] = {"kind": kind, "described": described}

        def destroy(made: Any) -> None:
            self._of(made, kind)
            del self.living[made.value]

        def assign(made: Any, attribute: int, value: Any, size: int) -> None:
            expected = ATTRIBUTES[kind].get(attribute)
            require(expected is type(value._obj), f"attribute {attribute} of a {kind} is a {expected}")
            require(size == ctypes.sizeof(value._obj), "another size")
            self._of(made, kind)[attribute] = value._obj.value

        setattr(self, f"cublasLt{name}Create", Function(self, create))
        setattr(self, f"cublasLt{name}Destroy", Function(self, destroy))
        if kind in ATTRIBUTES:
            setattr(self, f"cublasLt{name}SetAttribute", Function(self, assign))

    def _of(self, made: Any, kind: str) -> dict[Any, Any]:
        found = self.living.get(made.value, {})
        require(found.get("kind") == kind, f"{made} is no {kind}, or no more")
        return found

    def _problem(self, product: Any, a: Any, b: Any, d: Any) -> tuple[dict[Any, Any], list[dict[Any, Any]], int]:
        described = self._of(product, "product")
        layouts = [self._of(x, "layout") for x in (a, b, d)]
        kinds, sizes = set(), []
        for layout, transposed in zip(layouts, (described.get(3, 0), described.get(4, 0), 0), strict=True):
            kind, rows, columns, leading = layout["described"]
            require(rows > 0 and columns > 0 and leading >= rows, f"no matrix: {layout}")
            require(layout.get(5, 1) > 0 and layout.get(6, 0) >= 0, f"no stack: {layout}")
            kinds.add(kind)
            sizes.append((columns, rows) if transposed else (rows, columns))
        (m, k), (other_k, n), result = sizes
        require(k == other_k and result == (m, n), f"sizes {sizes} do not fit")
        require(len({x.get(5, 1) for x in layouts}) == 1, "stacks of different heights")
        require(len(kinds) == 1, f"dtypes {kinds}", UNSUPPORTED)
        return described, layouts, k

    def _choose(self, handle: Any, product: Any, a: Any, b: Any, c: Any, d: Any, preference: Any, *rest: Any) -> None:
        wanted, best, found = rest
        require(wanted == 1 and c is d, "one algorithm, in place, is all that this knows")
        self._of(handle, "handle")
        _, _, k = self._problem(product, a, b, d)
        asked = self._of(preference, "preference")
        require(not asked[3] & 1, "sums added in place have no fixed order")
        needs = WORKSPACE if k > LONG and asked[1] >= WORKSPACE else 0
        best._obj.workspace = needs
        best._obj.algorithm.words[0] = asked[5]  # the alignment that it counts on
        found._obj.value = 1

    def _multiply(self, handle: Any, product: Any, *rest: Any) -> None:
        alpha, a, a_layout, b, b_layout, beta, c, c_layout, d, d_layout, algorithm, workspace, size, stream = rest
        self._of(handle, "handle")
        described, layouts, _ = self._problem(product, a_layout, b_layout, d_layout)
        require(c == d and c_layout is d_layout, "not in place")
        require(stream, "the default stream is not ours")
        alignment = algorithm._obj.words[0]
        require(not any(p % alignment for p in (a, b, d)), f"addresses are not multiples of {alignment}")
        if size:
            require(size == WORKSPACE and workspace and not workspace % 16, "no workspace")
            ctypes.memset(workspace, 0xA5, size)  # it must be ours to write
        scale = DTYPES[described["described"][1]]
        factors = [np.frombuffer(_bytes(p, scale.itemsize), scale)[0] for p in (alpha, beta)]
        transposed = described.get(3), described.get(4)
        run = partial(self._run, layouts, transposed, scale, factors, (a, b, d))
        queue = machine.queue
        if queue.capture is None:
            run()
            return
        require(get_current_stream().ptr == stream, "another stream than the one that is captured")
        touched = [
            machine.access(address, _span(layout) * DTYPES[layout["described"][0]].itemsize, writes=address == d)
            for address, layout in zip((a, b, d), layouts, strict=True)
        ]
        if size:
            touched.append(machine.access(workspace, size, writes=True))
        queue.capture.add(queue, "cublasLtMatmul", run, touched)

    def _run(self, layouts: Any, transposed: Any, scale: Any, factors: Any, addresses: Any) -> None:
        kind = layouts[0]["described"][0]
        x, y, out = (_matrices(p, layout, DTYPES[kind]) for p, layout in zip(addresses, layouts, strict=True))
        x = x.mT if transposed[0] else x
        y = y.mT if transposed[1] else y
        result = factors[0] * (x.astype(scale) @ y.astype(scale))
        out[...] = result + factors[1] * out.astype(scale) if factors[1] else result
        self.multiplied += 1


def _bytes(address: int, size: int) -> Any:
    return (c_byte * size).from_address(address)


def _span(layout: dict[Any, Any]) -> int:
    """Elements from its first to its last."""
    _, rows, columns, leading = layout["described"]
    return (layout.get(5, 1) - 1) * layout.get(6, 0) + (columns - 1) * leading + rows


def _matrices(address: int, layout: dict[Any, Any], dtype: np.dtype) -> np.ndarray:
    """The stack in memory; only what it spans is touched."""
    _, rows, columns, leading = layout["described"]
    height, step = layout.get(5, 1), layout.get(6, 0)
    flat = np.frombuffer(_bytes(address, _span(layout) * dtype.itemsize), dtype)
    strides = tuple(s * dtype.itemsize for s in (step, 1, leading))
    return np.lib.stride_tricks.as_strided(flat, (height, rows, columns), strides)
