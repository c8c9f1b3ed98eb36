"""The recorded graph and the sweep over it: depth, lifetime, what is saved, accumulation, devices."""

from __future__ import annotations

import copy
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_core as ag
from autograd_core.graph import Leaf, Node
from autograd_core.interpreters.eager import Eager
from autograd_core.interpreters.reverse import main_node
from autograd_core.primitive import bind, elementwise, general
from autograd_core.tensor import Tensor

LENGTH = 20_000


def leaf(*values: float) -> ag.Tensor:
    return ag.tensor(np.array(values, np.float64), requires_grad=True)


def scalar(value: float) -> ag.Tensor:
    return ag.tensor(np.array(value), requires_grad=True)


def nodes_under(y: ag.Tensor) -> list[Node | Leaf]:
    seen: dict[Node | Leaf, None] = {}
    stack = [main_node(y.node)]
    while stack:
        node = stack.pop()
        if node not in seen:
            seen[node] = None
            stack += [main_node(p) for p in getattr(node, "parents", ())]
    return list(seen)


@pytest.fixture
def runs(monkeypatch) -> list[str]:
    """The names of the primitives that run on arrays."""
    names: list[str] = []
    run = Eager.run

    def counting(self, primitive, inputs, params):
        names.append(primitive.name)
        return run(self, primitive, inputs, params)

    monkeypatch.setattr(Eager, "run", counting)
    return names


# Depth ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def shallow() -> Iterator[None]:
    """Leaves Python a few dozen frames, so that whatever recurses over a graph fails."""
    depth, frame, limit = 0, sys._getframe(), sys.getrecursionlimit()
    while frame is not None:
        depth, frame = depth + 1, frame.f_back
    sys.setrecursionlimit(depth + 60)
    yield
    sys.setrecursionlimit(limit)


