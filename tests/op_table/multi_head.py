"""Cases of attention with several heads. The reference takes one sequence, one head and one query at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from autograd_core.ops.multi_head import multi_head_attention_forward

from .case import OpCase

E, HEADS, L, S, N = 4, 2, 2, 3, 2
PADDED = np.array([[False, False, True], [False, True, False]])
HIDDEN = np.array([[False, True, False], [False, False, True]])


def as_added(mask: Any) -> Any:
    if mask is None:
        return 0.0
    return np.where(mask, -np.inf, 0.0) if mask.dtype == bool else mask


def one_head(q: np.ndarray, k: np.ndarray, v: np.ndarray, added: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    weights = np.zeros((len(q), len(k)))
    for i, row in enumerate(q):
        scores = k @ row / np.sqrt(len(row)) + added[i]
        if not np.isneginf(scores).all():
            weights[i] = np.exp(scores - scores.max())
            weights[i] /= weights[i].sum()
    return weights @ v, weights


def one_sequence(p: dict[str, Any], x: list[np.ndarray], added: np.ndarray, options: dict[str, Any]) -> Any:
    """added: (H, L, S), numbers added to the scores."""
    biases = np.split(p["in_proj_bias"], 3) if "in_proj_bias" in p else [0.0] * 3
    weights = np.split(p["in_proj_weight"], 3) if "in_proj_weight" in p else [p[f"{n}_proj_weight"] for n in "qkv"]
    q, k, v = (y @ w.T + b for y, w, b in zip(x, weights, biases))
    k, v = (np.concatenate(p[f"static_{n}"], axis=1) if f"static_{n}" in p else y for n, y in (("k", k), ("v", v)))
    extra = []
    if "bias_k" in p:
        extra.append((p["bias_k"][0, 0], p["bias_v"][0, 0]))
    if options.get("add_zero_attn"):
        extra.append((np.zeros(E), np.zeros(E)))
    for more_k, more_v in extra:
        k, v = np.vstack([k, more_k]), np.vstack([v, more_v])
    added = np.concatenate([added, np.zeros((*added.shape[:2], len(extra)))], axis=2)
    width = E // HEADS
    parts = [slice(h * width, (h + 1) * width) for h in range(HEADS)]
    heads = [one_head(q[:, c], k[:, c], v[:, c], added[h]) for h, c in enumerate(parts)]
    y = np.concatenate([head for head, _ in heads], axis=1) @ p["out_proj_weight"].T + p.get("out_proj_bias", 0.0)
    return y, np.stack([w for _, w in heads])


def reference(
    names: tuple[str, ...], shared: int, masks: dict[str, Any], options: dict[str, Any]
) -> Callable[..., Any]:
    def run(*arrays: np.ndarray) -> Any:
        inputs = [*arrays[:shared], *[arrays[shared - 1]] * (3 - shared)]
        p = dict(zip(names, arrays[shared:], strict=True))
        batched = inputs[0].ndim == 3
        first = options.get("batch_first", False)
        inputs = [x if first else x.swapaxes(0, 1) for x in inputs] if batched else [x[None] for x in inputs]
        count, rows, keys = len(inputs[0]), inputs[0].shape[1], inputs[1].shape[1]
        added = np.zeros((count, HEADS, rows, keys))
        mask = as_added(masks.get("attn_mask"))
        added += mask.reshape(count, HEADS, rows, keys) if np.ndim(mask) == 3 else mask
        added += (
            np.reshape(as_added(masks.get("key_padding_mask")), (-1, 1, 1, keys)) if "key_padding_mask" in masks else 0
        )
        if options.get("is_causal"):
            added[:, :, np.arange(keys) > np.arange(rows)[:, None]] = -np.inf

        def of(i: int) -> dict[str, Any]:
            """The parameters, with the keys and values of sequence i."""
            own = slice(i * HEADS, (i + 1) * HEADS)
            return {name: v[own] if name.startswith("static") else v for name, v in p.items()}

        results = [one_sequence(of(i), [x[i] for x in inputs], added[i], options) for i in range(count)]
        y, weights = np.stack([y for y, _ in results]), np.stack([w for _, w in results])
        y = (y if first else y.swapaxes(0, 1)) if batched else y[0]
        if not options.get("need_weights", True):
            return y
        weights = weights.mean(axis=1) if options.get("average_attn_weights", True) else weights
        return y, weights if batched else weights[0]

    return run


def call(function: Callable[..., Any], names: tuple[str, ...], shared: int, make: Any, masks: Any, options: Any) -> Any:
    """The function of query, key, value (where fewer are given, the last one again) and the parameters named."""

    def run(*given: Any) -> Any:
        inputs = [*given[:shared], *[given[shared - 1]] * (3 - shared)]
        p = dict.fromkeys(("in_proj_weight", "in_proj_bias", "bias_k", "bias_v", "out_proj_weight", "out_proj_bias"))
        p.update(zip(names, given[shared:], strict=True))
        settings = {"add_zero_attn": False, "dropout_p": 0.0, "embed_dim_to_check": E, "num_heads": HEADS, **options}
        settings["use_separate_proj_weight"] = "q_proj_weight" in p
        return function(*inputs, **p, **{name: make(mask) for name, mask in masks.items()}, **settings)[
            : 1 + options.get("need_weights", True)
        ]

    return run


def single(results: tuple[Any, ...]) -> Any:
    return results if len(results) > 1 else results[0]


def case(
    variant: str,
    *names: str,
    shared: int = 3,
    widths: tuple[int, int] = (E, E),
    batched: bool = True,
    masks: dict[str, Any] | None = None,
    no_torch: str = "",
    **options: Any,
) -> OpCase:
    """names: the parameters given; shared: how many of query, key and value are different tensors."""
    masks = masks or {}
    separate = "q_proj_weight" in names
    given = (*(() if separate else ("in_proj_weight",)), "out_proj_weight", *names)
    rows = L if shared > 1 else S
    lengths = (rows, S, S)[:shared]
    if batched:
        shapes = [(N, n) if options.get("batch_first") else (n, N) for n in lengths]
    else:
        shapes = [(n,) for n in lengths]
    inputs = [(*shape, w) for shape, w in zip(shapes, (E, *widths))]
    parameters = {
        "in_proj_weight": (3 * E, E),
        "q_proj_weight": (E, E),
        "k_proj_weight": (E, widths[0]),
        "v_proj_weight": (E, widths[1]),
        "in_proj_bias": (3 * E,),
        "bias_k": (1, 1, E),
        "bias_v": (1, 1, E),
        "static_k": (N * HEADS, S, E // HEADS),
        "static_v": (N * HEADS, S, E // HEADS),
        "out_proj_weight": (E, E),
        "out_proj_bias": (E,),
    }

    def in_torch(torch: Any, *tensors: Any) -> Any:
        function = torch.nn.functional.multi_head_attention_forward
        theirs = {name: v for name, v in options.items() if name != "batch_first"}
        if theirs.get("is_causal"):  # there a hint that needs the mask too
            hidden = torch.ones(rows, S, dtype=torch.bool).triu(1)
            return single(
                call(function, given, shared, torch.tensor, {**masks, "attn_mask": hidden.numpy()}, theirs)(*tensors)
            )
        return single(call(function, given, shared, torch.tensor, masks, theirs)(*tensors))

    return OpCase(
        f"multi_head_attention_forward/{variant}",
        lambda *tensors: single(
            call(multi_head_attention_forward, given, shared, lambda mask: mask, masks, options)(*tensors)
        ),
        lambda rng: tuple(rng.standard_normal(shape) for shape in [*inputs, *[parameters[name] for name in given]]),
        reference(given, shared, masks, options),
        torch=None if no_torch else in_torch,
        no_torch=no_torch,
    )


BIASES = ("in_proj_bias", "out_proj_bias")
SEPARATE = ("q_proj_weight", "k_proj_weight", "v_proj_weight")

CASES = [
    case("self", *BIASES, shared=1),
    case("self-fused", *BIASES, shared=1, need_weights=False),
    case("memory", *BIASES, shared=2),
    case("three-inputs", shared=3, average_attn_weights=False),
    case("separate", *SEPARATE, *BIASES, widths=(3, 2)),
    case("batch-first", *BIASES, batch_first=True, no_torch="there, an argument of the module"),
    case("one-sequence", *BIASES, shared=2, batched=False),
    case("padding", *BIASES, masks={"key_padding_mask": PADDED}),
    case("padding-fused", *BIASES, masks={"key_padding_mask": PADDED}, need_weights=False),
    case("hidden", masks={"attn_mask": HIDDEN, "key_padding_mask": PADDED[[1, 0]][:, [2, 0, 1]]}, need_weights=False),
    case("mask-of-numbers", masks={"attn_mask": np.where(HIDDEN, -np.inf, 0.5)}),
    case("mask-a-head", masks={"attn_mask": np.linspace(-1, 1, N * HEADS * L * S).reshape(N * HEADS, L, S)}),
    case("static", *BIASES, "static_k", "static_v", need_weights=False),
    case("static-keys", "static_k", masks={"attn_mask": HIDDEN}, add_zero_attn=True),
    case("causal", *BIASES, shared=1, is_causal=True),
    case("causal-fused", *BIASES, shared=1, is_causal=True, need_weights=False),
    case("more-keys", "bias_k", "bias_v", masks={"attn_mask": HIDDEN, "key_padding_mask": PADDED}, add_zero_attn=True),
    case(
        "more-keys-causal",
        "bias_k",
        "bias_v",
        shared=1,
        is_causal=True,
        need_weights=False,
        no_torch="without weights, it hides the keys that were appended",
    ),
    case(
        "nothing-to-see",
        *BIASES,
        masks={"key_padding_mask": np.array([[True] * S, [False] * S])},
        no_torch="NaN there; without weights, what is given here",
    ),
]
