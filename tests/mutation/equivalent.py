"""Mutants that no check finds, because they compute the same: the reason for each."""

from __future__ import annotations

ERFCX = "normal_distribution.erfcx_p partials[0]"
ATAN2 = "trigonometric.atan2_p"
NOT_CHOSEN = "the value that it changes is not chosen"
MINUS_ZERO = "minus zero is zero"
ZEROS_LIKE = "zeros like -g are zeros like g"
ZERO_OVER = "what is divided by it is 0"
DIVIDES_TWICE = "it divides twice, and twice its sign is none"
RADIUS = "where(radius == 0, 1, radius)"
SYMMETRIC = "the function is symmetric in these operands"
SAME_SHAPE = "a reshape to the shape it has already"
LENGTH_1 = "the sum over an axis of length 1, or over no axis, is the value itself"

MODULUS = "only its modulus is looked at"
OTHER_WAY = "it chooses between two ways to the same product or solution"
EXCHANGED = "neighbouring axes change places whichever of the two is moved to the other's"
LAST_OF_TWO = "of two the second is the last"
LAST_OF_FOUR = "of four axes the third is the last but one"
NOT_VISITED = "times the probability of an impossible alignment, which is 0"
SAME_GRADIENT_SHAPE = "a gradient has its parameter's shape"
SLOPE = "ctc.ctc_alignment_slope_p composed"
CONCATENATED = "concat([x.astype(DEFAULT_FLOAT) if x.dtype.itemsize == 2 else x for x in rows], axis=1)"
BROADCAST = "x.broadcast_to((size, *x.shape))"
ROW = f"(x if b else {BROADCAST}).reshape((size, -1))"
OF_ALL = "name.startswith(('weight', 'bias'))"
ANY = "any((b and of_all for b, of_all in zip(batched, shared)))"
RECURRENT = "_recurrent_composed"
ROWS = "x.reshape(x.shape[0] * x.shape[1], x.shape[2])"
PARTED = "y.reshape(*shape[:axis], size, shape[axis] // size, *shape[axis + 1:])"
BY_INDEX = "a tensor's entries are its slices along the first axis, unstacked or not"
FOUR_PLACES = ("", " (place 2)", " (place 3)", " (place 4)")
SQUARE = "of square matrices both axes are as long"

