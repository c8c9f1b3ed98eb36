"""Cases of recurrent layers. References take one sequence, one step and one gate at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_core.ops import recurrent

from .case import OpCase

T, B, D, H, R = 4, 3, 2, 3, 2
LENGTHS = [4, 1, 3]
GATES = {"rnn": 1, "lstm": 4, "gru": 3}
Arrays = dict[str, np.ndarray]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def rnn_step(p: Arrays, a: np.ndarray, u: np.ndarray, h: np.ndarray, c: Any, squash: Any) -> tuple[np.ndarray, Any]:
    return squash(a + u), c


def lstm_step(p: Arrays, a: np.ndarray, u: np.ndarray, h: np.ndarray, c: Any, _: Any) -> tuple[np.ndarray, Any]:
    i, f, g, o = np.split(a + u, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    y = sigmoid(o) * np.tanh(c)
    return p["weight_hr"] @ y if "weight_hr" in p else y, c


def gru_step(p: Arrays, a: np.ndarray, u: np.ndarray, h: np.ndarray, c: Any, _: Any) -> tuple[np.ndarray, Any]:
    (ar, az, an), (ur, uz, un) = np.split(a, 3), np.split(u, 3)
    z = sigmoid(az + uz)
    return (1 - z) * np.tanh(an + sigmoid(ar + ur) * un) + z * h, c


STEPS = {"rnn": rnn_step, "lstm": lstm_step, "gru": gru_step}


def one_sequence(op: str, p: Arrays, x: np.ndarray, h: np.ndarray, c: Any, reverse: bool, squash: Any) -> Any:
    """States at the steps of ``x``, the last one, and the last cell."""
    y = np.zeros((len(x), len(h)))
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        a = p["weight_ih"] @ x[t] + p.get("bias_ih", 0)
        u = p["weight_hh"] @ h + p.get("bias_hh", 0)
        h, c = STEPS[op](p, a, u, h, c, squash)
        y[t] = h
    return y, h, c


def reference(op: str, names: tuple[str, ...], lengths: Any, reverse: bool, squash: Any) -> Callable[..., Any]:
    def run(x: np.ndarray, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        p = dict(zip(names, arrays, strict=True))
        batched = x.ndim == 3
        sequences = x.swapaxes(0, 1) if batched else x[None]
        states = p["weight_hh"].shape[1]
        h0 = p.get("h0", np.zeros((len(sequences), states))).reshape(-1, states)
        c0 = p.get("c0", np.zeros((len(sequences), H))).reshape(-1, H)
        y = np.zeros((len(sequences), x.shape[0], states))
        h_n, c_n = h0.copy(), c0.copy()
        for b, sequence in enumerate(sequences):
            n = len(sequence) if lengths is None else lengths[b]
            y[b, :n], h_n[b], c_n[b] = one_sequence(op, p, sequence[:n], h0[b], c0[b], reverse, squash)
        results = [y.swapaxes(0, 1), h_n, c_n] if batched else [y[0], h_n[0], c_n[0]]
        return tuple(results if op == "lstm" else results[:2])

    return run


def of_torch(op: str, names: tuple[str, ...], lengths: Any, reverse: bool, nonlinearity: str) -> Callable[..., Any]:
    """PyTorch reads a sequence backwards by being given its steps in reverse order."""

    def run(torch: Any, x: Any, *tensors: Any) -> tuple[Any, ...]:
        p = dict(zip(names, tensors, strict=True))
        batched = x.ndim == 3
        x = x if batched else x[:, None]
        order = [
            list(range(T)) if not reverse else [*reversed(range(n)), *range(n, T)] for n in lengths or [T] * x.shape[1]
        ]
        index = torch.tensor(order).T[:, :, None]
        size = p["weight_hh"].shape[1]
        kind = torch.nn.RNN if op == "rnn" else getattr(torch.nn, op.upper())
        options = {"nonlinearity": nonlinearity} if op == "rnn" else {}
        if "weight_hr" in p:
            options["proj_size"] = size
        layer = kind(D, H, bias="bias_ih" in p, **options).double()
        given = {f"{name}_l0": v for name, v in p.items() if name[0] in "wb"}
        h0 = p.get("h0", torch.zeros(x.shape[1], size).double()).reshape(1, -1, size)
        c0 = p.get("c0", torch.zeros(x.shape[1], H).double()).reshape(1, -1, H)
        x = x.gather(0, index.expand(x.shape))
        utils = torch.nn.utils.rnn
        x = x if lengths is None else utils.pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False)
        y, last = torch.func.functional_call(layer, given, (x, (h0, c0) if op == "lstm" else h0))
        y = y if lengths is None else utils.pad_packed_sequence(y, total_length=T)[0]
        y = y.gather(0, index.expand(y.shape))
        results = (y, *[v[0] for v in last]) if op == "lstm" else (y, last[0])
        return results if batched else (results[0][:, 0], *[v[0] for v in results[1:]])

    return run


def case(
    op: str,
    variant: str,
    *names: str,
    unbatched: bool = False,
    projected: bool = False,
    lengths: Any = None,
    reverse: bool = False,
    nonlinearity: str = "tanh",
) -> OpCase:
    """names: the optional operands that are given."""
    states, gates = (R if projected else H), GATES[op]
    shapes = {
        "weight_ih": (gates * H, D),
        "weight_hh": (gates * H, states),
        "bias_ih": (gates * H,),
        "bias_hh": (gates * H,),
        "weight_hr": (states, H),
        "h0": (states,) if unbatched else (B, states),
        "c0": (H,) if unbatched else (B, H),
    }
    given = ("weight_ih", "weight_hh", *names, *(("weight_hr",) if projected else ()))
    options: dict[str, Any] = {"reverse": reverse} if lengths is None else {"reverse": reverse, "lengths": lengths}
    if op == "rnn":
        options["nonlinearity"] = nonlinearity
    squash = np.tanh if nonlinearity == "tanh" else lambda x: np.maximum(x, 0)
    return OpCase(
        f"{op}/{variant}",
        lambda x, *vs: getattr(recurrent, op)(x, **dict(zip(given, vs, strict=True)), **options),
        lambda rng: (
            rng.standard_normal((T, D) if unbatched else (T, B, D)),
            *[rng.uniform(-0.8, 0.8, shapes[name]) for name in given],
        ),
        reference(op, given, lengths, reverse, squash),
        torch=of_torch(op, given, lengths, reverse, nonlinearity),
    )


BIASES = ("bias_ih", "bias_hh")

CASES = [
    case("rnn", "tanh", *BIASES, "h0"),
    case("rnn", "relu", *BIASES, nonlinearity="relu"),
    case("rnn", "no-bias"),
    case("rnn", "reverse-lengths", *BIASES, "h0", lengths=LENGTHS, reverse=True),
    case("rnn", "unbatched", *BIASES, "h0", unbatched=True),
    case("lstm", "states", *BIASES, "h0", "c0"),
    case("lstm", "no-bias"),
    case("lstm", "reverse", *BIASES, reverse=True),
    case("lstm", "lengths", *BIASES, "h0", "c0", lengths=LENGTHS),
    case("lstm", "reverse-lengths", "h0", "c0", lengths=LENGTHS, reverse=True),
    case("lstm", "projection", *BIASES, "h0", "c0", projected=True),
    case("lstm", "projection-lengths", "h0", projected=True, lengths=LENGTHS, reverse=True),
    case("lstm", "unbatched", *BIASES, "h0", "c0", unbatched=True),
    case("gru", "states", *BIASES, "h0"),
    case("gru", "no-bias"),
    case("gru", "reverse", *BIASES, reverse=True),
    case("gru", "lengths", *BIASES, "h0", lengths=LENGTHS),
    case("gru", "reverse-lengths", "h0", lengths=LENGTHS, reverse=True),
    case("gru", "unbatched", *BIASES, unbatched=True),
]
