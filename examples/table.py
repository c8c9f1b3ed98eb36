"""Write the table of examples/README.md anew, from the runs recorded in examples/results.

python examples/table.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PAGE = FOLDER / "README.md"
START, END = "<!-- table of recorded runs: examples/table.py writes it -->\n", "<!-- end of the table -->\n"
COLUMNS = ("Network", "Data", "Command", "Seconds", "Result", "Target", "Peer")

# The records, in the table's order.
ORDER = (
    "single_neuron",
    "softmax_regression",
    "mlp",
    "vanishing_gradient",
    "convolutional_net",
    "residual_net",
    "addition",
    "language_model_lstm",
    "language_model_gru",
    "forecasting",
    "autoencoder",
    "denoising_autoencoder",
    "contractive_autoencoder",
    "boltzmann_machine_digits",
    "boltzmann_machine_fashion",
    "deep_belief_net",
    "tensor_net_logic",
    "tensor_net_listops",
    "variational_autoencoder",
    "gan",
    "transformer",
    "input_optimisation",
    "policy_gradient",
    "hogwild",
    "cross_validation",
)


def records() -> dict[str, dict[str, Any]]:
    """name -> what its last recorded run showed."""
    return {path.stem: json.loads(path.read_text()) for path in sorted((FOLDER / "results").glob("*.json"))}


def table() -> str:
    """The Markdown table, one row a record; a target that was missed says so."""
    found = records()
    unplaced = sorted(found.keys() - set(ORDER))
    if unplaced:
        raise SystemExit(f"examples/table.py: say in ORDER where {', '.join(unplaced)} belong")
    lines = [f"| {' | '.join(COLUMNS)} |", "|" + " --- |" * len(COLUMNS)]
    for name in ORDER:
        row = found.get(name)
        if row is None:
            lines.append(f"| {name} | | | | not run yet | | |")
            continue
        target = row["target"] if row["met"] else f"**missed**: {row['target']}"
        cells = (row["network"], row["data"], f"`{row['command']}`", f"{row['seconds']:.0f}", row["result"], target)
        lines.append("| " + " | ".join((*cells, row["peer"])) + " |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The page with the table of today in it."""
    before, rest = text.split(START)
    return before + START + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
