"""docs/operations.md: the matrix of ``op_matrix`` as a page, a row for every public function, a family a table."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from op_catalog import is_public, public_functions
from op_dtypes import ROUNDING
from op_matrix import COLUMNS, Missing
from op_table import CASES, OpCase

PAGE = Path(__file__).resolve().parent.parent / "docs" / "operations.md"
PROVEN = "✓"
INNER = "inner steps"
SYNTAX = {"getitem": "indexing", "at": "indexing"}  # x[i] and x.at[i], which are no functions

HEAD = """# Every operation and every derivative, proven

Written by `make operations` from the op table (`tests/op_table/`) as its tests run; a test compares this page with what
they find. A row is a public function, with all its cases: axes, strides, broadcasting, edge values.

| Column | What was seen to hold |
|---|---|
| value | results and dtypes are those of a reference by other means, in float64 |
| vjp, jvp | both modes agree with central finite differences, every operand alone and all together |
| 2nd order | so do derivatives of derivatives, in all four combinations of modes; Hessians are symmetric |
| vmap | equals the loop: all operands batched, each alone, other axes; vmap of the vjp, and the vjp of vmap |
| dtypes | results and gradients are right to within the rounding below, or refused in the same words on both backends |
| strided | Fortran order, steps, negative steps and repeated elements give what contiguous operands give |
| zero-size | every axis of every operand at length 0: the right shapes and values, or a refusal of ours |
| PyTorch, JAX | values and gradients agree; JAX's own check_jvp and check_vjp pass our derivatives |

**✓** holds in every case. **✓ n** holds, except in cases that are listed below under n. **n** alone: note n says why it
means nothing. **refused: E** raises the error E, which says what to write instead.
"""


def family(function: str) -> str:
    """The heading that a function stands under."""
    name = function.rpartition(".")[2]
    if function in SYNTAX:
        return SYNTAX[function]
    return public_functions()[name].rpartition(".")[2] if is_public(function) else INNER


class Notes:
    """Numbered footnotes, each with the cases that it holds for."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.cases: dict[int, dict[str, None]] = defaultdict(dict)

    def number(self, reason: str, cases: list[OpCase]) -> int:
        found = self.numbers.setdefault(reason, len(self.numbers) + 1)
        self.cases[found].update(dict.fromkeys(case.name for case in cases))
        return found


def cell(cases: list[OpCase], column: str, notes: Notes) -> str:
    by_reason = defaultdict(list)
    for case in cases:
        by_reason[COLUMNS[column](case)].append(case)
    proven = by_reason.pop("", [])
    refused = [reason for reason in by_reason if reason.startswith("refused")]
    if not proven and len(by_reason) == 1 and refused:
        return refused[0]
    numbers = sorted(notes.number(reason, found) for reason, found in by_reason.items())
    return " ".join([PROVEN] * bool(proven) + [", ".join(map(str, numbers))] * bool(numbers))


def page() -> str:
    """The whole page; Missing if a judge is not installed."""
    for name in COLUMNS:
        if name in ("PyTorch", "JAX", "bfloat16"):
            COLUMNS[name](CASES[0])
    rows: dict[str, dict[str, list[OpCase]]] = defaultdict(lambda: defaultdict(list))
    for case in CASES:
        rows[family(case.function)][case.function].append(case)
    notes, tables, counts = Notes(), [], defaultdict(int)
    for name in sorted(rows, key=lambda name: (name == INNER, name)):
        tables += ["", f"## {name.strip('_').replace('_', ' ').capitalize()}", ""]
        if name == INNER:
            tables += ["Primitives that rules and public functions lead to, and that users do not call.", ""]
        tables += ["| function | " + " | ".join(COLUMNS) + " |", "|---|" + ":-:|" * len(COLUMNS)]
        for function in sorted(rows[name]):
            cells = [cell(rows[name][function], column, notes) for column in COLUMNS]
            for text in cells:
                counts["proven" if text == PROVEN else "refused" if text.startswith("refused") else "noted"] += 1
            tables.append(f"| {function} | " + " | ".join(cells) + " |")
    functions = sum(map(len, rows.values()))
    summary = (
        f"{functions} functions, {len(CASES)} cases, {functions * len(COLUMNS)} cells: {counts['proven']} hold in "
        f"every case, {counts['refused']} are refusals, {counts['noted']} have a note."
    )
    return "\n".join([HEAD, summary, "", *rounding(), *tables, *listed(notes)]) + "\n"


def rounding() -> list[str]:
    lines = [
        "## Rounding",
        "",
        "Allowed: eps × steps × the largest magnitude among the results (at least 1), and what a",
    ]
    lines += ["relative change of eps in every operand makes of them (the condition), four times.", ""]
    lines += ["| dtype | eps | steps | why |", "|---|---|---|---|"]
    return lines + [f"| {name} | {r.eps:.3g} | {r.steps} | {r.why} |" for name, r in ROUNDING.items()]


def listed(notes: Notes) -> list[str]:
    lines = ["", "## Notes", "", "| Note | Reason | Cases |", "|---|---|---|"]
    for reason, number in notes.numbers.items():
        names = list(notes.cases[number])
        cases = ", ".join(names) if len(names) <= 12 else f"{', '.join(names[:10])} and {len(names) - 10} more"
        lines.append(f"| {number} | {reason.replace('|', '&#124;')} | {cases.replace('|', '&#124;')} |")
    return lines


__all__ = ["PAGE", "Missing", "page"]
