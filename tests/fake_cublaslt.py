"""cuBLASLt's functions over host memory, by NumPy, strict about what the real ones only assume.

Descriptors that were never created or are destroyed twice, attributes of a wrong type, layouts that do not fit each
other, addresses off their promised alignment, results over what is still read, epilogues that the documentation
excludes, missing workspace and the default stream are errors here.
"""

from __future__ import annotations

import ctypes
from ctypes import c_byte, c_int32, c_int64, c_uint32, c_uint64, c_void_p
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
    "product": {3: c_int32, 4: c_int32, 7: c_uint32, 8: c_void_p, 10: c_int64, 26: c_int32},
    "layout": {1: c_int32, 5: c_int32, 6: c_int64},
    "preference": {1: c_uint64, 3: c_int32, **dict.fromkeys(range(5, 9), c_int32)},
}
INVALID, UNSUPPORTED = 7, 15
LONG, WORKSPACE = 64, 4096  # sums of more terms need so many bytes of workspace
WORKSPACE_ALIGNMENT = 256
NOTHING, RELU, BIAS = 1, 2, 4
EPILOGUES = {NOTHING, RELU, BIAS, RELU | BIAS}  # those that this knows, of sixteen
ROW_BY_ROW = 1


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
        self._check_epilogue(described, layouts[2])
        require(not any(x.get(1) for x in layouts), "column by column is all that this knows", UNSUPPORTED)
        return described, layouts, k

    def _check_epilogue(self, described: dict[Any, Any], d: dict[Any, Any]) -> None:
        """By the table of types of cublasLtMatmul's documentation, and its sixth note."""
        epilogue, kind = described.get(7, NOTHING), d["described"][0]
        require(epilogue in EPILOGUES, f"epilogue {epilogue}", UNSUPPORTED)
        require(epilogue == NOTHING or DTYPES[kind].kind != "c", "an epilogue of complex numbers", UNSUPPORTED)
        require(epilogue != RELU | BIAS or d.get(1) != ROW_BY_ROW, "bias and ReLU where D lies row by row", UNSUPPORTED)
        if epilogue & BIAS:
            require(described.get(8), "no bias")
            require(described.get(26, -1) in (-1, kind), f"a bias of type {described.get(26)} for {kind}", UNSUPPORTED)

    def _choose(self, handle: Any, product: Any, a: Any, b: Any, c: Any, d: Any, preference: Any, *rest: Any) -> None:
        wanted, best, found = rest
        require(wanted == 1 and c is d, "one algorithm, in place, is all that this knows")
        self._of(handle, "handle")
        described, _, k = self._problem(product, a, b, d)
        asked = self._of(preference, "preference")
        require(not asked[3] & 1, "sums added in place have no fixed order")
        needs = WORKSPACE if k > LONG and asked[1] >= WORKSPACE else 0
        best._obj.workspace = needs
        require(asked[5] == asked[6] == asked[7] == asked[8], "one alignment is all that this knows")
        bias = described.get(8) or 0
        # what it counts on: the alignments of matrices and bias, and what is done with the sums
        best._obj.algorithm.words[:3] = asked[5], bias & -bias, described.get(7, NOTHING)
        found._obj.value = 1

    def _multiply(self, handle: Any, product: Any, *rest: Any) -> None:
        alpha, a, a_layout, b, b_layout, beta, c, c_layout, d, d_layout, algorithm, workspace, size, stream = rest
        self._of(handle, "handle")
        described, layouts, _ = self._problem(product, a_layout, b_layout, d_layout)
        require(c_layout is d_layout, "C and D lie apart, and not alike")
        require(stream, "the default stream is not ours")
        alignment, bias_alignment, epilogue = algorithm._obj.words[:3]
        require(not any(p % alignment for p in (a, b, c, d)), f"addresses are not multiples of {alignment}")
        require(epilogue == described.get(7, NOTHING), "the algorithm was chosen for another epilogue")
        bias = described.get(8) if epilogue & BIAS else None
        require(bias is None or not bias % bias_alignment, f"the bias is at no multiple of {bias_alignment}")
        spans = [
            (p, p + _span(layout) * DTYPES[layout["described"][0]].itemsize)
            for p, layout in zip((a, b, c), (*layouts[:2], layouts[2]), strict=True)
        ]
        length = layouts[2]["described"][1]
        itemsize = DTYPES[layouts[2]["described"][0]].itemsize
        if bias is not None:
            spans.append((bias, bias + length * itemsize))
        end = d + _span(layouts[2]) * itemsize
        for n, (begin, until) in enumerate(spans):
            require(until <= d or begin >= end or (n == 2 and c == d), "D is written over what is still read")
        if size:
            require(size == WORKSPACE and workspace and not workspace % WORKSPACE_ALIGNMENT, "no workspace")
            ctypes.memset(workspace, 0xA5, size)  # it must be ours to write
        scale = DTYPES[described["described"][1]]
        factors = [np.frombuffer(_bytes(p, scale.itemsize), scale)[0] for p in (alpha, beta)]
        transposed = described.get(3), described.get(4)
        run = partial(self._run, layouts, transposed, scale, factors, (a, b, d), c, (epilogue, bias))
        queue = machine.queue
        if queue.capture is None:
            queue.launched += 1
            run()
            return
        require(get_current_stream().ptr == stream, "another stream than the one that is captured")
        touched = [
            machine.access(address, _span(layout) * DTYPES[layout["described"][0]].itemsize, writes=address == d)
            for address, layout in zip((a, b, d), layouts, strict=True)
        ]
        touched += [
            machine.access(begin, until - begin, writes=False) for begin, until in spans[3 - bool(factors[1]) :]
        ]
        if size:
            touched.append(machine.access(workspace, size, writes=True))
        queue.capture.add(queue, "cublasLtMatmul", run, touched)

    def _run(
        self, layouts: Any, transposed: Any, scale: Any, factors: Any, addresses: Any, c: int, epilogue: Any
    ) -> None:
        kind = layouts[0]["described"][0]
        x, y, out = (_matrices(p, layout, DTYPES[kind]) for p, layout in zip(addresses, layouts, strict=True))
        x = x.mT if transposed[0] else x
        y = y.mT if transposed[1] else y
        result = factors[0] * (x.astype(scale) @ y.astype(scale))
        if factors[1]:
            result = result + factors[1] * _matrices(c, layouts[2], DTYPES[kind]).astype(scale)
        done, bias = epilogue
        if done & BIAS:
            dtype = DTYPES[kind]
            vector = np.frombuffer(_bytes(bias, result.shape[-2] * dtype.itemsize), dtype)
            result = result + vector.astype(scale)[:, None]
        if done & RELU:
            result = np.where(result > 0, result, np.zeros((), scale))  # 0 of NaN, as there
        out[...] = result
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
