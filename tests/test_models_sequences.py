"""Models of sequences: what they compute, that they look at the past alone, what they carry on, what they refuse."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn.models import GPT, EncoderDecoder, RecurrentLanguageModel
from autograd_core.nn.models.sequences import drawn

CELLS = ["lstm", "gru", "rnn"]
RNG = np.random.default_rng(0)


def some_symbols(*shape: int) -> ag.Tensor:
    return ag.asarray(RNG.integers(0, 11, shape))


def language_models() -> list[nn.Module]:
    with ag.random.fork(0):
        recurrent = [RecurrentLanguageModel(11, 4, 6, layers=2, cell=cell) for cell in CELLS]
        return [*recurrent, GPT(11, 8, 6, 2, 2), GPT(11, 8, 6, 2, 2, tied=False)]


each_language_model = pytest.mark.parametrize("model", language_models(), ids=[*CELLS, "gpt", "gpt-untied"])


def scores_of(model: nn.Module, symbols: ag.Tensor) -> np.ndarray:
    result = model(symbols)
    return (result[0] if isinstance(result, tuple) else result).numpy()


@pytest.mark.parametrize("cell", CELLS)
def test_encoder_and_decoder_are_the_recurrent_layers_put_together(cell):
    torch = pytest.importorskip("torch", reason="the peer is PyTorch")
    model = EncoderDecoder(5, 6, 7, output_length=3, cell=cell)

    class Peer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            layer = getattr(torch.nn, cell.upper())
            self.encoder, self.decoder = layer(5, 6, batch_first=True), layer(6, 6, batch_first=True)
            self.output = torch.nn.Linear(6, 7)

        def forward(self, x):
            state = self.encoder(x)[1]
            h = state[0] if cell == "lstm" else state
            return self.output(self.decoder(h[0][:, None].repeat(1, 3, 1))[0])

    peer = Peer()
    peer.load_state_dict({name: torch.tensor(value.numpy()) for name, value in model.state_dict().items()})
    x = RNG.standard_normal((4, 5, 5), dtype=np.float32)
    assert np.allclose(model(x).numpy(), peer(torch.tensor(x)).detach().numpy(), atol=1e-6)


@each_language_model
def test_scores_depend_on_the_past_alone(model):
    symbols = some_symbols(3, 8)
    scores = scores_of(model, symbols)
    for t in (0, 3, 6):
        changed = symbols.numpy().copy()
        changed[:, t + 1 :] = (changed[:, t + 1 :] + 5) % 11
        again = scores_of(model, ag.asarray(changed))
        assert np.allclose(again[:, : t + 1], scores[:, : t + 1], atol=1e-6)
        assert not np.allclose(again[:, t + 1 :], scores[:, t + 1 :], atol=1e-3)


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_that_is_carried_on_joins_pieces_of_a_sequence(cell):
    model = RecurrentLanguageModel(11, 4, 6, layers=2, cell=cell)
    symbols = some_symbols(3, 9)
    whole, last = model(symbols)
    first, state = model(symbols[:, :4], model.initial_state(3))
    second, state = model(symbols[:, 4:], state)
    assert np.allclose(ag.concat([first, second], axis=1).numpy(), whole.numpy(), atol=1e-6)
    assert all(np.allclose(a.numpy(), b.numpy(), atol=1e-6) for a, b in zip(state, last, strict=True))


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_truncated_backpropagation_gives_the_same_steps_compiled_and_not(cell):
    def losses(compiled: bool) -> list[float]:
        with ag.random.fork(0):
            model = RecurrentLanguageModel(11, 4, 6, cell=cell)
        optimizer = optim.Adam(model.parameters(), lr=1e-2)

        def step(x, y, state):
            optimizer.zero_grad()
            scores, state = model(x, state)
            loss = nn.functional.cross_entropy(scores.flatten(0, 1), y.flatten())
            loss.backward()
            optim.clip_grad_norm_(model.parameters(), 0.05)
            optimizer.step()
            return loss.detach(), tuple(s.detach() for s in state)

        take, state, found = ag.compile(step) if compiled else step, model.initial_state(2), []
        for x, y in pieces:
            loss, state = take(x, y, state)
            found.append(float(loss))
        return found

    pieces = [(some_symbols(2, 5), some_symbols(2, 5)) for _ in range(6)]
    assert np.allclose(losses(True), losses(False), atol=1e-5)


def test_gpt_is_the_transformer_of_pytorch_with_embeddings_around_it():
    torch = pytest.importorskip("torch", reason="the peer is PyTorch")
    model = GPT(11, 8, 6, 2, 2)
    layers = [
        torch.nn.TransformerEncoderLayer(6, 2, 24, 0.0, "gelu", batch_first=True, norm_first=True) for _ in range(2)
    ]
    state = {name: torch.tensor(value.numpy()) for name, value in model.state_dict().items()}
    for i, layer in enumerate(layers):
        start = f"layers.{i}."
        layer.load_state_dict({name.removeprefix(start): v for name, v in state.items() if name.startswith(start)})
    symbols = torch.tensor(some_symbols(3, 7).numpy())
    x = state["token.weight"][symbols] + state["position.weight"][:7]
    mask = torch.nn.Transformer.generate_square_subsequent_mask(7)
    for layer in layers:
        x = layer(x, src_mask=mask, is_causal=True)
    x = torch.nn.functional.layer_norm(x, (6,), state["norm.weight"], state["norm.bias"])
    expected = x @ state["token.weight"].T
    assert np.allclose(model(symbols.numpy()).numpy(), expected.detach().numpy(), atol=1e-6)


def test_tied_weights_are_one_table():
    tied, own = GPT(11, 8, 6, 2, 2), GPT(11, 8, 6, 2, 2, tied=False)
    count = [sum(p.size for p in model.parameters()) for model in (tied, own)]
    assert count[1] - count[0] == 11 * 6


@each_language_model
def test_what_is_generated_is_seeded_and_at_temperature_zero_the_likeliest(model):
    prompt = some_symbols(2, 3)
    with ag.random.fork(1):
        made = model.generate(prompt, 12)
    with ag.random.fork(1):
        assert np.array_equal(model.generate(prompt, 12).numpy(), made.numpy())
    assert made.shape == (2, 12)
    assert made.dtype == ag.int64
    assert 0 <= int(made.min()) <= int(made.max()) < 11
    likeliest = model.generate(prompt, 4, temperature=0).numpy()
    sequence = prompt.numpy()
    for t in range(4):
        assert np.array_equal(scores_of(model, ag.asarray(sequence))[:, -1].argmax(axis=-1), likeliest[:, t])
        sequence = np.concatenate([sequence, likeliest[:, t : t + 1]], axis=1)
    assert model.generate(prompt, 0).shape == (2, 0)


@each_language_model
@pytest.mark.parametrize("temperature", [0, 1.0])
def test_scores_that_are_not_finite_generate_nothing(model, temperature):
    model = copy.deepcopy(model)
    table = model.token if isinstance(model, GPT) else model.embedding
    with ag.no_grad():
        table.weight.assign_(table.weight.detach().at[3].set(float("nan")))
    prompt = ag.asarray([[1, 2], [2, 3]])
    # what is tied with the table gives every sequence a score that is NaN
    expected = "in sequence 0, 2 of 2" if getattr(model, "tied", False) else "in sequence 1, 1 of 2"
    with pytest.raises(ag.DataError, match=f"generate: the scores of the next symbol are NaN {expected} sequences"):
        model.generate(prompt, 3, temperature)
    with pytest.raises(ag.DataError, match=f"are NaN {expected}"):
        ag.compile(model.generate)(prompt, 3, temperature)


def test_symbols_without_a_chance_are_not_generated_however_cold():
    scores = ag.tensor([[-np.inf, 1e30, 3.0], [2.0, 1.0, -np.inf]])
    assert drawn(scores, 1e-300).numpy().tolist() == [[1], [0]]
    assert set(drawn(ag.tensor([[-np.inf, 0.0, 0.0]] * 50), 1.0).numpy().ravel()) == {1, 2}


def test_symbols_are_drawn_with_the_probabilities_of_the_scores():
    model = RecurrentLanguageModel(3, 2, 4)
    with ag.no_grad():
        nn.init.zeros_(model.output.weight)
        model.output.bias.assign_(ag.log(ag.tensor([0.2, 0.5, 0.3])))
    with ag.random.fork(0):
        made = model.generate(ag.zeros((200, 1), dtype=ag.int64), 50).numpy()
        sharper = model.generate(ag.zeros((200, 1), dtype=ag.int64), 50, temperature=0.5).numpy()
    assert np.allclose(np.bincount(made.ravel()) / made.size, [0.2, 0.5, 0.3], atol=0.02)
    assert np.allclose(np.bincount(sharper.ravel()) / made.size, np.array([0.04, 0.25, 0.09]) / 0.38, atol=0.02)


@each_language_model
def test_sequences_of_length_zero_are_refused(model):
    with pytest.raises(ag.ShapeError, match="a sequence of length zero"):
        model(ag.zeros((2, 0), dtype=ag.int64))
    with pytest.raises(ag.ShapeError, match="a sequence of length zero"):
        model.generate(ag.zeros((2, 0), dtype=ag.int64), 5)
    with pytest.raises(ag.ShapeError, match=r"must be \(B, T\), got shape \(3,\)"):
        model(ag.zeros(3, dtype=ag.int64))
    with pytest.raises(ag.DTypeError, match="must be whole numbers"):
        model(ag.zeros((2, 3)))
    with pytest.raises(ag.ArgumentError, match="temperature must be a finite number of at least 0, got -1"):
        model.generate(some_symbols(1, 2), 5, temperature=-1)
    with pytest.raises(ag.ArgumentError, match="length must be an int of at least 0, got 1.5"):
        model.generate(some_symbols(1, 2), 1.5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ag.ShapeError, match=r"a sequence of length zero .* of shape \(2, 0, 5\)"):
        EncoderDecoder(5, 6, 7, 3)(ag.zeros((2, 0, 5)))
    with pytest.raises(ag.ShapeError, match=r"must be \(B, T, input_size\), got shape \(2, 5\)"):
        EncoderDecoder(5, 6, 7, 3)(ag.zeros((2, 5)))
    with pytest.raises(ag.ArgumentError, match="EncoderDecoder: cell must be 'rnn', 'lstm' or 'gru', got 'LSTM'"):
        EncoderDecoder(5, 6, 7, 3, "LSTM")
    with pytest.raises(ag.ArgumentError, match="RecurrentLanguageModel: cell must be"):
        RecurrentLanguageModel(5, 6, 7, cell="elman")
    with pytest.raises(ag.ShapeError, match="9 steps, but context=8 positions were learnt"):
        GPT(11, 8, 6, 2, 2)(some_symbols(1, 9))
    model = RecurrentLanguageModel(11, 4, 6, cell="gru")
    with pytest.raises(ag.ArgumentError, match="state must be a tuple of 1, .* got a Tensor"):
        model(some_symbols(1, 2), model.initial_state(1)[0])
    with pytest.raises(ag.ArgumentError, match="temperature must be a finite number of at least 0, got 'hot'"):
        model.generate(some_symbols(1, 2), 5, temperature="hot")
    with pytest.raises(ag.ArgumentError, match=r"cell must be 'rnn', 'lstm' or 'gru', got \['gru'\]"):
        RecurrentLanguageModel(11, 4, 6, cell=["gru"])
    with pytest.raises(ag.ArgumentError, match="state must be a tuple of 1, .* got 2 parts"):
        model(some_symbols(1, 2), RecurrentLanguageModel(11, 4, 6).initial_state(1))
