"""check_grads: what it accepts, what it refuses, and what it says of a wrong derivative."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_core as ag
from autograd_core.primitive import bind, elementwise

A = np.array([[0.3, -1.2], [0.8, 2.0]])


def made_up(name, partial, forward=lambda xp, x: x * x * x):
    primitive = elementwise(name, forward, partials=(partial,))

    def f(x):
        return bind(primitive, (x,), {})

    return f


# What passes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("modes", ["fwd", "rev", ("fwd", "rev"), ["rev"]])
def test_right_derivatives_pass(order, modes):
    ag.check_grads(lambda x, y: (x * y) @ (x + y), (A, A.T), order=order, modes=modes)


def test_containers_in_and_out():
    def f(params, scale):
        h = params["w"] @ params["b"][0] * scale
        return {"sum": h.sum(), "rest": [h, (params["b"][1],)]}

    ag.check_grads(f, ({"w": A, "b": (np.array([1.0, 2.0]), ag.tensor(A))}, 0.5))


def test_what_is_not_floating_reaches_the_function_untouched():
    seen = []

    def f(x, n, flags, name, nothing):
        seen.append((n, flags, name, nothing))
        return x * n

    flags = np.array([True, False])
    ag.check_grads(f, (A, 3, flags, "name", None))
    assert all(n == 3 and g is flags and name == "name" and nothing is None for n, g, name, nothing in seen)


def test_integer_results_do_not_count():
    ag.check_grads(lambda x: (x * x, ag.argmax(x)), (A,))


Z = np.array([0.3 - 0.5j, -1.2 + 0.8j])


@pytest.mark.parametrize("modes", ["fwd", "rev"])
def test_complex_arguments_and_results(modes):
    ag.check_grads(lambda z, w, x: (z * ag.conj(w) * x, ag.abs(z)), (Z, Z[::-1], np.array([1.5, 2.0])), modes=modes)
    ag.check_grads(lambda z: z * z, (1.0 + 2.0j,), modes=modes)


@pytest.mark.parametrize("modes", ["fwd", "rev"])
def test_wrong_complex_derivatives_are_found(modes):
    unconjugated = elementwise("unconjugated", lambda xp, z: z * z, partials=(lambda g, z: g * (z + z),))
    with pytest.raises(ag.GradientCheckError, match=r"finite differences give"):
        ag.check_grads(lambda z: bind(unconjugated, (z,), {}), (Z,), modes=modes)
    imaginary_part_lost = elementwise("lost", lambda xp, z: 1j * z, partials=(lambda g: ag.imag(g) + 0j,))
    with pytest.raises(ag.GradientCheckError, match=r"finite differences give"):
        ag.check_grads(lambda z: bind(imaginary_part_lost, (z,), {}), (Z,), modes=modes)


def test_zero_size_and_0d():
    ag.check_grads(lambda x, y: x * y, (np.zeros((0, 3)), np.float64(2.0)))


def test_a_constant_function_has_the_derivative_0():
    ag.check_grads(lambda x: ag.ones(2, dtype="float64"), (A,))


@given(st.integers(0, 2**32))
def test_any_seed_will_do(seed):
    ag.check_grads(lambda x: ag.sin(x) * x, (A,), seed=seed, order=1)


def test_it_leaves_no_gradients_behind():
    x = ag.tensor(A, requires_grad=True)
    ag.check_grads(lambda x: x * x, (x,))
    assert x.grad is None


@pytest.mark.parametrize("f", [ag.grad(lambda x: (x * x * x).sum()), lambda x: ag.jvp(ag.sin, (x,), (x,))[1]])
def test_derivatives_are_functions_to_check_too(f):
    ag.check_grads(f, (A,))


# What fails ----------------------------------------------------------------------------------------------------


def test_a_wrong_derivative_is_an_assertion_error_with_both_numbers():
    wrong = made_up("wrong", lambda x: 2 * x * x)
    with pytest.raises(AssertionError) as found:
        ag.check_grads(wrong, (np.array([[1.0, 2.0]]),))
    assert isinstance(found.value, ag.GradientCheckError)
    message = str(found.value)
    assert message.startswith("check_grads: forward mode, order 1, derivative of made_up.<locals>.f with respect to")
    assert "argument 0: output 0[0, 0] of J v is" in message
    after = message.split(" is ")[1]
    claimed, numeric = float(after.split(",")[0]), float(after.split(" give ")[1].split()[0])
    assert claimed / numeric == pytest.approx(2 / 3)


def test_the_mode_is_named():
    with pytest.raises(ag.GradientCheckError, match=r"reverse mode, order 1, .*\(J\^T u\) v is"):
        ag.check_grads(made_up("wrong", lambda x: 2 * x * x), (A,), modes="rev")


def test_the_argument_is_named():
    wrong = made_up("wrong", lambda x: 2 * x * x)
    with pytest.raises(ag.GradientCheckError, match=r"with respect to argument 1\['b'\]\[0\]: output 0"):
        ag.check_grads(lambda x, p: x * wrong(p["b"][0]) + p["a"], (A, {"a": A, "b": (A,)}))


@pytest.mark.parametrize(
    ("modes", "kind"),
    [
        ("fwd", "derivative of the jvp of"),
        ("rev", "derivative of the vjp of"),
        (("fwd", "rev"), "derivative of the jvp of"),
    ],
)
def test_a_wrong_second_derivative_is_found_at_order_2_only(modes, kind):
    f = made_up("frozen slope", lambda x: (3 * x * x).detach())
    ag.check_grads(f, (A,), order=1, modes=modes)
    with pytest.raises(ag.GradientCheckError, match=f"order 2, {kind} .*"):
        ag.check_grads(f, (A,), order=2, modes=modes)


def test_a_wrong_third_derivative_is_found_at_order_3_only():
    slope = made_up("slope", lambda x: (6 * x).detach(), lambda xp, x: 3 * x * x)
    f = made_up("cube", lambda x: slope(x))
    ag.check_grads(f, (A,), order=2)
    with pytest.raises(ag.GradientCheckError, match="order 3"):
        ag.check_grads(f, (A,), order=3)


def test_a_kink_is_found():
    with pytest.raises(ag.GradientCheckError):
        ag.check_grads(ag.floor, (np.array([1.0, 1.5]),))


def test_nan_is_not_taken_for_agreement():
    nan = made_up("nan", lambda x: x * float("nan"))
    for mode in ("fwd", "rev"):
        with pytest.raises(ag.GradientCheckError, match="is nan"):
            ag.check_grads(nan, (A,), modes=mode)


def test_tolerances_are_those_asked_for():
    off = made_up("off", lambda x: 3 * x * x * (1 + 1e-5))
    ag.check_grads(off, (A,), rtol=1e-4, order=1)
    with pytest.raises(ag.GradientCheckError, match="rtol=1e-06, atol=1e-06, eps=1e-05"):
        ag.check_grads(off, (A,), order=1)


def test_a_function_that_changes_under_differentiation_is_found():
    calls = iter(range(100))
    with pytest.raises(ag.GradientCheckError):
        ag.check_grads(lambda x: x + float(next(calls)), (A,))


# What is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "args", "kwargs", "error", "message"),
    [
        (ag.sin, (A.astype("float32"),), {}, ag.DTypeError, "argument 0 is float32, in which finite differences are"),
        (lambda p: p["w"], ({"w": ag.tensor(1.5)},), {}, ag.DTypeError, r"argument 0\['w'\] is float32"),
        (ag.sin, (A.astype("complex64"),), {}, ag.DTypeError, "argument 0 is complex64.* pass it as complex128"),
        (lambda x: x * 2, (3,), {}, ag.ArgumentError, "no argument is floating"),
        (ag.sin, (), {}, ag.ArgumentError, "no argument is floating"),
        (lambda x: x > 0, (A,), {}, ag.ArgumentError, "returned no floating tensor, so there is nothing to check"),
        (lambda x: 3.0, (A,), {}, ag.ArgumentError, "must return tensors, it returned float"),
        (lambda x: x.float(), (A,), {}, ag.DTypeError, "output 0 of .* is float32 for float64 arguments"),
        (ag.sin, (A,), {"order": 0}, ag.ArgumentError, "order must be at least 1, got 0"),
        (ag.sin, (A,), {"modes": "forward"}, ag.ArgumentError, "modes are 'fwd' and 'rev', got"),
        (ag.sin, (A,), {"modes": ()}, ag.ArgumentError, "modes are 'fwd' and 'rev'"),
    ],
)
def test_what_cannot_be_checked_is_refused(f, args, kwargs, error, message):
    with pytest.raises(error, match=message):
        ag.check_grads(f, args, **kwargs)