def chain(x: ag.Tensor, length: int = LENGTH) -> ag.Tensor:
    for _ in range(length // 2):
        x = x * 0.9999 + 0.5
    return x


def test_so_few_frames_stop_a_recursion(shallow) -> None:
    def descend(n: int) -> int:
        return 1 + descend(n - 1) if n else 0

    with pytest.raises(RecursionError):
        descend(60)


def test_backward_through_a_long_chain_does_not_recurse(shallow) -> None:
    x = scalar(1.0)
    chain(x).backward()
    assert x.grad.item() == pytest.approx(0.9999 ** (LENGTH // 2), rel=1e-12)


@pytest.mark.parametrize("second", ["reverse over reverse", "forward over reverse", "forward"])
def test_transforms_of_a_long_chain_do_not_recurse(shallow, second: str) -> None:
    def f(x: ag.Tensor) -> ag.Tensor:
        return chain(x, 2000) ** 2

    x = ag.tensor(np.array(1.0))
    slope = 0.9999**1000
    if second == "forward":
        assert ag.jvp(f, (x,), (1.0,))[1].item() == pytest.approx(2 * slope * chain(x, 2000).item(), rel=1e-12)
    else:
        curvature = ag.grad(ag.grad(f))(x) if second.startswith("reverse") else ag.hvp(f, (x,), (1.0,))
        assert curvature.item() == pytest.approx(2 * slope**2, rel=1e-12)


def test_an_unused_graph_is_freed_without_recursion() -> None:
    """On a thread with a small stack: a graph freed node within node would need far more."""
    freed = []

    def build_and_drop() -> None:
        x = scalar(1.0)
        first = x * 2.0
        y = first * x  # keeps ``first``
        gone = weakref.ref(first)
        y = chain(y)
        del first
        assert gone() is not None
        del y
        freed.append(gone() is None)

    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=build_and_drop)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert freed == [True]


# Lifetime -------------------------------------------------------------------------------------------------------


class Mishap(Exception):
    pass


def _fail(*args: Any) -> Any:
    raise Mishap


fails_backward_p = elementwise("fails_backward", lambda xp, x: x * 1, partials=(lambda x: _fail(),))
fails_forward_p = elementwise("fails_forward", lambda xp, x: _fail(), partials=(1,))


@ag.custom_vjp
def cubed(x: ag.Tensor) -> ag.Tensor:
    return x**3


cubed.defvjp(lambda x: (x**3, x), lambda x, g: (3 * x * x * g,))


@ag.custom_jvp
def squared(x: ag.Tensor) -> ag.Tensor:
    return x * x


squared.defjvp(lambda primals, tangents: (squared(primals[0]), 2 * primals[0] * tangents[0]))


def network(w: ag.Tensor) -> ag.Tensor:
    """A function with saved outputs, saved operands, a fused operation, a composed one and several uses of ``w``."""
    h = ag.tanh(w * w + ag.exp(-w))
    h = h / (1 + abs(w)) + cubed(w) + squared(h)
    a, b = ag.split(ag.concat([h, w]), 2)
    return (a * b).sum() + h.logsumexp() + ag.prod(w) + ag.einsum("i,j->", h, w) + w[ag.tensor([0, 0])].sum()


def _backward(**options: Any) -> None:
    w = leaf(0.5, 1.5)
    network(w).backward(**options)


def _twice() -> None:
    w = leaf(0.5, 1.5)
    y = network(w)
    y.backward(retain_graph=True)
    y.backward()


def _through_gradients() -> None:
    w = leaf(0.5, 1.5)
    network(w).backward(create_graph=True)
    g = w.grad
    w.grad = None  # a gradient with a history, kept at the leaf of that history, would be a cycle
    (g * g).sum().backward()


def _second_backward() -> None:
    y = network(leaf(0.5, 1.5))
    y.backward()
    try:
        y.backward()
    except ag.GradientError:
        pass


def _mishap(f: Callable[[], Any]) -> Callable[[], None]:
    def run() -> None:
        try:
            f()
        except (Mishap, ag.AutogradError):
            pass
        else:
            raise AssertionError("nothing went wrong")

    return run


def x0() -> ag.Tensor:
    return ag.tensor(np.array([0.5, 1.5]))


def failing(primitive: Any) -> Callable[[ag.Tensor], ag.Tensor]:
    return lambda w: network(bind(primitive, (w * w,), {}))


LIVES: dict[str, Callable[[], Any]] = {
    "a graph that is never used": lambda: network(leaf(0.5, 1.5)),
    "backward": _backward,
    "backward, graph retained": lambda: _backward(retain_graph=True),
    "backward twice": _twice,
    "backward through gradients": _through_gradients,
    "second backward refused": _second_backward,
    "grad": lambda: ag.grad(network)(x0()),
    "grad of grad": lambda: ag.grad(lambda x: ag.grad(network)(x).sum())(x0()),
    "value_and_grad of an outer variable": lambda w=None: (
        lambda w: ag.value_and_grad(lambda x: network(x * w))(x0())[0].backward()
    )(leaf(1.0, 2.0)),
    "vjp": lambda: [pull(1.0) for _, pull in [ag.vjp(network, x0())] for _ in range(2)],
    "vjp, never pulled": lambda: ag.vjp(network, x0()),
    "jvp": lambda: ag.jvp(network, (x0(),), (x0(),)),
    "jacrev": lambda: ag.jacrev(lambda x: x * network(x))(x0()),
    "jacfwd": lambda: ag.jacfwd(lambda x: x * network(x))(x0()),
    "hessian": lambda: ag.hessian(network)(x0()),
    "hvp": lambda: ag.hvp(network, (x0(),), (x0(),)),
    "grad of jvp": lambda: ag.grad(lambda x: ag.jvp(network, (x,), (x,))[1])(x0()),
    "shapes that do not fit": _mishap(lambda: ag.grad(lambda x: (x * network(x)) @ ag.ones(3))(x0())),
    "exception in forward": _mishap(lambda: failing(fails_forward_p)(leaf(0.5, 1.5))),
    "exception in forward, grad": _mishap(lambda: ag.grad(failing(fails_forward_p))(x0())),
    "exception in forward, jvp": _mishap(lambda: ag.jvp(failing(fails_forward_p), (x0(),), (x0(),))),
    "exception in a rule, backward": _mishap(lambda: failing(fails_backward_p)(leaf(0.5, 1.5)).backward()),
    "exception in a rule, grad": _mishap(lambda: ag.grad(failing(fails_backward_p))(x0())),
    "exception in a rule, jvp": _mishap(lambda: ag.jvp(failing(fails_backward_p), (x0(),), (x0(),))),
    "exception in a rule, hessian": _mishap(lambda: ag.hessian(failing(fails_backward_p))(x0())),
}


@pytest.mark.parametrize("live", LIVES.values(), ids=LIVES.keys())
def test_nothing_is_left_for_the_garbage_collector(live: Callable[[], Any]) -> None:
    live()  # once for what is made on first use
    gc.collect()
    gc.disable()
    try:
        live()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_cycle_would_be_noticed() -> None:
    gc.collect()
    gc.disable()
    try:
        w = leaf(1.0)
        (w * w).sum().backward(create_graph=True)  # w.grad's history ends in w, which holds w.grad
        del w
        assert gc.collect() > 0
    finally:
        gc.enable()


@pytest.mark.parametrize("mode", ["backward", "grad", "failing rule"])
def test_backward_frees_what_was_saved_while_the_loss_lives_on(mode: str) -> None:
    kept = []

    def f(w: ag.Tensor) -> ag.Tensor:
        if mode == "failing rule":
            w = bind(fails_backward_p, (w,), {})
        h = ag.tanh(w * 2.0)
        kept.extend([weakref.ref(h)])
        return (h * h).sum()

    if mode == "grad":
        result = ag.value_and_grad(f)(x0())
    else:
        result = f(leaf(0.5, 1.5))
        assert kept[0]() is not None
        try:
            result.backward()
        except Mishap:
            pass
    assert kept[0]() is None
    assert result is not None


# What is saved --------------------------------------------------------------------------------------------------

# x is the operand that needs a gradient, c is constant, y the result
SAVED: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "x + c": (lambda x, c: x + c, ""),
    "x - c": (lambda x, c: x - c, ""),
    "c - x": (lambda x, c: c - x, ""),
    "-x": (lambda x, c: -x, ""),
    "x * c": (lambda x, c: x * c, "c"),
    "c * x": (lambda x, c: c * x, "c"),
    "x * x": (lambda x, c: x * x, "x"),
    "x / c": (lambda x, c: x / c, "c"),
    "x @ c": (lambda x, c: x @ c, "c"),
    "c @ x": (lambda x, c: c @ x, "c"),
    "exp": (lambda x, c: ag.exp(x), "y"),
    "tanh": (lambda x, c: ag.tanh(x), "y"),
    "sqrt": (lambda x, c: ag.sqrt(x), "y"),
    "sigmoid": (lambda x, c: x.sigmoid(), "y"),
    "log": (lambda x, c: ag.log(x), "x"),
    "sin": (lambda x, c: ag.sin(x), "x"),
    "sum": (lambda x, c: x.sum(), ""),
    "mean": (lambda x, c: x.mean(axis=0), ""),
    "max": (lambda x, c: x.max(axis=0), "xy"),
    "softmax": (lambda x, c: x.softmax(), "y"),
    "reshape": (lambda x, c: x.reshape(9), ""),
    "mT": (lambda x, c: x.mT, ""),
    "broadcast_to": (lambda x, c: x.broadcast_to((2, 3, 3)), ""),
    "x[1:]": (lambda x, c: x[1:], ""),
    "concat": (lambda x, c: ag.concat([x, c]), ""),
    "where": (lambda x, c: ag.where(c > 1, x, c), "other"),
    "maximum": (lambda x, c: ag.maximum(x, c), "xc"),
    "astype": (lambda x, c: x.astype("float32"), ""),
    "to": (lambda x, c: x.to("numpy"), ""),
}


@pytest.mark.parametrize(("f", "names"), SAVED.values(), ids=SAVED.keys())
def test_only_what_rules_name_is_saved(f: Callable[[Any, Any], Any], names: str) -> None:
    x = leaf(*range(1, 10)).reshape((3, 3)) * 1.0
    c = ag.tensor(np.arange(9.0, 0.0, -1.0).reshape(3, 3))
    y = f(x, c)
    known = {"x": x.numpy(), "c": c.numpy(), "y": y.numpy()}
    found = set()
    for saved in y.node.saved:
        matches = [name for name, array in known.items() if np.shares_memory(array, saved.numpy())]
        found.update(matches or ["other"])
    assert found == ({"other"} if names == "other" else set(names))


@pytest.mark.parametrize(("f", "alive"), [(ag.exp, False), (ag.log, True), (lambda x: x + 1.0, False)])
def test_an_operand_that_no_rule_names_is_freed_at_once(f: Callable, alive: bool) -> None:
    x = leaf(1.0, 2.0) * 3.0
    gone = weakref.ref(x)
    y = f(x)
    del x
    assert (gone() is not None) is alive
    assert y.requires_grad


def test_nothing_is_recorded_where_nothing_requires_a_gradient() -> None:
    assert network(x0()).node is None
    with ag.no_grad():
        assert network(leaf(0.5, 1.5)).node is None


# Backward again -------------------------------------------------------------------------------------------------


def test_a_retained_graph_gives_the_same_gradient_again() -> None:
    w = leaf(0.5, 1.5)
    y = network(w)
    y.backward(retain_graph=True)
    first = w.grad
    y.backward(retain_graph=True)
    np.testing.assert_array_equal(w.grad.numpy(), 2 * first.numpy())
    y.backward()
    np.testing.assert_allclose(w.grad.numpy(), 3 * first.numpy(), rtol=1e-15)
    with pytest.raises(ag.GradientError, match="freed"):
        y.backward()


def test_a_shared_part_freed_by_one_loss_is_missed_by_the_next() -> None:
    w = leaf(0.5, 1.5)
    h = ag.exp(w)
    first, second = h.sum(), (h * h).sum()
    first.backward()
    with pytest.raises(ag.GradientError, match=r"shape \(2,\)\) of 'exp'"):
        second.backward()


def test_a_freed_part_that_leads_to_no_argument_is_not_missed() -> None:
    """The gradient with respect to x alone needs nothing of the history of ``scale``."""
    w = scalar(3.0)
    scale = w * w
    scale.backward()
    assert ag.grad(lambda x: x * scale)(ag.tensor(np.array(2.0))).item() == 9.0


def test_create_graph_makes_gradients_differentiable() -> None:
    w = scalar(2.0)
    (w**4).backward(create_graph=True)
    g, w.grad = w.grad, None
    g.backward(create_graph=True)
    h, w.grad = w.grad, None
    h.backward()
    assert (g.item(), h.item(), w.grad.item()) == (32.0, 48.0, 48.0)
    assert g.requires_grad
    assert not w.grad.requires_grad


def test_without_create_graph_gradients_have_no_history() -> None:
    w, g = leaf(1.0, 2.0), leaf(3.0, 4.0)
    (w + 0.0).backward(g)  # here the gradient is the cotangent itself
    assert w.grad.tolist() == [3.0, 4.0]
    assert not w.grad.requires_grad


# Accumulation ---------------------------------------------------------------------------------------------------


def test_gradients_accumulate_over_several_backwards() -> None:
    w, b = leaf(1.0, 2.0), leaf(1.0, 1.0)
    for _ in range(3):
        (w * w + b).sum().backward()
    (w * 5.0).sum().backward()
    assert w.grad.tolist() == [11.0, 17.0]
    assert b.grad.tolist() == [3.0, 3.0]
    w.grad = None
    assert w.grad is None


def test_one_backward_delivers_the_sum_of_all_uses() -> None:
    w = leaf(1.0, 2.0)
    (w * w + w * 3.0 + w + w + w[0] + w.sum()).sum().backward()
    np.testing.assert_array_equal(w.grad.numpy(), [2 + 5 + 2 + 2, 4 + 5 + 2])


def test_doubling_sixty_times_is_linear(runs) -> None:
    w = ag.tensor(1.0, requires_grad=True)
    y = w
    for _ in range(60):
        y = y + y
    assert len(nodes_under(y)) == 61
    runs.clear()
    y.backward()
    assert w.grad.item() == 2.0**60
    assert runs.count("add") <= 60
    assert len(runs) <= 62


@pytest.mark.parametrize(
    "transform",
    [ag.grad, ag.jacfwd, lambda f: ag.grad(ag.grad(f)), ag.hessian, lambda f: lambda x: ag.vjp(f, x)[1](1.0)[0]],
    ids=["grad", "jacfwd", "grad of grad", "hessian", "vjp"],
)
def test_transforms_of_shared_subexpressions_are_linear(runs, transform) -> None:
    def f(x: ag.Tensor) -> ag.Tensor:
        for _ in range(60):
            x = x + x
        return x * x

    assert transform(f)(ag.tensor(1.0)).item() in (2.0**120 * 2, 2.0**120)
    assert len(runs) < 60 * 20


def test_a_cotangent_that_two_leaves_share_is_not_summed_into() -> None:
    a, b, g = leaf(1.0, 2.0), leaf(3.0, 4.0), ag.tensor(np.array([1.0, 10.0]))
    y = a + b
    z = y + a + a
    z.backward(g, retain_graph=True)
    assert (a.grad.tolist(), b.grad.tolist(), g.tolist()) == ([3.0, 30.0], [1.0, 10.0], [1.0, 10.0])
    kept = a.grad, b.grad
    z.backward(g)
    assert (a.grad.tolist(), b.grad.tolist()) == ([6.0, 60.0], [2.0, 20.0])
    assert [k.tolist() for k in kept] == [[3.0, 30.0], [1.0, 10.0]]


def test_gradients_own_their_values() -> None:
    """Neither the caller's array nor a variable given as cotangent is the gradient itself."""
    array, variable = np.array([1.0, 2.0]), ag.Variable(np.array([1.0, 2.0]), ag.zeros(0).device)
    a, b = leaf(0.0, 0.0), leaf(0.0, 0.0)
    (a + 0.0).backward(array)
    (b + 0.0).backward(variable)
    array[:] = 7.0
    variable.assign_([7.0, 7.0])
    assert a.grad.tolist() == b.grad.tolist() == [1.0, 2.0]


PROGRAMS = st.lists(
    st.tuples(st.sampled_from("+-*se="), st.integers(0, 99), st.integers(0, 99)), min_size=1, max_size=25
)


def play(program: list[tuple[str, int, int]], values: list[ag.Tensor]) -> list[ag.Tensor]:
    """Every step adds a value made of two earlier ones."""
    values = list(values)
    for op, i, j in program:
        a, b = values[i % len(values)], values[j % len(values)]
        values.append(
            {
                "+": lambda a=a, b=b: a + b,
                "-": lambda a=a, b=b: a - b,
                "*": lambda a=a, b=b: a * b * 0.5,
                "s": lambda a=a: a.sum() * 0.25 + a * 0.0,
                "e": lambda a=a: ag.tanh(a),
                "=": lambda a=a: a.reshape((2, 1)).reshape(2),
            }[op]()
        )
    return values


@given(program=PROGRAMS)
def test_whatever_the_graph_the_sweep_agrees_with_forward_mode_and_changes_nothing(program) -> None:
    start = [np.array([0.5, -1.0]), np.array([1.5, 0.25])]
    leaves = [ag.tensor(a, requires_grad=True) for a in start]
    values = play(program, leaves)
    cotangent = ag.tensor(np.array([1.0, -2.0]))
    before = [v.numpy().copy() for v in values]
    y = values[-1] + values[-2] + values[-1]
    y.backward(cotangent, retain_graph=True)
    grads = [x.grad for x in leaves]
    first = [None if g is None else g.numpy().copy() for g in grads]
    y.backward(cotangent)
    for v, array in zip(values, before, strict=True):
        np.testing.assert_array_equal(v.numpy(), array)
    assert cotangent.tolist() == [1.0, -2.0]
    for x, g, array in zip(leaves, grads, first, strict=True):
        if g is not None:
            np.testing.assert_array_equal(g.numpy(), array)  # the tensor that was read is not the one added to
            np.testing.assert_array_equal(x.grad.numpy(), 2 * array)

    def f(*xs: ag.Tensor) -> ag.Tensor:
        vs = play(program, list(xs))
        return ((vs[-1] + vs[-2] + vs[-1]) * cotangent).sum()

    for i, array in enumerate(first):
        forward = ag.jacfwd(f, argnums=i)(*map(ag.tensor, start)).numpy()
        np.testing.assert_allclose(0.0 if array is None else array, forward, rtol=1e-9, atol=1e-9)


# Several outputs ------------------------------------------------------------------------------------------------

sincos_p = general(
    "sincos",
    lambda xp, x: (xp.sin(x), xp.cos(x)),
    lambda x: (x, x),
    vjp=(lambda g, y: g[0] * y[1] - g[1] * y[0],),
)


def sincos(x: ag.Tensor) -> tuple[ag.Tensor, ag.Tensor]:
    return bind(sincos_p, (x,), {})


@pytest.mark.parametrize(
    ("f", "slope"),
    [
        (lambda s, c: s, np.cos),
        (lambda s, c: c, lambda x: -np.sin(x)),
        (lambda s, c: s * c, lambda x: np.cos(2 * x)),
        (lambda s, c: s + s + c + s, lambda x: 3 * np.cos(x) - np.sin(x)),
        (lambda s, c: s * s + c * c, lambda x: 0 * x),
    ],
    ids=["first", "second", "both", "several times", "cancelling"],
)
def test_outputs_may_be_used_or_not(f, slope) -> None:
    x = np.array([0.3, 0.7])
    w = ag.tensor(x, requires_grad=True)
    f(*sincos(w)).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), slope(x), atol=1e-15)
    ag.check_grads(lambda x: f(*sincos(x)), (ag.tensor(x),), order=3)


