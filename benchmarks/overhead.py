"""What a small operation costs: ours against raw NumPy, PyTorch, HIPS autograd, MyGrad and JAX.

Everything in one run, interleaved, one thread, float32 where the library keeps it. The headline is ``chain``: 100
multiplications and additions on 10 floats, forward and backward.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

import autograd_core as ag

from .measure import interleaved, machine, table, write_json

LENGTH = 10
PAIRS = 50
Workloads = dict[str, Callable[[], object]]


def _operands() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    # near 1 and 0, so that fifty steps of y = y * b + c neither overflow nor vanish
    return rng.uniform(0.9, 1.1, LENGTH).astype(np.float32), rng.uniform(-0.1, 0.1, LENGTH).astype(np.float32)


def _numpy() -> Workloads:
    a, c = _operands()

    def chain() -> None:
        y = a
        for _ in range(PAIRS):
            y = y * a + c
        y.sum()

    return {"chain": chain, "multiply": lambda: a * c, "exp": lambda: np.exp(a), "sum": a.sum}


def _recording(tensor: Callable, exp: Callable) -> Workloads:
    """For libraries with tensors that record: ours and PyTorch, called alike."""
    host, shift = _operands()
    a, b, c = tensor(host, requires_grad=True), tensor(host), tensor(shift)

    def chain() -> None:
        y = a
        for _ in range(PAIRS):
            y = y * b + c
        y.sum().backward()
        a.grad = None

    def gradient(f: Callable) -> Callable[[], None]:
        def call() -> None:
            f(a).sum().backward()
            a.grad = None

        return call

    return {
        "chain": chain,
        "multiply": lambda: b * c,
        "exp": lambda: exp(b),
        "sum": lambda: b.sum(),
        "multiply, gradient": gradient(lambda x: x * b),
        "exp, gradient": gradient(exp),
    }


def _ours() -> Workloads:
    return _recording(ag.tensor, ag.exp)


def _torch() -> Workloads:
    import torch

    torch.set_num_threads(1)
    return _recording(torch.tensor, torch.exp)


def _autograd() -> Workloads:
    import autograd
    import autograd.numpy as anp

    a, c = _operands()

    def loss(x: np.ndarray) -> object:
        y = x
        for _ in range(PAIRS):
            y = y * a + c
        return anp.sum(y)

    chain = autograd.grad(loss)
    multiply, exponential = autograd.grad(lambda x: anp.sum(x * a)), autograd.grad(lambda x: anp.sum(anp.exp(x)))
    return {
        "chain": lambda: chain(a),
        "multiply, gradient": lambda: multiply(a),
        "exp, gradient": lambda: exponential(a),
    }


def _mygrad() -> Workloads:
    import mygrad

    host, shift = _operands()
    a = mygrad.tensor(host)

    def gradient(f: Callable) -> Callable[[], None]:
        def call() -> None:
            f(a).sum().backward()
            a.null_grad()

        return call

    def chain(x: object) -> object:
        y = x
        for _ in range(PAIRS):
            y = y * host + shift
        return y

    return {
        "chain": gradient(chain),
        "multiply, gradient": gradient(lambda x: x * host),
        "exp, gradient": gradient(mygrad.exp),
    }


def _jax() -> Workloads:
    import jax
    import jax.numpy as jnp

    a, c = (jnp.asarray(x) for x in _operands())

    def loss(x: Any) -> Any:
        y = x
        for _ in range(PAIRS):
            y = y * a + c
        return jnp.sum(y)

    eager, compiled = jax.grad(loss), jax.jit(jax.grad(loss))
    return {
        "chain": lambda: eager(a).block_until_ready(),
        "chain, compiled": lambda: compiled(a).block_until_ready(),
        "multiply": lambda: (a * c).block_until_ready(),
        "exp": lambda: jnp.exp(a).block_until_ready(),
        "sum": lambda: a.sum().block_until_ready(),
    }


# contestant -> (the distribution whose version is printed, its workloads)
CONTESTANTS = {
    "numpy": ("numpy", _numpy),
    "ours": ("autograd_core", _ours),
    "torch": ("torch", _torch),
    "autograd": ("autograd", _autograd),
    "mygrad": ("mygrad", _mygrad),
    "jax": ("jax", _jax),
}


def add_arguments(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--peers", help=f"comma-separated, of: {','.join(CONTESTANTS)} (default: all that are installed)"
    )


def run(args: argparse.Namespace) -> None:
    """Print a table of microseconds a call, and the ratio to PyTorch where it takes part."""
    names = args.peers.split(",") if args.peers else list(CONTESTANTS)
    if unknown := [name for name in names if name not in CONTESTANTS]:
        raise SystemExit(f"overhead: no contestant is named {', '.join(unknown)}; there are {', '.join(CONTESTANTS)}")
    workloads: dict[str, Workloads] = {}
    versions = {}
    for name in names:
        distribution, make = CONTESTANTS[name]
        try:
            workloads[name] = make()
            versions[name] = version(distribution)
        except ImportError as error:
            print(f"{name}: not measured, because it is not installed ({error})")
    figures: dict[str, dict] = {}
    rows = {}
    for workload in dict.fromkeys(w for of_one in workloads.values() for w in of_one):
        contestants = {name: of_one[workload] for name, of_one in workloads.items() if workload in of_one}
        timings = figures[workload] = interleaved(contestants, repeats=3 if args.quick else 51)
        rows[workload] = {name: f"{1e6 * t['median']:.2f}" for name, t in timings.items()}
        if "torch" in timings and "ours" in timings:
            rows[workload]["ours/torch"] = f"{timings['ours']['median'] / timings['torch']['median']:.2f}"
    print(f"microseconds a call, median, on {LENGTH} floats")
    print(f"chain = {2 * PAIRS} operations, forward and backward (numpy: forward alone)")
    print(table("", [*workloads, "ours/torch"], rows))
    print("  ".join(f"{name} {v}" for name, v in versions.items()) + f"  on {machine()['processor']}")
    write_json(args.json, {"machine": machine(), "versions": versions, "seconds": figures})
