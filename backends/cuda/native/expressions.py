"""Scalar operations of loop kernels as C expressions, with NumPy's results.

Functions are those of CUDA's mathematics library in full precision. Products and sums may be contracted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .c_types import BOOL, HALVES, c_type, computed

COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
LOGIC = {"and": "&", "or": "|", "xor": "^"}
EXACT = frozenset({"neg", "abs", "sign", "max", "min", "floor", "ceil", "trunc", "rint", "copysign", "fmod"})
PREDICATES = ("isnan", "isinf", "isfinite", "signbit")

_FUNCTIONS = """sqrt exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh
    cbrt floor ceil trunc rint erf"""
_OPERATORS = {"add": "+", "sub": "-", "mul": "*"}
_FLOATING: dict[str, str] = {
    **{name: name + "{f}({0})" for name in _FUNCTIONS.split()},
    **{name: name + "{f}({0}, {1})" for name in ("pow", "atan2", "hypot", "copysign", "fmod")},
    **{name: f"{{0}} {sign} {{1}}" for name, sign in _OPERATORS.items()},
    "fma": "fma{f}({0}, {1}, {2})",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "abs": "fabs{f}({0})",
    "sign": "sign_of({0})",
    "rsqrt": "{one} / sqrt{f}({0})",
    "reciprocal": "{one} / {0}",
    "sigmoid": "{one} / ({one} + exp{f}(-{0}))",
    "floor_div": "floating_floor_div({0}, {1})",
    "mod": "floating_mod({0}, {1})",
    "max": "larger({0}, {1})",
    "min": "smaller({0}, {1})",
}
_WHOLE: dict[str, str] = {
    **{name: f"{{t}}({{u}}({{0}}) {sign} {{u}}({{1}}))" for name, sign in _OPERATORS.items()},
    **dict.fromkeys(("floor", "ceil", "trunc", "rint"), "{0}"),
    "fma": "{t}({u}({0}) * {u}({1}) + {u}({2}))",
    "neg": "{t}({u}(0) - {u}({0}))",
    "abs": "magnitude({0})",
    "sign": "{t}(sign_of({0}))",
    "invert": "{t}(~{0})",
    "floor_div": "whole_floor_div({0}, {1})",
    "mod": "whole_mod({0}, {1})",
    "fmod": "whole_fmod({0}, {1})",
    "pow": "whole_power({0}, {1})",
    "max": "larger({0}, {1})",
    "min": "smaller({0}, {1})",
    "bit_and": "{t}({0} & {1})",
    "bit_or": "{t}({0} | {1})",
    "bit_xor": "{t}({0} ^ {1})",
    "shl": "shifted_left({0}, {1})",
    "shr": "shifted_right({0}, {1})",
}
_BOOL: dict[str, str] = {  # NumPy's arithmetic on bools is logic
    "abs": "{0}",
    "invert": "!{0}",
    **dict.fromkeys(("add", "max", "bit_or"), "bool({0} | {1})"),
    **dict.fromkeys(("mul", "min", "bit_and"), "bool({0} & {1})"),
    "bit_xor": "{0} != {1}",
}


def expression(op: str, args: Sequence[str], sources: Sequence[np.dtype], target: np.dtype) -> str:
    """The operation on arguments of the dtypes ``sources``; TypeError for one that the dtype does not have.

    args: names, or expressions that bind as tightly.
    """
    if op == "copy":
        return args[0]
    if op == "cast":
        return cast(args[0], sources[0], target)
    if op == "select":
        chosen = [cast(a, d, target) for a, d in zip(args[1:], sources[1:], strict=True)]
        return f"{cast(args[0], sources[0], BOOL)} ? {chosen[0]} : {chosen[1]}"
    if op == "not":
        return f"!{cast(args[0], sources[0], BOOL)}"
    if op in LOGIC:
        left, right = (cast(a, d, BOOL) for a, d in zip(args, sources, strict=True))
        return f"bool({left} {LOGIC[op]} {right})"
    if op in COMPARISONS:
        common = np.result_type(*sources)
        left, right = (cast(a, d, common) for a, d in zip(args, sources, strict=True))
        return f"{left} {COMPARISONS[op]} {right}"
    if op in PREDICATES:
        return _predicate(op, args[0], computed(sources[0]))
    if target.name in HALVES:
        wide = expression(op, args, [computed(d) for d in sources], computed(target))
        return wide if op in EXACT else rounded(wide, target)
    table = _FLOATING if target.kind == "f" else _BOOL if target == BOOL else _WHOLE
    if op not in table:
        raise TypeError(f"no operation {op!r} with a result of {target}")
    values = [cast(a, d, target) for a, d in zip(args, sources, strict=True)]
    single = target.itemsize == 4
    one = "1.0f" if single else "1.0"
    return table[op].format(*values, f="f" * single, one=one, t=f"({c_type(target)})", u=_wraps(target))


def rounded(x: str, dtype: np.dtype) -> str:
    """A floating-point number as the nearest that the dtype has, of those in memory; other dtypes have all."""
    kind = HALVES.get(dtype.name)
    return f"rounded_to<{kind}>({x})" if kind else x


def _wraps(dtype: np.dtype) -> str:
    return "(unsigned long long)" if dtype.itemsize == 8 else "(unsigned int)"


def _predicate(op: str, x: str, dtype: np.dtype) -> str:
    if dtype.kind != "f":
        return f"{x} < 0" if op == "signbit" and dtype.kind == "i" else "true" if op == "isfinite" else "false"
    f, single = ("f", True) if dtype.itemsize == 4 else ("", False)
    infinity = "__int_as_float(0x7f800000)" if single else "__longlong_as_double(0x7ff0000000000000ll)"
    return {
        "isnan": f"{x} != {x}",
        "isinf": f"fabs{f}({x}) == {infinity}",
        "isfinite": f"fabs{f}({x}) < {infinity}",
        "signbit": f"copysign{f}(1.0{f}, {x}) < 0",
    }[op]


def cast(x: str, source: np.dtype, target: np.dtype) -> str:
    """A value of one dtype as another. What an integer cannot hold becomes an unspecified number."""
    if source == target:
        return x
    if target.name in HALVES:
        floating = computed(source).kind == "f"
        return rounded(x if floating else f"(float){x}", target)
    source = computed(source)
    if source == target:
        return x
    if target == BOOL:
        return f"({x} != 0)"
    if source.kind == "f" and target.kind in "iu" and target != np.uint64 and target.itemsize < 8:
        wide = "int" if target.itemsize < 4 or target == np.int32 else "long long"
        return f"({c_type(target)})({wide}){x}" if wide != c_type(target) else f"({wide}){x}"
    return f"({c_type(target)}){x}"


# ------------------------------------------------------------------------------------------- reductions

_OPERATIONS = {"sum": "Sum", "prod": "Product", "max": "Largest", "min": "Smallest", "any": "Any", "all": "All"}
_OF_BOOLS = {"max": "Any", "sum": "Any", "min": "All", "prod": "All"}


def operation(kind: str, dtype: np.dtype) -> str:
    """The name of what combines two values."""
    return _OF_BOOLS.get(kind, _OPERATIONS[kind]) if dtype == BOOL else _OPERATIONS[kind]


def neutral(kind: str, dtype: np.dtype) -> object:
    """What combines with any value to that value."""
    dtype = computed(dtype)
    if kind in ("max", "min") and dtype != BOOL:
        if dtype.kind == "f":
            return -np.inf if kind == "max" else np.inf
        bounds = np.iinfo(dtype)
        return bounds.min if kind == "max" else bounds.max
    return int(kind in ("prod", "all", "min"))