def test_several_outputs_are_one_node_and_free_together() -> None:
    w = leaf(0.3)
    s, c = sincos(w * 1.0)
    assert main_node(s.node) is main_node(c.node)
    s.sum().backward()
    with pytest.raises(ag.GradientError, match="the 2 results of 'sincos'"):
        c.sum().backward()


# Copies ---------------------------------------------------------------------------------------------------------


def test_a_deep_copy_of_a_leaf_is_a_leaf_of_its_own() -> None:
    w = leaf(1.0, 2.0)
    (w * w).sum().backward()
    v = copy.deepcopy(w)
    (v * 3.0).sum().backward()
    assert (w.grad.tolist(), v.grad.tolist()) == ([2.0, 4.0], [5.0, 7.0])
    assert v.device is w.device
    assert not np.shares_memory(v.numpy(), w.numpy())


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy])
def test_a_copy_of_a_result_shares_its_history(duplicate) -> None:
    w = leaf(1.0, 2.0)
    s, c = sincos(w)
    y = s * c
    (duplicate(y) + y + duplicate(s)).sum().backward()
    x = np.array([1.0, 2.0])
    np.testing.assert_allclose(w.grad.numpy(), 2 * np.cos(2 * x) + np.cos(x))


def test_a_deep_copy_of_a_long_history_does_not_recurse(shallow) -> None:
    assert copy.deepcopy(chain(scalar(1.0))).requires_grad


# Devices --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("here", "there"), [("cpu", "numpy"), ("numpy", "cpu")])
def test_moving_to_another_device_is_differentiable(here: str, there: str) -> None:
    x = ag.tensor([1.0, 2.0], device=here, requires_grad=True)
    y = x.to(there) * ag.tensor([3.0, 4.0], device=there)
    assert y.device == there
    (y * y).to(here).sum().backward()
    assert x.grad.device == here
    assert x.grad.tolist() == [18.0, 64.0]

    def f(x: Tensor) -> Tensor:
        return (ag.exp(x.to(there)).to(here) * x).sum()

    ag.check_grads(f, (ag.tensor(np.array([0.5, 1.0]), device=here),))
    assert ag.hessian(f)(ag.tensor([0.5, 1.0], device=here)).device == here


def test_to_the_same_device_is_the_tensor_itself() -> None:
    x = ag.tensor([1.0])
    assert x.to("cpu") is x
    assert x.to("cpu:0") is x
    assert x.cpu() is x
