"""Attention and transformer layers: against PyTorch with its own weights, and what holds of attention itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from op_table import multi_head

import autograd_core as ag
from autograd_core import nn
from autograd_core.ops import attention
from autograd_core.ops.attention import scaled_dot_product_attention

E, HEADS, L, S, N = 6, 2, 4, 5, 3
PADDED = np.arange(S) >= np.array([[5], [3], [4]])
LATER = np.triu(np.ones((L, L), bool), 1)
HIDDEN = np.random.default_rng(9).random((L, S)) < 0.3
ADDED = np.where(HIDDEN, -np.inf, np.random.default_rng(8).standard_normal((L, S)))


class Config(NamedTuple):
    name: str
    build: Callable[[Any], Any]
    shapes: tuple[tuple[int, ...], ...]
    masks: dict[str, np.ndarray] = {}
    options: dict[str, Any] = {}
    repeat: int = 1  # how often the first input is passed, as query, key and value are


def attention_config(
    name: str, *shapes: tuple[int, ...], masks: Any = None, call: Any = None, repeat: int = 1, **options: Any
) -> Config:
    built = {"embed_dim": E, "num_heads": HEADS, **options}
    return Config(
        f"MultiheadAttention/{name}",
        lambda n: n.MultiheadAttention(**built),
        shapes or ((L, N, E), (S, N, E), (S, N, E)),
        masks or {},
        call or {},
        repeat,
    )


def layer_config(
    name: str, kind: str, *shapes: tuple[int, ...], masks: Any = None, call: Any = None, **options: Any
) -> Config:
    built = {"d_model": E, "nhead": HEADS, "dim_feedforward": 8, "dropout": 0.0, **options}
    return Config(f"{kind}/{name}", lambda n: getattr(n, kind)(**built), shapes, masks or {}, call or {})


def stack_of(n: Any, kind: str, norm: bool, **options: Any) -> Any:
    layer = getattr(n, f"Transformer{kind}Layer")(E, HEADS, 8, 0.0, **options)
    nested = {"enable_nested_tensor": False} if kind == "Encoder" else {}
    return getattr(n, f"Transformer{kind}")(layer, 2, n.LayerNorm(E) if norm else None, **nested)


CONFIGS = [
    attention_config("cross"),
    attention_config("self", (L, N, E), repeat=3),
    attention_config("fused", call={"need_weights": False}),
    attention_config("weights-of-heads", call={"average_attn_weights": False}),
    attention_config("no-bias", bias=False),
    attention_config("batch-first", (N, L, E), (N, S, E), (N, S, E), batch_first=True),
    attention_config("batch-first-self", (N, L, E), batch_first=True, repeat=3, call={"need_weights": False}),
    attention_config("sizes", (L, N, E), (S, N, 3), (S, N, 2), kdim=3, vdim=2),
    attention_config("value-size", (L, N, E), (S, N, E), (S, N, 2), vdim=2, bias=False),
    attention_config("more-keys", add_bias_kv=True, add_zero_attn=True, masks={"key_padding_mask": PADDED}),
    attention_config("zero-key", add_zero_attn=True, masks={"attn_mask": HIDDEN}),
    attention_config(
        "one-sequence", (L, E), (S, E), (S, E), masks={"attn_mask": HIDDEN, "key_padding_mask": PADDED[1]}
    ),
    attention_config("padding", masks={"key_padding_mask": PADDED}),
    attention_config("padding-fused", masks={"key_padding_mask": PADDED}, call={"need_weights": False}),
    attention_config("hidden", masks={"attn_mask": HIDDEN, "key_padding_mask": PADDED}, call={"need_weights": False}),
    attention_config("added", masks={"attn_mask": ADDED}),
    attention_config("mask-a-head", masks={"attn_mask": np.linspace(-1, 1, N * HEADS * L * S).reshape(-1, L, S)}),
    attention_config(
        "causal", (L, N, E), repeat=3, masks={"attn_mask": LATER}, call={"is_causal": True, "need_weights": False}
    ),
    layer_config("plain", "TransformerEncoderLayer", (S, N, E)),
    layer_config("norm-first", "TransformerEncoderLayer", (S, N, E), norm_first=True, activation="gelu"),
    layer_config("no-bias", "TransformerEncoderLayer", (N, S, E), bias=False, batch_first=True, layer_norm_eps=1e-3),
    layer_config("one-sequence", "TransformerEncoderLayer", (S, E)),
    layer_config("masks", "TransformerEncoderLayer", (S, N, E), masks={"src_key_padding_mask": PADDED}),
    layer_config("causal", "TransformerEncoderLayer", (L, N, E), masks={"src_mask": LATER}, call={"is_causal": True}),
    layer_config("plain", "TransformerDecoderLayer", (L, N, E), (S, N, E)),
    layer_config("norm-first", "TransformerDecoderLayer", (N, L, E), (N, S, E), norm_first=True, batch_first=True),
    layer_config(
        "masks",
        "TransformerDecoderLayer",
        (L, N, E),
        (S, N, E),
        masks={"tgt_mask": LATER, "memory_mask": HIDDEN, "memory_key_padding_mask": PADDED},
        call={"tgt_is_causal": True},
        bias=False,
        activation="gelu",
    ),
    Config("TransformerEncoder", lambda n: stack_of(n, "Encoder", True), ((S, N, E),)),
    Config("TransformerEncoder/masks", lambda n: stack_of(n, "Encoder", False), ((L, N, E),), {"mask": LATER}),
    Config("TransformerDecoder", lambda n: stack_of(n, "Decoder", True, norm_first=True), ((L, N, E), (S, N, E))),
    Config(
        "TransformerDecoder/masks", lambda n: stack_of(n, "Decoder", False), ((L, N, E), (S, N, E)), {"tgt_mask": LATER}
    ),
    Config(
        "Transformer",
        lambda n: n.Transformer(E, HEADS, 2, 1, 8, 0.0, "gelu"),
        ((S, N, E), (L, N, E)),
        {"tgt_mask": LATER, "memory_key_padding_mask": PADDED},
    ),
    Config(
        "Transformer/batch-first",
        lambda n: n.Transformer(E, HEADS, 1, 2, 8, 0.0, batch_first=True, norm_first=True, bias=False),
        ((N, S, E), (N, L, E)),
    ),
]
each_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)


def close(a: Any, b: Any, what: str) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-11, err_msg=what)


def results(layer: Any, config: Config, given: list[Any], convert: Callable[[np.ndarray], Any]) -> list[Any]:
    masks = {name: convert(mask) for name, mask in config.masks.items()}
    y = layer(*given * config.repeat, **masks, **config.options)
    return [v for v in y if v is not None] if isinstance(y, tuple) else [y]


@pytest.mark.filterwarnings("ignore:enable_nested_tensor is True")
@each_config
def test_same_as_pytorch(config: Config) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs, ours = config.build(torch.nn).double(), config.build(nn).double()
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for parameter in theirs.parameters():  # away from the ones and zeros that hide mistakes
            parameter += torch.from_numpy(rng.uniform(-0.2, 0.2, parameter.shape))
    state = theirs.state_dict()
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [(k, tuple(v.shape)) for k, v in state.items()]
    ours.load_state_dict({name: value.numpy() for name, value in state.items()})
    arrays = [rng.standard_normal(shape) for shape in config.shapes]
    given = [ag.tensor(x, requires_grad=True) for x in arrays]
    expected = [torch.tensor(x, requires_grad=True) for x in arrays]
    ys, zs = results(ours, config, given, ag.tensor), results(theirs, config, expected, torch.tensor)
    for k, (y, z) in enumerate(zip(ys, zs, strict=True)):
        close(y.detach().numpy(), z.detach().numpy(), f"result {k}")
    cotangents = [rng.standard_normal(tuple(z.shape)) for z in zs]
    sum((y * ag.tensor(g)).sum() for y, g in zip(ys, cotangents, strict=True)).backward()
    torch.autograd.backward(zs, [torch.from_numpy(g) for g in cotangents])
    for k, (a, b) in enumerate(zip(given, expected, strict=True)):
        close(a.grad.numpy(), b.grad.numpy(), f"gradient of operand {k}")
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        close(a.grad.numpy(), b.grad.numpy(), f"gradient of {name}")


def plain_attention(layer: Any, x: np.ndarray, memory: np.ndarray, hidden: Any) -> np.ndarray:
    """By the loops of the op table."""
    names = ("in_proj_weight", "in_proj_bias", "out_proj_weight", "out_proj_bias")
    parameters = (layer.in_proj_weight, layer.in_proj_bias, layer.out_proj.weight, layer.out_proj.bias)
    masks = {} if hidden is None else {"attn_mask": hidden}
    run = multi_head.reference(names, 2, masks, {"need_weights": False})
    return run(x, memory, *[p.detach().numpy() for p in parameters])


def plain_norm(layer: Any, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    z = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + layer.eps)
    return z * layer.weight.detach().numpy() + layer.bias.detach().numpy()


def plain_linear(layer: Any, x: np.ndarray) -> np.ndarray:
    return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


@pytest.mark.parametrize("norm_first", [False, True], ids=["norm-last", "norm-first"])
@pytest.mark.parametrize("kind", ["Encoder", "Decoder"])
def test_a_layer_is_its_formula_in_numpy(kind: str, norm_first: bool) -> None:
    layer = getattr(nn, f"Transformer{kind}Layer")(4, 2, 7, 0.0, norm_first=norm_first).double()
    rng = np.random.default_rng(0)
    for parameter in layer.parameters():
        parameter.assign_(parameter.detach() + rng.uniform(-0.2, 0.2, parameter.shape))
    x, memory = rng.standard_normal((L, N, 4)), rng.standard_normal((S, N, 4))
    parts: list[Callable[[np.ndarray], np.ndarray]] = [lambda x: plain_attention(layer.self_attn, x, x, LATER)]
    if kind == "Decoder":
        parts.append(lambda x: plain_attention(layer.multihead_attn, x, memory, None))
    parts.append(lambda x: plain_linear(layer.linear2, np.maximum(plain_linear(layer.linear1, x), 0)))
    expected = x
    for i, part in enumerate(parts, start=1):
        norm = getattr(layer, f"norm{i}")
        if norm_first:
            expected = expected + part(plain_norm(norm, expected))
        else:
            expected = plain_norm(norm, expected + part(expected))
    masks = {"src_mask" if kind == "Encoder" else "tgt_mask": ag.tensor(LATER)}
    y = layer(ag.tensor(x), *([ag.tensor(memory)] if kind == "Decoder" else []), **masks)
    close(y.detach().numpy(), expected, kind)


# ------------------------------------------------------------------------------------------- attention itself


def one_by_one(q: np.ndarray, k: np.ndarray, v: np.ndarray, seen: np.ndarray) -> np.ndarray:
    y = np.zeros((*q.shape[:-1], v.shape[-1]))
    for at in np.ndindex(q.shape[:-1]):
        if seen[at].any():
            scores = k[at[:-1]] @ q[at] / math.sqrt(q.shape[-1])
            weights = np.where(seen[at], np.exp(scores), 0)
            y[at] = weights / weights.sum() @ v[at[:-1]]
    return y


@pytest.mark.parametrize("block", [1 << 18, 200, 40, 1])
@pytest.mark.parametrize("masked", ["no mask", "causal", "each", "keys"])
def test_blocks_of_scores_do_not_matter(monkeypatch: pytest.MonkeyPatch, block: int, masked: str) -> None:
    monkeypatch.setattr(attention, "BLOCK", block)
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((2, 2, n, 3)) for n in (37, 21, 21))
    shape = {"each": (2, 1, 37, 21), "keys": (1, 2, 1, 21)}.get(masked)
    mask = None if shape is None else rng.random(shape) < 0.7
    seen = np.ones((2, 2, 37, 21), bool) if mask is None else np.broadcast_to(mask, (2, 2, 37, 21))
    if masked == "causal":
        seen = np.arange(21) <= np.arange(37)[:, None]
        seen = np.broadcast_to(seen, (2, 2, 37, 21))
    y, pull = ag.vjp(
        lambda *xs: scaled_dot_product_attention(*xs, mask, is_causal=masked == "causal"), *map(ag.tensor, (q, k, v))
    )
    close(y.numpy(), one_by_one(q, k, v, seen), "result")
    g = rng.standard_normal(y.shape)
    monkeypatch.setattr(attention, "BLOCK", 1 << 30)
    _, whole = ag.vjp(
        lambda *xs: scaled_dot_product_attention(*xs, mask, is_causal=masked == "causal"), *map(ag.tensor, (q, k, v))
    )
    for a, b in zip(pull(ag.tensor(g)), whole(ag.tensor(g)), strict=True):
        close(a.numpy(), b.numpy(), "gradient")


def test_nothing_of_the_size_of_the_scores_is_kept() -> None:
    x = ag.tensor(np.ones((1, 300, 2), np.float32), requires_grad=True)
    y = scaled_dot_product_attention(x, x, x, is_causal=True)
    node = y.node.node  # the first of two outputs
    kept = [saved for value in node.saved for saved in (value if isinstance(value, tuple) else (value,))]
    assert sum(v.size for v in kept) < 300 * 300 / 10


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_large_scores_overflow_nowhere(dtype: str) -> None:
    q = ag.tensor(np.array([[200.0, -200.0], [150.0, 150.0]], dtype), requires_grad=True)
    y = scaled_dot_product_attention(q, q, q)
    y.sum().backward()
    assert y.dtype == dtype
    assert np.isfinite(y.detach().numpy()).all()
    assert np.isfinite(q.grad.numpy()).all()


@pytest.mark.parametrize("kind", ["boolean", "infinite"])
def test_a_query_that_sees_nothing_gets_zeros_and_gives_no_gradient(kind: str) -> None:
    seen = np.array([[True, False], [False, False]])
    mask = ag.tensor(seen) if kind == "boolean" else ag.tensor(np.where(seen, 0, -np.inf))
    rng = np.random.default_rng(0)
    q, k, v = (ag.tensor(rng.standard_normal((2, 3)), requires_grad=True) for _ in range(3))
    y = scaled_dot_product_attention(q, k, v, mask)
    assert not y.detach().numpy()[1].any()
    y.sum().backward()
    for x in (q, k, v):
        assert np.isfinite(x.grad.numpy()).all()
    assert not q.grad.numpy()[1].any()
    assert not k.grad.numpy()[1].any()
    hessian = ag.hessian(lambda x: scaled_dot_product_attention(x, x, x, mask).square().sum())(q.detach())
    assert np.isfinite(hessian.numpy()).all()


@pytest.mark.parametrize("need_weights", [False, True])
def test_a_sequence_of_padding_alone_spoils_nothing(need_weights: bool) -> None:
    layer = nn.MultiheadAttention(E, HEADS, batch_first=True)
    x = ag.tensor(np.random.default_rng(0).standard_normal((2, L, E)).astype(np.float32), requires_grad=True)
    padded = ag.tensor([[False] * L, [True] * L])
    y, weights = layer(x, x, x, key_padding_mask=padded, need_weights=need_weights)
    y.sum().backward()
    np.testing.assert_allclose(y.detach().numpy()[1], np.tile(layer.out_proj.bias.detach().numpy(), (L, 1)))
    assert np.isfinite(x.grad.numpy()).all()
    if need_weights:
        assert not weights.detach().numpy()[1].any()


def test_second_derivatives_of_every_parameter() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 3, 0.0, activation="gelu").double()
    names = [name for name, _ in layer.named_parameters()]
    values = [p.detach().numpy() + 0.1 for p in layer.parameters()]
    x = np.random.default_rng(0).standard_normal((3, 2, 4))

    def f(x: ag.Tensor, *parameters: ag.Tensor) -> ag.Tensor:
        return nn.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

    ag.check_grads(f, (x, *values), order=2)


def test_causal_needs_no_mask() -> None:
    layer = nn.MultiheadAttention(E, HEADS)
    x = ag.tensor(np.random.default_rng(0).standard_normal((L, N, E)).astype(np.float32))
    mask = nn.Transformer.generate_square_subsequent_mask(L)
    for need_weights in (False, True):
        with_mask = layer(x, x, x, attn_mask=mask, need_weights=need_weights)[0].detach().numpy()
        without = layer(x, x, x, is_causal=True, need_weights=need_weights)[0].detach().numpy()
        np.testing.assert_allclose(without, with_mask, rtol=1e-5, atol=1e-6)


def test_later_steps_do_not_change_earlier_ones() -> None:
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(E, HEADS, 8), 2).eval()
    x = np.random.default_rng(0).standard_normal((L, 1, E)).astype(np.float32)
    changed = x.copy()
    changed[2:] += 1
    y, z = (encoder(ag.tensor(v), is_causal=True).detach().numpy() for v in (x, changed))
    np.testing.assert_array_equal(y[:2], z[:2])
    assert (y[2:] != z[2:]).any()


def test_dropout_is_of_training_alone_and_keeps_the_mean() -> None:
    q, v = ag.zeros((1, 4)), ag.ones((4000, 1))
    with ag.random.fork(0):
        y = scaled_dot_product_attention(q, ag.zeros((4000, 4)), v, dropout_p=0.4)
    assert abs(y.item() - 1) < 0.05
    assert y.item() != 1
    assert scaled_dot_product_attention(q, ag.zeros((3, 4)), v[:3], dropout_p=1.0).item() == 0
    layer = nn.MultiheadAttention(E, HEADS, dropout=0.5)
    x = ag.ones((L, N, E))
    weights = layer(x, x, x)[1].detach().numpy()
    assert (abs(weights - 1 / L) > 1e-6).any()
    layer.eval()
    np.testing.assert_allclose(layer(x, x, x)[1].detach().numpy(), 1 / L, rtol=1e-6)


def test_initial_values_have_pytorchs_distribution() -> None:
    layer = nn.MultiheadAttention(60, 4, add_bias_kv=True)
    bound = math.sqrt(6 / (60 + 180))
    weight = layer.in_proj_weight.detach().numpy()
    assert bound * 0.99 < abs(weight).max() <= bound
    assert not layer.in_proj_bias.detach().numpy().any()
    assert not layer.out_proj.bias.detach().numpy().any()
    assert abs(layer.out_proj.weight.detach().numpy()).max() <= 1 / math.sqrt(60)
    model = nn.Transformer(20, 2, 1, 1, 40)
    for name, parameter in model.named_parameters():
        if len(parameter.shape) > 1:
            out_features, in_features = parameter.shape
            bound = math.sqrt(6 / (in_features + out_features))
            assert bound * 0.95 < abs(parameter.detach().numpy()).max() <= bound, name


def test_copies_of_a_layer_are_equal_and_apart() -> None:
    layer = nn.TransformerEncoderLayer(E, HEADS, 8)
    encoder = nn.TransformerEncoder(layer, 2)
    first, second = (encoder.layers[i].linear1.weight for i in range(2))
    np.testing.assert_array_equal(first.detach().numpy(), second.detach().numpy())
    assert first is not second
    assert layer.linear1.weight is not first
    assert "layers.1.self_attn.in_proj_weight" in encoder.state_dict()


def test_other_activations_and_parts() -> None:
    layer = nn.TransformerEncoderLayer(E, HEADS, 8, activation=nn.functional.silu)
    assert layer(ag.ones((S, N, E))).shape == (S, N, E)
    model = nn.Transformer(
        E, HEADS, custom_encoder=nn.TransformerEncoder(layer, 1), num_decoder_layers=1, dim_feedforward=8
    )
    assert model(ag.ones((S, N, E)), ag.ones((L, N, E))).shape == (L, N, E)
