"""Recurrent layers, cells and packed sequences: against PyTorch with its own weights, and against plain loops."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from op_checks import Watcher

import autograd_core as ag
from autograd_core import context, nn, optim, tree
from autograd_core.nn.utils import rnn as packing
from autograd_core.ops import recurrent

T, B, D, H = 5, 3, 4, 6
LENGTHS = [3, 5, 1]


class Config(NamedTuple):
    kind: str
    options: dict[str, Any] = {}
    initial: bool = False
    unbatched: bool = False
    lengths: list[int] | None = None
    enforce_sorted: bool = False

    @property
    def name(self) -> str:
        flags = [name for name in ("initial", "unbatched", "enforce_sorted") if getattr(self, name)]
        return "-".join([self.kind, *self.options, *flags, *(["packed"] if self.lengths else [])])


COMMON: list[Config] = []
for kind in ("RNN", "LSTM", "GRU"):
    COMMON += [
        Config(kind),
        Config(kind, {"bias": False}, initial=True),
        Config(kind, {"num_layers": 2, "bidirectional": True}, initial=True),
        Config(kind, {"num_layers": 2, "batch_first": True}),
        Config(kind, {"bidirectional": True, "batch_first": True}, initial=True, unbatched=True),
        Config(kind, unbatched=True),
        Config(kind, {"num_layers": 2, "bidirectional": True}, initial=True, lengths=LENGTHS),
        Config(kind, {"batch_first": True}, lengths=LENGTHS),
        Config(kind, {"bidirectional": True}, initial=True, lengths=[5, 2, 2], enforce_sorted=True),
        Config(kind, {"num_layers": 3, "dropout": 1.0}),
    ]
CONFIGS = [
    *COMMON,
    Config("RNN", {"nonlinearity": "relu", "num_layers": 2}, initial=True),
    Config("LSTM", {"proj_size": 2}, initial=True),
    Config("LSTM", {"proj_size": 3, "num_layers": 2, "bidirectional": True}, initial=True, lengths=LENGTHS),
    Config("LSTM", {"proj_size": 2, "bias": False, "batch_first": True}),
]
each_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: config.name)


def build(n: Any, config: Config) -> Any:
    return getattr(n, config.kind)(D, H, **config.options)


def inputs(config: Config) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    batched = (B, T, D) if config.options.get("batch_first") else (T, B, D)
    arrays = [rng.standard_normal((T, D) if config.unbatched else batched)]
    if config.initial:
        count = config.options.get("num_layers", 1) * (2 if config.options.get("bidirectional") else 1)
        widths = [config.options.get("proj_size") or H] + [H] * (config.kind == "LSTM")
        arrays += [rng.standard_normal((count, *([] if config.unbatched else [B]), width)) for width in widths]
    return arrays


def run(layer: Any, config: Config, utils: Any, lengths: Any, given: list[Any]) -> list[Any]:
    """The padded output and the last states."""
    x, *initial = given
    hx = None if not initial else tuple(initial) if config.kind == "LSTM" else initial[0]
    first = config.options.get("batch_first", False)
    if config.lengths:
        x = utils.pack_padded_sequence(x, lengths, first, config.enforce_sorted)
    y, last = layer(x, hx)
    if config.lengths:
        y = utils.pad_packed_sequence(y, first)[0]
    return [y, *(last if isinstance(last, tuple) else [last])]


def close(a: Any, b: Any, what: str) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11, err_msg=what)


@each_config
def test_same_as_pytorch(config: Config) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs = build(torch.nn, config).double()
    ours = build(nn, config).double()
    state = theirs.state_dict()
    assert [(k, v.shape) for k, v in ours.state_dict().items()] == [(k, tuple(v.shape)) for k, v in state.items()]
    ours.load_state_dict({name: value.numpy() for name, value in state.items()})
    arrays = inputs(config)
    given = [ag.tensor(x, requires_grad=True) for x in arrays]
    expected = [torch.tensor(x, requires_grad=True) for x in arrays]
    ys = run(ours, config, packing, config.lengths, given)
    zs = run(theirs, config, torch.nn.utils.rnn, config.lengths and torch.tensor(config.lengths), expected)
    rng = np.random.default_rng(4)
    cotangents = [rng.standard_normal(tuple(z.shape)) for z in zs]
    for k, (y, z) in enumerate(zip(ys, zs, strict=True)):
        close(y.detach().numpy(), z.detach().numpy(), f"result {k}")
    sum((y * g).sum() for y, g in zip(ys, map(ag.tensor, cotangents), strict=True)).backward()
    torch.autograd.backward(zs, [torch.from_numpy(g) for g in cotangents])
    for k, (a, b) in enumerate(zip(given, expected, strict=True)):
        close(a.grad.numpy(), np.zeros(b.shape) if b.grad is None else b.grad.numpy(), f"gradient of operand {k}")
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        close(a.grad.numpy(), b.grad.numpy(), f"gradient of {name}")


@pytest.mark.parametrize("unbatched", [False, True], ids=["batch", "one"])
@pytest.mark.parametrize("initial", [False, True], ids=["zeros", "initial"])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("RNNCell", {}),
        ("RNNCell", {"nonlinearity": "relu", "bias": False}),
        ("LSTMCell", {}),
        ("LSTMCell", {"bias": False}),
        ("GRUCell", {}),
        ("GRUCell", {"bias": False}),
    ],
)
def test_cells_are_the_same_as_pytorchs(kind: str, options: Any, initial: bool, unbatched: bool) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs, ours = getattr(torch.nn, kind)(D, H, **options).double(), getattr(nn, kind)(D, H, **options).double()
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    assert list(ours.state_dict()) == list(theirs.state_dict())
    rng = np.random.default_rng(0)
    lead = () if unbatched else (B,)
    arrays = [rng.standard_normal((*lead, n)) for n in (D, H, H)[: 1 + initial + (initial and kind == "LSTMCell")]]

    def of(layer: Any, tensors: list[Any]) -> list[Any]:
        x, *states = tensors
        y = layer(x, (tuple(states) if kind == "LSTMCell" else states[0]) if states else None)
        return list(y) if isinstance(y, tuple) else [y]

    given = [ag.tensor(x, requires_grad=True) for x in arrays]
    expected = [torch.tensor(x, requires_grad=True) for x in arrays]
    ys, zs = of(ours, given), of(theirs, expected)
    for y, z in zip(ys, zs, strict=True):
        close(y.detach().numpy(), z.detach().numpy(), "states")
    sum((y * y).sum() for y in ys).backward()
    sum((z * z).sum() for z in zs).backward()
    for a, b in zip([*given, *ours.parameters()], [*expected, *theirs.parameters()], strict=True):
        close(a.grad.numpy(), b.grad.numpy(), "gradient")


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_layer_is_its_cell_step_by_step(kind: str) -> None:
    layer, cell = getattr(nn, kind)(D, H).double(), getattr(nn, f"{kind}Cell")(D, H).double()
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
    x = ag.tensor(np.random.default_rng(0).standard_normal((T, B, D)))
    states, state = [], None
    for t in range(T):
        state = cell(x[t], state)
        states.append(state[0] if kind == "LSTM" else state)
    y, last = layer(x)
    close(y.detach().numpy(), np.stack([h.detach().numpy() for h in states]), "states")
    for a, b in zip(tree.flatten(last)[0], tree.flatten(state)[0], strict=True):
        close(a.detach().numpy()[0], b.detach().numpy(), "last")


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_packed_batch_is_its_sequences_one_by_one(kind: str) -> None:
    layer = getattr(nn, kind)(D, H, num_layers=2, bidirectional=True).double()
    rng = np.random.default_rng(1)
    sequences = [ag.tensor(rng.standard_normal((n, D))) for n in LENGTHS]
    y, last = layer(packing.pack_sequence(sequences, enforce_sorted=False))
    padded, lengths = packing.pad_packed_sequence(y)
    assert lengths.tolist() == LENGTHS
    for b, x in enumerate(sequences):
        own, own_last = layer(x)
        close(padded[: len(x), b].detach().numpy(), own.detach().numpy(), f"sequence {b}")
        assert not padded[len(x) :, b].detach().numpy().any()
        for v, w in zip(tree.flatten(last)[0], tree.flatten(own_last)[0], strict=True):
            close(v[:, b].detach().numpy(), w.detach().numpy(), f"last state of sequence {b}")


def test_what_padding_holds_does_not_matter() -> None:
    layer = nn.LSTM(D, H, bidirectional=True)
    x = np.random.default_rng(0).standard_normal((T, 2, D)).astype(np.float32)
    spoiled = x.copy()
    spoiled[2:, 1] = np.nan
    for values in (x, spoiled):
        given = ag.tensor(values, requires_grad=True)
        y, _ = nn.functional.lstm(given, *layer.all_weights[0], lengths=[T, 2], reverse=True)[:2]
        y.sum().backward()
        assert np.isfinite(y.detach().numpy()).all()
        assert np.isfinite(given.grad.numpy()).all()
        assert not given.grad.numpy()[2:, 1].any()


@pytest.mark.parametrize("op", ["rnn", "lstm", "gru"])
def test_sequences_without_steps_keep_their_state(op: str) -> None:
    rng = np.random.default_rng(0)
    k = {"rnn": 1, "lstm": 4, "gru": 3}[op]
    w, u, h0 = (ag.tensor(rng.standard_normal(shape)) for shape in ((k * H, D), (k * H, H), (2, H)))
    y, h_n, *_ = getattr(nn.functional, op)(ag.zeros((0, 2, D), dtype="float64"), w, u, h0=h0)
    assert y.shape == (0, 2, H)
    close(h_n.numpy(), h0.numpy(), "no step")
    y, h_n, *_ = getattr(nn.functional, op)(ag.ones((3, 2, D), dtype="float64"), w, u, h0=h0, lengths=[3, 0])
    close(h_n.numpy()[1], h0.numpy()[1], "no step of one sequence")
    assert not y.numpy()[:, 1].any()
    y, h_n, *_ = getattr(nn.functional, op)(ag.ones((3, 0, D), dtype="float64"), w, u)
    assert (y.shape, h_n.shape) == ((3, 0, H), (0, H))


def test_half_precision_is_computed_in_single() -> None:
    layer = nn.LSTM(D, H)
    x = np.random.default_rng(0).standard_normal((T, B, D)).astype(np.float16)
    half = nn.functional.lstm(ag.tensor(x), *[w.detach().astype("float16") for w in layer.all_weights[0]])
    weights = [w.detach().astype("float16").astype("float32") for w in layer.all_weights[0]]
    for a, b in zip(half, nn.functional.lstm(ag.tensor(x.astype(np.float32)), *weights), strict=True):
        assert a.dtype == "float16"
        np.testing.assert_array_equal(a.numpy(), b.numpy().astype(np.float16))


def test_saturated_gates_have_finite_gradients() -> None:
    x = ag.tensor(np.full((3, 1, 1), 1e4, np.float32), requires_grad=True)
    for op, k in (("rnn", 1), ("lstm", 4), ("gru", 3)):
        for sign in (1.0, -1.0):
            y = getattr(nn.functional, op)(x, ag.full((k, 1), sign), ag.ones((k, 1)))[0]
            x.grad = None
            y.sum().backward()
            assert np.isfinite(y.detach().numpy()).all()
            assert np.isfinite(x.grad.numpy()).all()


def test_cotangents_nobody_asked_for_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    products = recurrent.cotangents
    monkeypatch.setattr(
        recurrent, "cotangents", lambda p, wanted, *rest: asked.append(wanted) or products(p, wanted, *rest)
    )
    layer = nn.LSTM(D, H)
    layer(ag.ones((T, B, D)))[0].sum().backward()
    assert asked == [["weight_ih", "weight_hh", "bias"]]


OPERATIONS = [("rnn", recurrent.rnn_p, 1), ("lstm", recurrent.lstm_p, 4), ("gru", recurrent.gru_p, 3)]


@pytest.mark.parametrize(("op", "primitive", "k"), OPERATIONS, ids=["rnn", "lstm", "gru"])
@pytest.mark.parametrize("shared", [True, False], ids=["same-weights", "other-weights"])
def test_examples_run_as_one_batch_where_they_share_weights(op: str, primitive: Any, k: int, shared: bool) -> None:
    rng = np.random.default_rng(0)
    count = () if shared else (4,)
    x, h0, w, u = (
        ag.tensor(rng.standard_normal(shape))
        for shape in ((4, T, B, D), (B, H), (*count, k * H, D), (*count, k * H, H))
    )

    def loss(x: ag.Tensor, w: ag.Tensor, u: ag.Tensor) -> ag.Tensor:
        y, *last = getattr(nn.functional, op)(x, w, u, h0=h0, lengths=[5, 2, 0], reverse=True)
        return (y * y).sum() + sum(v.sum() for v in last)

    axes = (0, None, None) if shared else (0, 0, 0)
    watcher = Watcher()
    with context.scope(interpreter=watcher):
        found = ag.vmap(ag.grad(loss, argnums=(0, 1, 2)), in_axes=axes)(x, w, u)
    assert (primitive in watcher.seen) == shared
    for i in range(4):
        expected = ag.grad(loss, argnums=(0, 1, 2))(x[i], *((w, u) if shared else (w[i], u[i])))
        for k, (a, b) in enumerate(zip(found, expected, strict=True)):
            close(a[i].numpy(), b.numpy(), f"example {i}, operand {k}")


def test_dropout_between_layers_is_of_training_alone() -> None:
    layer = nn.GRU(D, H, num_layers=2, dropout=0.5)
    x = ag.ones((T, B, D))
    with ag.random.fork(0):
        a, b = layer(x)[0].detach().numpy(), layer(x)[0].detach().numpy()
    assert (a != b).any()
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0].detach().numpy(), layer(x)[0].detach().numpy())


def test_initial_weights_are_uniform_within_the_bound() -> None:
    for layer in (nn.RNN(10, 25), nn.LSTM(10, 25, 2), nn.GRU(10, 25), nn.LSTMCell(10, 25)):
        values = np.concatenate([p.detach().numpy().ravel() for p in layer.parameters()])
        assert abs(values).max() <= 0.2
        assert abs(values).max() > 0.19
        assert abs(values.mean()) < 0.02


def test_a_summary_counts_the_products_with_weights() -> None:
    layer = nn.LSTM(D, H, 2, bidirectional=True, proj_size=2)
    weights = sum(w.size for name, w in layer.named_parameters() if name.startswith("weight"))
    biases = 2 * 2 * 4 * H  # bias_ih + bias_hh of two layers and two directions
    assert nn.summary(layer, (B, D), batch_size=T).flops == 2 * T * B * weights + biases


def test_a_layer_learns_to_remember_the_first_step() -> None:
    with ag.random.fork(0):
        layer, head = nn.LSTM(1, 8), nn.Linear(8, 1)
    rng = np.random.default_rng(0)
    x = ag.tensor(rng.choice([-1.0, 1.0], (6, 32, 1)).astype(np.float32))
    optimizer = optim.Adam([*layer.parameters(), *head.parameters()], lr=0.05)
    losses = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(head(layer(x)[0][-1]), x[0])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


# ------------------------------------------------------------------------------------------- packing


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("enforce_sorted", [False, True])
def test_packing_is_the_same_as_pytorchs(batch_first: bool, enforce_sorted: bool) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.utils.rnn
    lengths = [5, 3, 3, 1] if enforce_sorted else [3, 5, 1, 4]
    x = np.random.default_rng(0).standard_normal((4, 6, 2) if batch_first else (6, 4, 2))
    p = packing.pack_padded_sequence(ag.tensor(x), lengths, batch_first, enforce_sorted)
    q = theirs.pack_padded_sequence(torch.from_numpy(x), torch.tensor(lengths), batch_first, enforce_sorted)
    for a, b in zip(p, q, strict=True):
        if b is None:
            assert a is None
        else:
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    for total in (None, 8):
        y, n = packing.pad_packed_sequence(p, batch_first, -1.0, total)
        z, m = theirs.pad_packed_sequence(q, batch_first, -1.0, total)
        np.testing.assert_array_equal(y.numpy(), z.numpy())
        np.testing.assert_array_equal(n.numpy(), m.numpy())


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_is_the_same_as_pytorchs(batch_first: bool, side: str) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.utils.rnn
    arrays = [np.random.default_rng(n).standard_normal((n, 2)) for n in (2, 4, 0, 1)]
    ours = packing.pad_sequence([ag.tensor(x) for x in arrays], batch_first, 7.0, side)
    expected = theirs.pad_sequence([torch.from_numpy(x) for x in arrays], batch_first, 7.0, side)
    np.testing.assert_array_equal(ours.numpy(), expected.numpy())


def test_unpadding_undoes_padding() -> None:
    sequences = [ag.tensor(np.arange(n * 2.0).reshape(n, 2)) for n in (2, 4, 1)]
    for first in (False, True):
        padded = packing.pad_sequence(sequences, batch_first=first)
        for a, b in zip(packing.unpad_sequence(padded, [2, 4, 1], first), sequences, strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_unpacking_undoes_packing() -> None:
    sequences = [ag.tensor(np.arange(n * 2.0).reshape(n, 2)) for n in (2, 4, 1)]
    packed = packing.pack_sequence(sequences, enforce_sorted=False)
    for a, b in zip(packing.unpack_sequence(packed), sequences, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert packing.invert_permutation(packed.sorted_indices).tolist() == packed.unsorted_indices.tolist()
    assert packing.invert_permutation(None) is None


def test_gradients_pass_through_packing() -> None:
    def f(x: ag.Tensor) -> ag.Tensor:
        packed = packing.pack_padded_sequence(x, [2, 3], enforce_sorted=False)
        doubled = packed._replace(data=packed.data * packed.data)
        return packing.pad_packed_sequence(doubled, total_length=4)[0]

    ag.check_grads(f, (np.random.default_rng(0).standard_normal((3, 2, 2)),), order=2)


def test_a_packed_sequence_moves_as_a_whole() -> None:
    packed = packing.pack_sequence([ag.ones(2), ag.ones(1)]).to("float64")
    assert packed.data.dtype == "float64"
    assert packed.batch_sizes.tolist() == [2, 1]
