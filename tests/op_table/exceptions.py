"""Where a property means nothing to a case, and why: fields of ``OpCase`` by the name of the case or of its function.

They could stand in the cases; here they can be read together. ``test_ops_coverage`` sees that each names a case.
"""

from __future__ import annotations

from typing import Any

INEXACT = ("float16", "bfloat16", "float32", "complex64", "complex128")
WHOLE = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
COMPLEX = ("complex64", "complex128")


def not_in(reason: str, *dtypes: str) -> dict[str, Any]:
    return {"not_in": dict.fromkeys(dtypes, reason)}


VALUES = {"not_empty": "its reference is a list of these very values"}
NAMES_A_DTYPE = {"own_dtype": "the dtype of its result is named in the call"}
NO_COMPLEX_HALF = {"own_dtype": "there are no complex numbers of half precision"}
NO_POSITIONS = {"no_jax": "JAX returns no positions of maxima"}
NO_NEGATIVE_PADDING = {"no_jax": "JAX refuses negative widths"}
NO_JUDGE = not_in("no other library orders complex numbers as it does", "complex128")
BY_VALUE = {"no_vmap": "the shape of the result depends on values"}
NO_ARRAYS_OF_SIDES = "a matrix and its transpose meet in the case: the sum of two booleans is a boolean"
ONE_KIND_OF_MASK = "booleans are another kind of mask"
DRAWS = "each dtype draws its own random numbers"
RANGE = "its values lie beyond the range of this dtype"
REAL = "the case is about real numbers"

EXCEPTIONS: dict[str, dict[str, Any]] = {
    # dtypes
    "asarray": NAMES_A_DTYPE,
    "astype": NAMES_A_DTYPE,
    "bitwise_invert": not_in("bitwise_invert/booleans is about them", "bool"),
    "diff/twice": not_in("differences of booleans are exclusive or, in NumPy too", "bool"),
    "imag/of real": not_in(REAL, *COMPLEX),
    "invert": not_in("bitwise_invert/booleans is about them", "bool"),
    "nan_to_num/special values": VALUES | not_in(RANGE, *INEXACT),
    "pow/negative base": {"own_dtype": "its exponents are float64"},
    "rrelu/training": not_in(DRAWS, *WHOLE, *INEXACT),
    "scaled_dot_product_attention/learned-mask": not_in(ONE_KIND_OF_MASK, "bool"),
    "scaled_dot_product_attention/learned-mask-broadcast": not_in(ONE_KIND_OF_MASK, "bool"),
    **dict.fromkeys(
        ["cholesky", "cholesky/upper", "cholesky/complex", "eigh", "eigh/complex", "eigvalsh"],
        not_in(NO_ARRAYS_OF_SIDES, "bool"),
    ),
    "float_power": {"own_dtype": "its results are in double precision"},
    "heaviside/value at 0": not_in("its operands are zeros", *WHOLE),
    "lerp/number": {"own_dtype": "its weight is a number of float32 in half precision"},
    "one_hot/largest": not_in(REAL, *COMPLEX),
    "pinv/rank missing": not_in("rounding makes a rank that is not there", "bool", *INEXACT),
    **dict.fromkeys(["irfft", "irfft2", "irfftn", "hfft"], NO_COMPLEX_HALF),
    **dict.fromkeys(["unique_values/integers", "unique_values/nan"], NO_JUDGE),
    # no elements
    "fmax/nan": VALUES,
    "fmin/nan": VALUES,
    "split/one-piece-used": {"not_empty": "the case takes a piece that is not there"},
    "unstack/numbers": {"not_empty": "the case takes a piece that is not there"},
    "angle/of real": VALUES,
    "diff/nothing left": VALUES,
    "iscomplex": VALUES,
    "isreal": VALUES,
    "logaddexp/far apart": VALUES,
    "maximum/broadcast": VALUES,
    "pad/negative": VALUES,
    "prod/no-elements": VALUES,
    "round/decimals": VALUES,
    "sum/no-elements": VALUES,
    # vmap
    "unique_values": BY_VALUE | NO_JUDGE,
    **dict.fromkeys(["nonzero", "unique_counts", "unique_inverse", "unique_all"], BY_VALUE),
    # JAX
    "abs/at 0": {"no_jax": "the slope of |x| at 0 is 1 in JAX; here, as in PyTorch, it is 0"},
    "acosh/left half-plane": {"no_jax": "its slope there has the sign that its own values do not"},
    "at/set several values in one place": {"no_jax": "JAX refuses lists as indices"},
    "clip/at the limits": {"no_jax": "at a limit JAX lets half of the gradient through, PyTorch all"},
    "getitem/list": {"no_jax": "JAX refuses lists as indices"},
    "getitem/twice-the-same": {"no_jax": "JAX refuses lists as indices"},
    **dict.fromkeys(["max_pool2d/indices", "max_pool3d/indices"], NO_POSITIONS),
    **dict.fromkeys(["pad/reflect-negative", "pad/replicate-negative", "pad/circular-negative"], NO_NEGATIVE_PADDING),
    "scaled_dot_product_attention/heads": {"no_jax": "JAX's attention takes values of the length of the queries alone"},
    "scaled_dot_product_attention/infinite-mask": {"no_jax": "a query that sees nothing gives NaN in JAX"},
    "scaled_dot_product_attention/mask-of-a-blind-query": {"no_jax": "a query that sees nothing gives a mean in JAX"},
    "sign/complex": {"no_jax": "the slope of z / |z| is 0 in JAX"},
    "tile/method-repeat": {"no_jax": "repeat is PyTorch's method here, NumPy's in JAX"},
}
