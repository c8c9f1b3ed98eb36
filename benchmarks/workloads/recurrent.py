"""Recurrent layers: a character model, an encoder with a decoder, and a GRU alone."""

from __future__ import annotations

from typing import Any

from .workload import Arrays, Draw, Workload, product_flops


def _layer_flops(batch: int, steps: int, gates: int, inputs: int, hidden: int, needs_input_gradient: bool) -> int:
    """The products with both weights at every step, forward and backward."""
    below = product_flops(steps * batch, inputs, gates * hidden, needs_input_gradient=needs_input_gradient)
    return below + product_flops(steps * batch, hidden, gates * hidden)


class CharacterModel(Workload):
    """Embedding, LSTM, and a linear map that predicts one of 64 characters at every step."""

    name = "lstm_charlm_h256_t64_b32"
    sizes = {"batch": 32, "steps": 64}
    quick_sizes = {"batch": 2, "steps": 8}
    recurrent = "LSTM"
    batch: int
    steps: int
    embedded = 64
    hidden = 256

    def data(self, draw: Draw) -> Arrays:
        return {"x": draw.integers(64, self.batch, self.steps), "labels": draw.integers(64, self.batch, self.steps)}

    def parameters(self, draw: Draw) -> Arrays:
        recurrent = draw.table("e", 64, self.embedded) | draw.recurrent("r.", 4, self.embedded, self.hidden)
        return recurrent | draw.linear("o", self.hidden, 64)

    def model(self, lib: Any) -> Any:
        nn, embedded, hidden = lib.nn, self.embedded, self.hidden

        class CharLM(nn.Module):  # type: ignore[name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.e = nn.Embedding(64, embedded)
                self.r = nn.LSTM(embedded, hidden, batch_first=True)
                self.o = nn.Linear(hidden, 64)

            def forward(self, x: Any) -> Any:
                return self.o(self.r(self.e(x))[0])

        return CharLM()

    def loss(self, lib: Any, model: Any, data: dict[str, Any]) -> Any:
        return lib.nn.functional.cross_entropy(model(data["x"]).flatten(0, 1), data["labels"].flatten())

    def flops(self) -> int:
        recurrent = _layer_flops(self.batch, self.steps, 4, self.embedded, self.hidden, needs_input_gradient=True)
        return recurrent + product_flops(self.steps * self.batch, self.hidden, 64)


class LargeCharacterModel(CharacterModel):
    """The character model with 512 states and 128 sequences at once."""

    name = "lstm_charlm_h512_t64_b128"
    sizes = {"batch": 128, "steps": 64, "hidden": 512, "embedded": 512}
    quick_sizes = {"batch": 2, "steps": 4, "hidden": 8, "embedded": 8}
    for_gpus = True


class LargerCharacterModel(LargeCharacterModel):
    """The character model with 1024 states and 128 sequences at once."""

    name = "lstm_charlm_h1024_t64_b128"
    sizes = {"batch": 128, "steps": 64, "hidden": 1024, "embedded": 1024}
    on_hosts_too = False


class Addition(Workload):
    """An LSTM reads a sum of seven characters, another writes the four of the result from its last state."""

    name = "addition_rnn_h128_b128"
    sizes = {"batch": 128}
    quick_sizes = {"batch": 4}
    recurrent = "LSTM"
    batch: int

    def data(self, draw: Draw) -> Arrays:
        return {"x": draw.one_hot(12, self.batch, 7), "labels": draw.integers(12, self.batch, 4)}

    def parameters(self, draw: Draw) -> Arrays:
        layers = draw.recurrent("enc.", 4, 12, 128) | draw.recurrent("dec.", 4, 128, 128)
        return layers | draw.linear("o", 128, 12)

    def model(self, lib: Any) -> Any:
        nn = lib.nn

        class Add(nn.Module):  # type: ignore[name-defined]
            def __init__(self) -> None:
                super().__init__()
                self.enc = nn.LSTM(12, 128, batch_first=True)
                self.dec = nn.LSTM(128, 128, batch_first=True)
                self.o = nn.Linear(128, 12)

            def forward(self, x: Any) -> Any:
                h = self.enc(x)[0][:, -1:]
                return self.o(self.dec(h.expand(-1, 4, -1))[0])

        return Add()

    def loss(self, lib: Any, model: Any, data: dict[str, Any]) -> Any:
        return lib.nn.functional.cross_entropy(model(data["x"]).flatten(0, 1), data["labels"].flatten())

    def flops(self) -> int:
        reading = _layer_flops(self.batch, 7, 4, 12, 128, needs_input_gradient=False)
        writing = _layer_flops(self.batch, 4, 4, 128, 128, needs_input_gradient=True)
        return reading + writing + product_flops(4 * self.batch, 128, 12)


class Gru(Workload):
    """A GRU alone, by the mean square of its states."""

    name = "gru_h256_t64_b32"
    sizes = {"batch": 32, "steps": 64}
    quick_sizes = {"batch": 2, "steps": 8}
    recurrent = "GRU"
    batch: int
    steps: int

    def data(self, draw: Draw) -> Arrays:
        return {"x": draw.normal(self.batch, self.steps, 64)}

    def parameters(self, draw: Draw) -> Arrays:
        return draw.recurrent("", 3, 64, 256)

    def model(self, lib: Any) -> Any:
        return lib.nn.GRU(64, 256, batch_first=True)

    def loss(self, lib: Any, model: Any, data: dict[str, Any]) -> Any:
        return lib.square(model(data["x"])[0]).mean()

    def flops(self) -> int:
        return _layer_flops(self.batch, self.steps, 3, 64, 256, needs_input_gradient=False)