EQUIVALENT: dict[str, str] = {
    "arithmetic._direction: 1 -> 2": ZERO_OVER,
    "arithmetic._direction: 1 -> -1": ZERO_OVER,
    "trigonometric._over_squared_radius: hypot(x1, x2) -> -hypot(x1, x2)": DIVIDES_TWICE,
    f"trigonometric._over_squared_radius: {RADIUS} -> -{RADIUS}": DIVIDES_TWICE,
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
    "scans._running_products: step < n -> step <= n": "the last round multiplies nothing",
    "activation.mish_slope_p partials[0]: 20.0 -> 40.0": "between the two limits the curvature is 0 to within rounding",
    "shaping.sum_to: n == 1 and x.shape[i + added] != 1 -> n == 1": LENGTH_1,
    "shaping.sum_to: 1 -> -1 (place 2)": LENGTH_1,
    "shaping.sum_to: x.sum(axis=axes).reshape(shape) if axes else x -> x.sum(axis=axes).reshape(shape)": LENGTH_1,
    "complex_numbers.imag_p transposes[0]: g.new_zeros(()).broadcast_to(g.shape) -> "
    "-g.new_zeros(()).broadcast_to(g.shape)": MINUS_ZERO,
    "complex_numbers.imag_p transposes[0]: g.new_zeros(()).broadcast_to(g.shape) -> g.new_zeros(())": (
        "a 0-d operand is broadcast anyway"
    ),
    "complex_numbers.imag_p transposes[0]: g -> -g": ZEROS_LIKE,
    "cross_entropy.softmax_cross_entropy_p composed: _own_score(log_softmax(x, axis=axis), labels, axis) * -1 -> "
    "_own_score(log_softmax(x, axis=axis), labels, axis) / -1": "times -1 is over -1",
    "units.elu_p partials[0]: 0.0 -> 1.0": NOT_CHOSEN,
    "units.elu_p partials[0]: clip(x, None, 0.0) -> x": NOT_CHOSEN,
    "indexing.overwrite_p transposes[0]: g -> -g (place 2)": ZEROS_LIKE,
    "indexing.put_p transposes[0]: g -> -g (place 2)": ZEROS_LIKE,
    "_elements._zeros: broadcast_to(like.new_zeros(()), shape) -> -broadcast_to(like.new_zeros(()), shape)": MINUS_ZERO,
    "attention._composed: 0 -> 1 (place 2)": NOT_CHOSEN,
    "attention._log_sums: 0 -> 1": NOT_CHOSEN,
    "attention._log_sums: 0.0 -> 1.0": NOT_CHOSEN,
    "attention._public_scores: 1 -> -1": LAST_OF_TWO,
    "fft._weighted: 2 -> -2 (place 2)": "an even number is a multiple of -2, too",
    "products.matmul_summed: 1 -> -1 (place 2)": LAST_OF_TWO,
    "products.matmul_summed: len(shape) == 2 and batch and (x2.shape[:-2] == batch) -> len(shape) == 2": OTHER_WAY,
    "solving._solved: 2 -> -2 (place 2)": OTHER_WAY,
    "solving._solved: len(x1.shape) != 2 or n == 2 -> len(x1.shape) != 2": OTHER_WAY,
    "solving.solve_triangular_p vjp: int(unitriangular) -> unitriangular": "True counts as 1",
    f"recurrent._folded: {OF_ALL} -> -{OF_ALL}": "True with a sign is true",
    f"recurrent._folded: {ANY} -> -{ANY}": "True with a sign is true",
    "recurrent._folded: zip(batched, shared) -> zip(shared, batched)": SYMMETRIC,
    "recurrent._fold: moveaxis(x, 0, axis) -> moveaxis(x, axis, 0)": EXCHANGED,
    f"recurrent._unfold: moveaxis({PARTED}, axis, 0) -> moveaxis({PARTED}, 0, axis)": EXCHANGED,
    "recurrent.rnn_vjp_p composed: 1 -> -1": LAST_OF_TWO,
    f"{RECURRENT}._run: unstack(within(p['lengths'], length, z.device)) -> within(p['lengths'], length, z.device)": (
        BY_INDEX
    ),
    f"{RECURRENT}._run: unstack(z) -> z": BY_INDEX,
    f"{RECURRENT}._run: unstack(p['addend']) -> p['addend']": BY_INDEX,
    f"{RECURRENT}.rnn_composed: -1 -> 1": LAST_OF_TWO,
    **{f"{RECURRENT}.{op}_composed: -1 -> 1{place}": LAST_OF_TWO for op in ("lstm", "gru") for place in FOUR_PLACES},
    f"{RECURRENT}._rows: {ROWS} -> -{ROWS}": "both factors of a product change their sign",
    "searching.searchsorted_p batch: unstack(x) -> x": "iterating over a tensor takes it apart, too",
    "singular_values.svd_p vjp[0]: diagonal(turn_u + turn_v) -> -diagonal(turn_u + turn_v)": MODULUS,
    "singular_values.svd_p vjp[0]: imag(diagonal(turn_u + turn_v)) -> -imag(diagonal(turn_u + turn_v))": MODULUS,
    "singular_values.svd_p vjp[0]: imag(diagonal(turn_u + turn_v)) -> diagonal(turn_u + turn_v)": (
        "the diagonal of a skew-Hermitian matrix has no real part"
    ),
    "_matrices.require_small: detach(part) -> -detach(part)": MODULUS,
    "_matrices.aligned: has_axis and n < ndim -> has_axis": SAME_SHAPE,
    "_matrices.aligned: n < ndim -> n <= ndim": SAME_SHAPE,
    "indexing.take_p batch: 1 -> -1": LAST_OF_TWO,
    "indexing.add_at_p batch: 1 -> -1": LAST_OF_TWO,
    "products.linear_p batch: 1 -> -1": LAST_OF_TWO,
    "spectra.eigvalsh_p vjp[0]: 1 -> -1": LAST_OF_TWO,
    "spectra.eigvals_p vjp[0]: 1 -> -1": LAST_OF_TWO,
    "_elements.last_p batch: _in_batch(xs[0], size, length) -> -_in_batch(xs[0], size, length)": (
        "places counted from the other end stay apart or together"
    ),
    "determinants._cofactor_curvature: 1 -> 2": SQUARE,
    "determinants.cofactor_change_p vjp[0]: _cofactor_curvature(x, t, conj(g)) -> "
    "_cofactor_curvature(x, conj(g), t)": SYMMETRIC,
    "matrix_functions.matrix_exp_p vjp[0]: 1 -> 2": SQUARE,
    "elimination.eliminated_p vjp[0]: True -> False (place 2)": (
        "L has ones on its diagonal, and what flows to them is dropped"
    ),
    "singular_values.svd_p vjp[0]: require_small(phases, imag(diagonal(turn_u + turn_v)), DEPENDS_ON_PHASE, gu, gv) -> "
    "require_small(phases, imag(diagonal(turn_u + turn_v)), DEPENDS_ON_PHASE, gv, gu)": SYMMETRIC,
    "optimizer_updates.global_norm_p batch: 1 -> -1": LAST_OF_TWO,
    "optimizer_updates.global_norm_p batch: 1 -> -1 (place 2)": LAST_OF_TWO,
    "optimizer_updates.sgd_update_p batch: 0 -> 1 (place 2)": SAME_GRADIENT_SHAPE,
    f"optimizer_updates.global_norm_p batch: {BROADCAST} -> -{BROADCAST}": MODULUS,
    f"optimizer_updates.global_norm_p batch: {ROW} -> -{ROW}": MODULUS,
    f"optimizer_updates.global_norm_p batch: {CONCATENATED} -> -{CONCATENATED}": MODULUS,
    "ctc._shifted: by > 0 -> by >= 0": "nothing is moved by 0 places",
    "ctc._shifted: 1 -> -1": LAST_OF_TWO,
    "ctc._alphas_composed: 1 -> -1 (place 3)": LAST_OF_TWO,
    "ctc._ends_composed: 1 -> -1": LAST_OF_TWO,
    **{f"{SLOPE}: 1 -> -1{place}": LAST_OF_TWO for place in ("", *(f" (place {n})" for n in (2, 3, 4, 9, 10)))},
    "losses.binary_cross_entropy_p partials[0]: 2 -> 3": "no dtype has three bytes",
    f"{SLOPE}: total > POSSIBLE -> total >= POSSIBLE": "no total is the limit itself, far from all that occur",
    f"{SLOPE}: 0 -> 1 (place 3)": NOT_VISITED,
    f"{SLOPE}: 0 -> 1 (place 4)": NOT_VISITED,
    f"{SLOPE}: _shifted(leaps.astype(e.dtype), -2) > 0.5 -> _shifted(leaps.astype(e.dtype), -2) >= 0.5": (
        "what is compared is 0, 1 or far below"
    ),
    "ctc._folded: 2 -> -2": LAST_OF_FOUR,
    "_matrices.over_gaps: 1 -> 2": SQUARE,
    "_matrices.over_gaps: gaps.astype(x.dtype) + unit -> gaps.astype(x.dtype) - unit": ZERO_OVER,
    "factorizations.complement_p vjp[0]: matmul(y.mH, g) -> -matmul(y.mH, g)": MODULUS,
    "factorizations.complement_p vjp[0]: g -> -g": MODULUS,
    "factorizations.complement_p vjp[0]: g -> -g (place 3)": MODULUS,
    "factorizations.complement_p vjp[0]: inner - inner.mH -> inner.mH - inner": MODULUS,
    "spectra._require_no_phase: imag(diagonal(inner)) -> -imag(diagonal(inner))": MODULUS,
    "spectra._require_no_phase: diagonal(inner) -> -diagonal(inner)": MODULUS,
    "spectra._require_no_phase: g -> -g": MODULUS,
    f"{ERFCX}: where(x > 50, x, 50) -> -where(x > 50, x, 50)": "its power is even",
    f"{ERFCX}: x > 50 -> x >= 50": "at 50 it chooses between 50 and 50",
    f"{ERFCX}: 50 -> 51 (place 2)": NOT_CHOSEN,
    f"{ERFCX}: 50 -> -50 (place 2)": NOT_CHOSEN,
    f"{ERFCX}: 50 -> 51 (place 4)": NOT_CHOSEN,
    f"{ERFCX}: 0 -> 1": NOT_CHOSEN,
}


def reason(mutant: str) -> str | None:
    """Why nothing tells a mutant apart, if that is known."""
    return EQUIVALENT.get(mutant)
