"""A recurrent net that writes Python: it predicts the next character of the standard library's own sources.

    python examples/language_model.py [--cell lstm|gru] [--peer]

Truncated backpropagation through time: 32 streams are read side by side, 64 characters a step, and the state is carried
on from step to step without its history (Williams and Peng, 1990). Gradients are clipped by their norm (Pascanu et al.,
2013). With --peer PyTorch takes every step beside ours, with the same initial weights, batches and learning rates.
"""

from __future__ import annotations

from typing import Any

import characters
import common
import numpy as np

from autograd_core.backends.cpu import get_num_threads
from autograd_core.nn.data import Characters, DataLoader, streams
from autograd_core.nn.models import RecurrentLanguageModel

STREAMS, STEPS = 32, 64
EMBEDDING, HIDDEN = 64, 256
RATE = 4e-3


def ours(vocabulary: int, cell: str, args: Any) -> characters.Learner:
    model = RecurrentLanguageModel(vocabulary, EMBEDDING, HIDDEN, cell=cell).to(args.device)
    return characters.learner(model, model, args.compile)


def peer(model: RecurrentLanguageModel, cell: str) -> characters.Learner:
    """The same in PyTorch, beginning with the same weights."""
    import torch

    class Peer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            count = len(model.embedding.weight)
            self.embedding = torch.nn.Embedding(count, EMBEDDING)
            self.recurrent = getattr(torch.nn, cell.upper())(EMBEDDING, HIDDEN, batch_first=True)
            self.output = torch.nn.Linear(HIDDEN, count)

        def forward(self, x: Any, state: Any) -> tuple[Any, Any]:
            r, last = self.recurrent(self.embedding(x), state if cell == "lstm" else state[0])
            return self.output(r), last if cell == "lstm" else (last,)

    network = Peer()
    network.load_state_dict({name: torch.tensor(value.numpy()) for name, value in model.state_dict().items()})
    optimizer = torch.optim.Adam(network.parameters(), betas=characters.BETAS)
    return characters.Learner(torch, network, network, optimizer, torch.nn.utils.clip_grad_norm_)


def train(
    learners: dict[str, characters.Learner],
    text: np.ndarray,
    epochs: int,
    side_by_side: int = STREAMS,
    rate: float = RATE,
) -> int:
    """Every epoch begins with empty states; returns the number of characters that each learner has seen."""
    loader = DataLoader(streams(text, side_by_side, STEPS), batch_size=side_by_side)
    characters.train(learners, loader, epochs, rate, lambda learner: empty(learner, side_by_side))
    return epochs * len(loader) * side_by_side * STEPS


def empty(learner: characters.Learner, count: int) -> tuple[Any, ...]:
    """The state before anything was read, of so many streams."""
    recurrent = learner.model.recurrent
    zeros = learner.lib.zeros((1, count, recurrent.hidden_size), device=learner.device)
    return (zeros, zeros) if isinstance(recurrent, learner.lib.nn.LSTM) else (zeros,)


def sample(model: Any, symbols: Characters, prompt: str, length: int, temperature: float) -> str:
    """The prompt, and how the model goes on."""
    made = model.generate(symbols.encode(prompt)[None], length, temperature)
    return prompt + symbols.decode(made.numpy())


def main() -> None:
    parser = common.arguments(__doc__, epochs=1)
    parser.add_argument("--cell", choices=["lstm", "gru"], default="lstm")
    parser.add_argument("--peer", action="store_true", help="train the same in PyTorch, step by step")
    args = parser.parse_args()
    if args.record and not args.peer:
        parser.error("the target is PyTorch's result: --record needs --peer")
    symbols, text, test = characters.corpus(args.quick)
    learners = {"ours": ours(len(symbols), args.cell, args)}
    model = learners["ours"].model
    if args.peer:
        learners["PyTorch"] = peer(model, args.cell)
        learners["PyTorch"].lib.set_num_threads(get_num_threads())
    seen = train(learners, text, args.epochs)
    bits = {name: learner.bits(test, empty(learner, 8)) for name, learner in learners.items()}
    print(sample(model, symbols, "    def ", 40 if args.quick else 400, temperature=0.6))

    steps = {name: f"its fastest step {1e3 * min(learner.seconds):.1f} ms" for name, learner in learners.items()}
    count = f"{get_num_threads()} thread{'s' if get_num_threads() > 1 else ''}"
    counts = f"{sum(p.size for p in model.parameters()):,} parameters, {seen / 1e6:.2f} million characters seen"
    difference = abs(bits["ours"] - bits["PyTorch"]) if args.peer else np.inf
    common.Row(
        network=f"Character model, {args.cell.upper()} of {HIDDEN}: truncated BPTT, clipping",
        data=characters.described(text, test),
        result=f"{bits['ours']:.4f} bits per character ({counts}), {steps['ours']}",
        target="within 0.01 of PyTorch's bits per character after equal steps",
        met=difference <= 0.01,
        peer=f"PyTorch {bits['PyTorch']:.4f} ({difference:.4f} from ours), {steps['PyTorch']}, both on {count}"
        if args.peer
        else "",
    ).report(args, f"language_model_{args.cell}")


if __name__ == "__main__":
    main()
