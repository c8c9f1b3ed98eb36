"""The recorded graph: depth, lifetime, and what is saved in it."""

from __future__ import annotations

import contextlib
import copy
import gc
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from engine_tools import leaf, network, scalar

import autograd_core as ag
from autograd_core.primitive import bind, elementwise

LENGTH = 20_000


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
        descend(200)  # a hundredth of the chains below


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
    """On a thread with a small stack: a graph freed node within node would need far more.

    Python 3.13 itself frees some thousands of objects within one another, which takes half of it.
    """
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

    before = threading.stack_size(1024 * 1024)
    try:
        thread = threading.Thread(target=build_and_drop)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert freed == [True]


def test_a_deep_copy_of_a_long_history_does_not_recurse(shallow) -> None:
    assert copy.deepcopy(chain(scalar(1.0))).requires_grad


# Lifetime -------------------------------------------------------------------------------------------------------


class Mishap(Exception):
    pass


def _fail(*args: Any) -> Any:
    raise Mishap


fails_backward_p = elementwise("fails_backward", lambda xp, x: x * 1, partials=(lambda x: _fail(),))
fails_forward_p = elementwise("fails_forward", lambda xp, x: _fail(), partials=(1,))


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
    with contextlib.suppress(ag.GradientError):
        y.backward()


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


@pytest.fixture
def collector() -> Iterator[None]:
    """Nothing is collected by itself, and what was there before is not looked at: that would take seconds."""
    gc.disable()
    gc.freeze()
    yield
    gc.unfreeze()
    gc.enable()


@pytest.mark.parametrize("live", LIVES.values(), ids=LIVES.keys())
def test_nothing_is_left_for_the_garbage_collector(live: Callable[[], Any], collector) -> None:
    live()  # once for what is made on first use
    gc.collect()
    live()
    assert gc.collect() == 0


def test_a_cycle_would_be_noticed(collector) -> None:
    w = leaf(1.0)
    (w * w).sum().backward(create_graph=True)  # w.grad's history ends in w, which holds w.grad
    del w
    assert gc.collect() > 0


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
        with contextlib.suppress(Mishap):
            result.backward()
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
