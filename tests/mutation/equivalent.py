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

ONE_MINUS_Y = "the slope is 1 there, and its own slope y (1 - y) is 0 anyway"
UNUSED = "the composed form's log-sums are saved for the fused backward pass, which it does not take"

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
    "trigonometric.acosh_p partials[0]: rsqrt(x - 1) * rsqrt(x + 1) if x.dtype.kind == 'c' else "
    "rsqrt((x - 1) * (x + 1)) -> rsqrt(x - 1) * rsqrt(x + 1)": ROUNDING,
    "reductions.std_p vjp[0]: 0 -> 1 (place 2)": "times x - mean, which is 0 there",
    "norms.norm_p vjp[0]: 0 -> 1 (place 2)": "times x, which is 0 there",
    "activation.softplus_slope_p partials[0]: x * beta -> x / beta": ONE_MINUS_Y,
    "activation.softplus_slope_p partials[0]: x * beta -> x": ONE_MINUS_Y,
    "complex_numbers.imag_p transposes[0]: g.new_zeros(()).broadcast_to(g.shape) -> "
    "-g.new_zeros(()).broadcast_to(g.shape)": MINUS_ZERO,
    "complex_numbers.imag_p transposes[0]: g.new_zeros(()).broadcast_to(g.shape) -> g.new_zeros(())": (
        "a 0-d operand is broadcast anyway"
    ),
    "complex_numbers.imag_p transposes[0]: g -> -g": MINUS_ZERO,
    "cross_entropy.softmax_cross_entropy_p composed: _own_score(log_softmax(x, axis=axis), labels, axis) * -1 -> "
    "_own_score(log_softmax(x, axis=axis), labels, axis) / -1": "times -1 is over -1",
    "losses.huber_p partials[0]: clip(x, -delta, delta) -> clip(-delta, x, delta)": (
        "min(max(a, b), c) is symmetric in a and b"
    ),
    "units.elu_p partials[0]: 0.0 -> 1.0": NOT_CHOSEN,
    "units.elu_p partials[0]: clip(x, None, 0.0) -> x": NOT_CHOSEN,
    "indexing.overwrite_p transposes[0]: g -> -g (place 2)": MINUS_ZERO,
    "indexing.put_p transposes[0]: g -> -g (place 2)": MINUS_ZERO,
    "_elements._zeros: broadcast_to(like.new_zeros(()), shape) -> -broadcast_to(like.new_zeros(()), shape)": MINUS_ZERO,
    "attention._composed: _log_sums(scores, blind) -> -_log_sums(scores, blind)": UNUSED,
    "attention._composed: _log_sums(scores, blind) -> scores": UNUSED,
    "matrix_functions.matrix_exp_p vjp[0]: a.new_zeros(a.shape) -> -a.new_zeros(a.shape)": MINUS_ZERO,
}
