"""Mutants that no check finds, because they compute the same: the reason for each."""

from __future__ import annotations

ATAN2 = "trigonometric.atan2_p"
NOT_CHOSEN = "the value that it changes is not chosen"
MINUS_ZERO = "minus zero is zero"
ZERO_OVER = "what is divided by it is 0"
SYMMETRIC = "the function is symmetric in these operands"
SAME_SHAPE = "a reshape to the shape it has already"
LENGTH_1 = "the sum over an axis of length 1, or over no axis, is the value itself"
ROUNDING = "equal to within rounding"

EQUIVALENT: dict[str, str] = {
    "arithmetic.hypot_p partials[0]: 1 -> 2": ZERO_OVER,
    "arithmetic.hypot_p partials[0]: 1 -> -1": ZERO_OVER,
    "arithmetic.hypot_p partials[1]: 1 -> 2": ZERO_OVER,
    "arithmetic.hypot_p partials[1]: 1 -> -1": ZERO_OVER,
    "arithmetic.number_power_p partials[0]: x.new_zeros(x.shape) -> -x.new_zeros(x.shape)": MINUS_ZERO,
    "trigonometric._over_squared_radius: 1 -> 2": ZERO_OVER,
    "trigonometric._over_squared_radius: 1 -> -1": ZERO_OVER,
    f"{ATAN2} partials[0]: _over_squared_radius(x2, x1, x2) -> _over_squared_radius(x2, x2, x1)": SYMMETRIC,
    f"{ATAN2} partials[1]: _over_squared_radius(x1, x1, x2) -> _over_squared_radius(x1, x2, x1)": SYMMETRIC,
    "reductions.expand_reduced: not keepdims and g.shape -> not keepdims or g.shape": SAME_SHAPE,
    "reductions.expand_reduced: not keepdims and g.shape -> not keepdims": SAME_SHAPE,
    "reductions.expand_reduced: not keepdims and g.shape -> g.shape": SAME_SHAPE,
    "reductions.std_p vjp[0]: 1 -> 2": NOT_CHOSEN,
    "reductions.std_p vjp[0]: 1 -> -1": NOT_CHOSEN,
    "reductions._prod_by_halves: sum(y, axis=last) -> -sum(y, axis=last)": "the sum of nothing is 0",
    "reductions.logsumexp_p vjp[0]: 0 -> 1": "exp(-inf) is 0, whatever is taken off",
    "reductions._running_products: step < n -> step <= n": "the last round multiplies nothing",
    "activation.softplus_slope_p partials[0]: x * beta > threshold -> x * beta >= threshold": (
        "they differ at the threshold alone, where the second derivative jumps"
    ),
    "activation.mish_slope_p partials[0]: 20.0 -> 40.0": "between the two limits the curvature is 0 to within rounding",
    "shaping.sum_to: n == 1 and x.shape[i + added] != 1 -> n == 1": LENGTH_1,
    "shaping.sum_to: 1 -> -1 (place 2)": LENGTH_1,
    "shaping.sum_to: x.sum(axis=axes).reshape(shape) if axes else x -> x.sum(axis=axes).reshape(shape)": LENGTH_1,
}
