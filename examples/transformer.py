"""A small GPT and an LSTM of as many parameters read the same text, the sources of Python's standard library.

    python examples/transformer.py

Both take as many steps, of as many characters each, and predict the same held-out ones. The LSTM carries its state on
from step to step (it is trained as in language_model.py, with 16 streams); the transformer reads windows, and predicts
with at least half a window before it. Both are trained by Adam with a schedule of the same form, each with the rate
that was best for it, in two epochs, on the last part of the training text.
"""

from __future__ import annotations

import math
from typing import Any

import characters
import common
import language_model
import numpy as np
import pictures

import autograd_core as ag
from autograd_core import nn
from autograd_core.nn.data import DataLoader, windows
from autograd_core.nn.models import GPT, RecurrentLanguageModel

CONTEXT, WIDTH, HEADS, LAYERS = 128, 48, 2, 4
BATCH, RATE = 8, 6e-3
EMBEDDING, HIDDEN, STREAMS, LSTM_RATE = 32, 147, 16, 8e-3  # of the LSTM


def stateless(model: GPT) -> Any:
    """The model as a learner calls it: there is no state."""
    return lambda x, state: (model(x), state)


def bits(model: GPT, text: np.ndarray, device: str) -> float:
    """Bits per character: windows overlap by half, of each only the new characters count."""
    half, total, count = CONTEXT // 2, 0.0, 0
    for batch in DataLoader(windows(text, CONTEXT, half), batch_size=32):
        x, y = (ag.asarray(np.ascontiguousarray(part), device=device) for part in batch)
        with ag.no_grad():
            scores = model(x)
        new = [(scores[:, half:], y[:, half:])] + ([(scores[:1, :half], y[:1, :half])] if count == 0 else [])
        for s, t in new:
            total += float(nn.functional.cross_entropy(s.flatten(0, 1), t.flatten(), reduction="sum"))
            count += t.size
    return total / count / math.log(2)


def main() -> None:
    args = common.arguments(__doc__, epochs=6).parse_args()
    symbols, text, test = characters.corpus(args.quick)
    gpt = GPT(len(symbols), CONTEXT, WIDTH, HEADS, 1 if args.quick else LAYERS).to(args.device)
    lstm = RecurrentLanguageModel(len(symbols), EMBEDDING, HIDDEN).to(args.device)
    sizes = [sum(p.size for p in model.parameters()) for model in (gpt, lstm)]

    learner = characters.learner(gpt, stateless(gpt), args.compile)
    loader = DataLoader(windows(text, CONTEXT), BATCH, shuffle=True, seed=args.seed, drop_last=True)
    characters.train({"GPT": learner}, loader, args.epochs, RATE, lambda learner: ())
    seen = [args.epochs * len(loader) * BATCH * CONTEXT]
    recurrent = characters.learner(lstm, lstm, args.compile)
    seen.append(language_model.train({"LSTM": recurrent}, text, args.epochs, STREAMS, LSTM_RATE))
    steps = len(learner.losses), len(recurrent.losses)

    found = bits(gpt, test, args.device), recurrent.bits(test, language_model.empty(recurrent, 8))
    print(language_model.sample(gpt, symbols, "    def ", 4 if args.quick else 400, temperature=0.6))
    pictures.curves(
        {"GPT": learner.curve(), "LSTM": recurrent.curve()},
        args.out / "transformer.png",
        x="percent of the characters seen",
        y="bits per character in training",
    )
    counts = [f"{size:,} parameters, {many / 1e6:.2f} million characters seen" for size, many in zip(sizes, seen)]
    common.Row(
        network=f"Transformer: GPT of {LAYERS} layers, width {WIDTH}, {HEADS} heads, context {CONTEXT}",
        data=characters.described(text, test),
        result=f"{found[0]:.3f} bits per character ({counts[0]})",
        target="fewer bits per character than an LSTM of as many parameters after as many steps on as many characters",
        met=found[0] < found[1] and all(abs(a / b - 1) < 0.02 for a, b in (sizes, seen, steps)),
        peer=f"LSTM of {HIDDEN}: {found[1]:.3f} ({counts[1]})",
    ).report(args, "transformer")


if __name__ == "__main__":
    main()
