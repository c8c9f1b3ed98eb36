"""What the arithmetic instructions of PTX compute, on arrays of all threads' registers (PTX ISA, "Instruction Set").

Approximations (.approx of ex2, lg2, rcp, rsqrt, div, tanh) are as exact as NumPy's functions are; hardware's may be off
by what the ISA states for each: up to 2 units in the last place, 2^-10.987 relative for tanh.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from ptx_rounding import add_single, flushed, fma_double, fma_single, tf32

Array = np.ndarray
TYPES = {
    f"{kind}{size}": f"{letter}{size // 8}"
    for kind, letter in (("s", "i"), ("u", "u"), ("b", "u"))
    for size in (8, 16, 32, 64)
}
TYPES |= {"f16": "f2", "f32": "f4", "f64": "f8", "pred": "?"}
ROUNDINGS = ("rn", "rz", "rm", "rp", "rna")
CARRY = "carry"  # in place of an operand or a result: the condition code


class Operation(NamedTuple):
    """function(*operands) gives the result, or a tuple of results; of these types (NumPy's)."""

    function: Callable[..., Any]
    results: tuple[str, ...]
    operands: tuple[str, ...]
    in_place: bool = False  # whether the function is one of NumPy's that take out= and where=


@cache
def operation(opcode: str) -> Operation:
    """NotImplementedError where this does not know it."""
    base, *rest = opcode.split(".")
    made = _MAKERS.get(base)
    found = made(base, rest) if made is not None else None
    if found is None:
        raise NotImplementedError(f"{opcode} is no instruction that this knows")
    return found


def _of(function: Callable[..., Any], kind: str, count: int, result: str | None = None) -> Operation:
    return Operation(function, (result or kind,), (kind,) * count, isinstance(function, np.ufunc))


# ---------------------------------------------------------------------------------------------- whole numbers


def _divided(a: Array, b: Array) -> Array:
    """Towards zero; anything where the divisor is 0."""
    safe = np.where(b == 0, b.dtype.type(1), b)
    found = a // safe
    if a.dtype.kind == "i":
        found += ((a % safe) != 0) & ((a < 0) != (safe < 0))
    return found


def _remainder(a: Array, b: Array) -> Array:
    return a - _divided(a, b) * b


def _high(a: Array, b: Array) -> Array:
    bits = 8 * a.dtype.itemsize
    if bits < 64:
        wide = np.dtype(f"{a.dtype.kind}8")
        return (a.astype(wide) * b.astype(wide) >> wide.type(bits)).astype(a.dtype)
    if a.dtype.kind == "i":
        raise NotImplementedError("mul.hi.s64")
    half, mask = np.uint64(32), np.uint64(0xFFFFFFFF)
    (ah, al), (bh, bl) = ((x >> half, x & mask) for x in (a, np.asarray(b)))
    middle = ah * bl + (al * bl >> half)
    other = al * bh + (middle & mask)
    return ah * bh + (middle >> half) + (other >> half)


def _shift(left: bool) -> Callable[[Array, Array], Array]:
    """By more than there are bits, all are shifted out: amounts are clamped."""

    def shifted(a: Array, by: Array) -> Array:
        most = 8 * a.dtype.itemsize - 1
        few = np.minimum(by, most).astype(a.dtype)
        found = np.left_shift(a, few) if left else np.right_shift(a, few)
        return found if a.dtype.kind == "i" and not left else np.where(by > most, a.dtype.type(0), found)

    return shifted


def _insert(a: Array, b: Array, at: Array, length: Array) -> Array:
    """bfi: the low bits of a, put into b."""
    bits = 8 * b.dtype.itemsize
    mask = sum(1 << i for i in range(int(at), min(int(at) + int(length), bits)))
    return b & b.dtype.type((1 << bits) - 1 - mask) | (a << a.dtype.type(int(at) % bits)) & a.dtype.type(mask)


def _extract(a: Array, at: Array, length: Array) -> Array:
    bits, at, length = 8 * a.dtype.itemsize, int(at), int(length)
    if a.dtype.kind == "i":
        up = a.dtype.type(bits - at - length)
        return (a << up) >> a.dtype.type(bits - length)
    return a >> a.dtype.type(at) & a.dtype.type((1 << length) - 1)


def _permuted(a: Array, b: Array, choice: Array) -> Array:
    """prmt: each byte of the result is one of the eight of {b, a}, or its sign eight times."""
    both = a.astype(np.uint64) | b.astype(np.uint64) << np.uint64(32)
    found = np.zeros(np.broadcast_shapes(a.shape, b.shape, np.shape(choice)), np.uint32)
    for i in range(4):
        which = choice >> np.uint32(4 * i) & np.uint32(15)
        byte = (both >> (8 * (which & np.uint32(7))).astype(np.uint64) & np.uint64(255)).astype(np.uint32)
        byte = np.where(which & np.uint32(8), np.where(byte & np.uint32(128), np.uint32(255), np.uint32(0)), byte)
        found |= byte << np.uint32(8 * i)
    return found


def _funnel(left: bool, wraps: bool) -> Callable[[Array, Array, Array], Array]:
    def shifted(low: Array, high: Array, by: Array) -> Array:
        by = (by & np.uint32(31) if wraps else np.minimum(by, np.uint32(32))).astype(np.uint64)
        both = low.astype(np.uint64) | high.astype(np.uint64) << np.uint64(32)
        return ((both << by) >> np.uint64(32) if left else both >> by).astype(np.uint32)

    return shifted


def _leading_zeros(a: Array) -> Array:
    left, found = a.copy(), np.zeros(a.shape, np.uint32)
    bits = 8 * a.dtype.itemsize
    found[...] = bits
    for i in range(bits):
        found[(left >> a.dtype.type(i)) & a.dtype.type(1) == 1] = bits - 1 - i
    return found


def _dot_halves(a: Array, b: Array, c: Array) -> Array:
    """dp2a.lo: the halves of a times the lower two bytes of b."""
    low, high = (a >> np.uint32(16 * i) & np.uint32(0xFFFF) for i in range(2))
    return c + low * (b & np.uint32(255)) + high * (b >> np.uint32(8) & np.uint32(255))


def _carried(base: str, kind: str, takes: bool, part: str) -> Callable[..., tuple[Array, Array]]:
    """Sums of 32 bits with the condition code."""

    def computed(*values: Array) -> tuple[Array, Array]:
        wide = [np.asarray(v).astype(np.int64) for v in values]
        carry = wide.pop() if takes else 0
        if base.startswith("mad"):
            product = np.asarray(values[0]).astype(np.uint64) * np.asarray(values[1]).astype(np.uint64)
            product = product >> np.uint64(32) if part == "hi" else product & np.uint64(0xFFFFFFFF)
            wide = [product.astype(np.int64), wide[2]]
        total = wide[0] - wide[1] - carry if base.startswith("sub") else wide[0] + wide[1] + carry
        return (total & 0xFFFFFFFF).astype(np.uint32), (total < 0) | (total > 0xFFFFFFFF)

    assert kind == "u4"
    return computed


# --------------------------------------------------------------------------------------------------- floats


def _extreme(largest: bool) -> Callable[[Array, Array], Array]:
    """Of a number and NaN the number; -0 is less than +0."""
    choose = np.fmax if largest else np.fmin

    def chosen(a: Array, b: Array) -> Array:
        found = choose(a, b)
        zeros = (a == 0) & (b == 0)
        if zeros.any():
            negative = (np.logical_and if largest else np.logical_or)(np.signbit(a), np.signbit(b))
            found = np.where(zeros, np.where(negative, -0.0, 0.0).astype(found.dtype), found)
        return found

    return chosen


def _propagating(largest: bool) -> Callable[[Array, Array], Array]:
    plain = _extreme(largest)
    return lambda a, b: np.where(np.isnan(a) | np.isnan(b), a.dtype.type(np.nan), plain(a, b))


def _upper_half(f: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Approximations of float64 leave the lower word 0 (rcp, rsqrt .approx.ftz.f64)."""
    return lambda a: (f(a).view(np.uint64) & np.uint64(0xFFFFFFFF00000000)).view(np.float64)


def _quotient(a: Array, b: Array) -> Array:
    """div.approx: 0 for huge divisors."""
    huge = (np.abs(b) > 2.0**126) & np.isfinite(b)
    return np.where(huge, np.where(np.isinf(a), np.float32(np.nan), np.copysign(np.float32(0), a / b)), a / b)


_APPROXIMATE: dict[str, Callable[..., Array]] = {
    "ex2": lambda a: np.exp2(a.astype(np.float64)).astype(np.float32),
    "lg2": lambda a: np.log2(a.astype(np.float64)).astype(np.float32),
    "sin": lambda a: np.sin(a.astype(np.float64)).astype(np.float32),
    "cos": lambda a: np.cos(a.astype(np.float64)).astype(np.float32),
    "tanh": lambda a: np.tanh(a.astype(np.float64)).astype(np.float32),
    "rcp": lambda a: a.dtype.type(1) / a,
    "rsqrt": lambda a: (1 / np.sqrt(a.astype(np.float64))).astype(a.dtype),
    "sqrt": np.sqrt,
    "div": _quotient,
}
_EXACT: dict[str, tuple[Callable[..., Array], int]] = {
    "add": (np.add, 2),
    "sub": (np.subtract, 2),
    "mul": (np.multiply, 2),
    "div": (np.divide, 2),
    "sqrt": (np.sqrt, 1),
    "rcp": (lambda a: a.dtype.type(1) / a, 1),
    "neg": (np.negative, 1),
    "abs": (np.abs, 1),
    "max": (_extreme(True), 2),
    "min": (_extreme(False), 2),
    "max.NaN": (_propagating(True), 2),
    "min.NaN": (_propagating(False), 2),
    "copysign": (lambda a, b: np.copysign(b, a), 2),  # the sign is the first one's
}


def _saturated(x: Array) -> Array:
    return np.where(x > 0, np.minimum(x, x.dtype.type(1)), x.dtype.type(0))


def _float(base: str, rest: list[str]) -> Operation | None:
    *said, kind = rest
    kind, modes = TYPES[kind], set(said)
    rounding = next((m for m in said if m in ROUNDINGS), "rn")
    function: Callable[..., Any]
    if "approx" in modes:
        function, count = _APPROXIMATE[base], 2 if base == "div" else 1
        function = _upper_half(function) if kind == "f8" else function
    elif base == "fma" or (base == "mad" and kind in ("f4", "f8")):
        count, exact = 3, fma_double if kind == "f8" else lambda a, b, c: fma_single(a, b, c, rounding)
        function = exact
        if rounding not in (("rn",) if kind == "f8" else ("rn", "rz", "rm")):
            return None
    elif rounding != "rn":
        if base not in ("add", "sub") or kind != "f4" or rounding not in ("rz", "rm"):
            return None
        count = 2
        function = lambda a, b: add_single(a, b if base == "add" else -b, rounding)  # noqa: E731 - base is bound
    else:
        name = f"{base}.NaN" if "NaN" in modes else base
        if name not in _EXACT:
            return None
        function, count = _EXACT[name]
    if modes - {"approx", "ftz", "sat", "NaN", "full", *ROUNDINGS}:
        return None
    if not modes & {"ftz", "sat"}:
        return _of(function, kind, count)
    flush = flushed if "ftz" in modes and kind == "f4" else lambda x: x

    def whole(*values: Array) -> Array:
        found = flush(function(*map(flush, values)))
        return _saturated(found) if "sat" in modes else found

    return _of(whole, kind, count)


# ------------------------------------------------------------------------------------------- by instruction

_WHOLE: dict[str, tuple[Callable[..., Any], int]] = {
    "add": (np.add, 2),
    "sub": (np.subtract, 2),
    "div": (_divided, 2),
    "rem": (_remainder, 2),
    "min": (np.minimum, 2),
    "max": (np.maximum, 2),
    "neg": (np.negative, 1),
    "abs": (np.abs, 1),
}


def _sum(base: str, rest: list[str]) -> Operation | None:
    kind = TYPES[rest[-1]]
    if kind[0] == "f":
        return _float(base, rest)
    if base in ("addc", "subc", "madc") or "cc" in rest:
        takes, gives = base.endswith("c"), "cc" in rest
        count = 3 if base.startswith("mad") else 2
        function = _carried(base, kind, takes, rest[0])
        operands, results = (kind,) * count + (CARRY,) * takes, (kind,) + (CARRY,) * gives
        return Operation(function if gives else lambda *v: function(*v)[0], results, operands)
    if base in ("mul", "mad"):
        return _product(base, rest[0], kind)
    if len(rest) > 1 or base not in _WHOLE:
        return None
    return _of(*_WHOLE[base][:1], kind, _WHOLE[base][1])


def _product(base: str, part: str, kind: str) -> Operation | None:
    result = f"{kind[0]}{2 * int(kind[1])}" if part == "wide" else kind
    function: Any = {
        "lo": np.multiply,
        "hi": _high,
        "wide": lambda a, b: np.asarray(a).astype(result) * np.asarray(b).astype(result),
    }.get(part)
    if function is None:
        return None
    if base == "mul":
        return Operation(function, (result,), (kind, kind), part == "lo")
    return Operation(lambda a, b, c: function(a, b) + c, (result,), (kind, kind, result))


def _logic(base: str, rest: list[str]) -> Operation | None:
    kind = TYPES[rest[-1]]
    names = {"and": "and", "or": "or", "xor": "xor", "not": "not"}
    word = "logical" if kind == "?" else "bitwise"
    return _of(getattr(np, f"{word}_{names[base]}"), kind, 1 if base == "not" else 2)


_COMPARED: dict[str, Any] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_NEGATED = {"equ": "ne", "neu": "eq", "ltu": "ge", "leu": "gt", "gtu": "le", "geu": "lt"}


def _compared(base: str, rest: list[str]) -> Operation | None:
    relation, *modes, kind = rest
    kind, function = TYPES[kind], _COMPARED.get(relation)
    if set(modes) - {"ftz"}:
        return None
    if kind[0] == "f":
        if relation == "ne":  # of ordered numbers
            function = lambda a, b: (a < b) | (a > b)  # noqa: E731
        elif relation in _NEGATED and relation != "equ":
            opposite = _COMPARED[_NEGATED[relation]] if relation != "neu" else np.equal
            function = lambda a, b: ~opposite(a, b)  # noqa: E731
        elif relation == "equ":
            function = lambda a, b: ~((a < b) | (a > b))  # noqa: E731
        elif relation in ("nan", "num"):
            function = (
                (lambda a, b: np.isnan(a) | np.isnan(b))
                if relation == "nan"
                else (lambda a, b: ~(np.isnan(a) | np.isnan(b)))
            )
        if modes and kind == "f4" and function is not None:
            plain = function
            function = lambda a, b: plain(flushed(np.asarray(a)), flushed(np.asarray(b)))  # noqa: E731
    return None if function is None else Operation(function, ("?",), (kind, kind), isinstance(function, np.ufunc))


def _chosen(base: str, rest: list[str]) -> Operation | None:
    kind = TYPES[rest[0]]
    return Operation(lambda a, b, p: np.where(p, a, b), (kind,), (kind, kind, "?"))


def _shifted(base: str, rest: list[str]) -> Operation | None:
    if base == "shf":
        return _of(_funnel(rest[0] == "l", rest[1] == "wrap"), "u4", 3)
    kind = TYPES[rest[0]]
    return Operation(_shift(base == "shl"), (kind,), (kind, "u4"))


def _bits(base: str, rest: list[str]) -> Operation | None:
    if base == "dp2a":
        return _of(_dot_halves, "u4", 3) if rest == ["lo", "u32", "u32"] else None
    kind = TYPES[rest[0]]
    if base == "prmt":
        return _of(_permuted, "u4", 3) if len(rest) == 1 else None
    if base == "clz":
        return _of(_leading_zeros, kind, 1, "u4")
    if base == "popc":
        return _of(lambda a: np.bitwise_count(a).astype(np.uint32), kind, 1, "u4")
    if base == "bfi":
        return Operation(_insert, (kind,), (kind, kind, "u4", "u4"))
    return Operation(_extract, (kind,), (kind, "u4", "u4"))


# ---------------------------------------------------------------------------------------------- conversions

_TO_WHOLE: dict[str, Any] = {"rni": np.rint, "rzi": np.trunc, "rmi": np.floor, "rpi": np.ceil}


def _converted(base: str, rest: list[str]) -> Operation | None:
    *modes, to, source = rest
    if to == "tf32":
        return Operation(tf32, ("f4",), ("f4",)) if modes == ["rna"] else None
    if to in ("bf16x2", "f16x2"):
        half = np.dtype(ml_dtypes.bfloat16 if to == "bf16x2" else np.float16)
        # the first operand comes into the upper half (PTX ISA, "cvt")
        return Operation(lambda a, b: _halves(b, a, half), ("u4",), ("f4", "f4")) if modes == ["rn"] else None
    if "bf16" in (to, source):
        if to == "bf16" and source == "f32" and modes == ["rn"]:
            return Operation(lambda a: a.astype(ml_dtypes.bfloat16).view(np.uint16), ("u2",), ("f4",))
        if source == "bf16" and to == "f32" and not modes:
            return Operation(lambda a: (a.astype(np.uint32) << np.uint32(16)).view(np.float32), ("f4",), ("u2",))
        return None
    if set(modes) - {"rn", "sat", "ftz", *_TO_WHOLE}:
        return None
    return _plain(TYPES[to], TYPES[source], modes)


def _plain(to: str, source: str, modes: list[str]) -> Operation | None:
    whole = next((_TO_WHOLE[m] for m in modes if m in _TO_WHOLE), None)
    flush = flushed if "ftz" in modes else lambda x: x
    if to[0] != "f":
        if source[0] != "f":
            return Operation(lambda a: a.astype(to), (to,), (source,)) if not modes else None
        return None if whole is None else Operation(lambda a: _to_whole(whole(flush(a)), to), (to,), (source,))

    def changed(a: Array) -> Array:
        a = flush(a) if source == "f4" else a
        found = (a if whole is None else whole(a)).astype(to)
        found = flush(found) if to == "f4" else found
        return _saturated(found) if "sat" in modes else found

    return Operation(changed, (to,), (source,))


def _to_whole(x: Array, to: str) -> Array:
    """Cut off at the ends; NaN is 0, or the first bit alone where either is of 64 bits (PTX ISA, "cvt")."""
    limits = np.iinfo(to)
    wide = x.astype(np.float64)
    inside = (wide > float(limits.min) - 1) & (wide < float(limits.max) + (0 if to[1] == "8" else 1))
    if to[1] == "8":
        inside = (wide >= float(limits.min)) & (wide < float(limits.max))
    found = np.where(inside, wide, 0).astype(to)
    found = np.where(~inside & (wide < 0), np.array(limits.min, to), found)
    found = np.where(~inside & (wide > 0), np.array(limits.max, to), found)
    nan = 1 << (8 * int(to[1]) - 1) if x.dtype.itemsize == 8 or to[1] == "8" else 0
    return np.where(np.isnan(x), np.array(nan, f"u{to[1]}").view(to), found)


def _halves(low: Array, high: Array, half: np.dtype) -> Array:
    words = [np.asarray(x).astype(half).view(np.uint16).astype(np.uint32) for x in (low, high)]
    return words[0] | words[1] << np.uint32(16)


_MAKERS: dict[str, Callable[[str, list[str]], Operation | None]] = {
    **dict.fromkeys(("add", "sub", "mul", "mad", "div", "rem", "min", "max", "neg", "abs"), _sum),
    **dict.fromkeys(("addc", "subc", "madc"), _sum),
    **dict.fromkeys(("fma", "sqrt", "rsqrt", "rcp", "ex2", "lg2", "sin", "cos", "tanh", "copysign"), _float),
    **dict.fromkeys(("and", "or", "xor", "not"), _logic),
    **dict.fromkeys(("shl", "shr", "shf"), _shifted),
    **dict.fromkeys(("bfi", "bfe", "prmt", "clz", "popc", "dp2a"), _bits),
    "setp": _compared,
    "selp": _chosen,
    "cvt": _converted,
}
