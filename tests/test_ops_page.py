"""docs/operations.md is what the tests find: no row missing, no cell empty, no exception without its reason."""

from __future__ import annotations

import op_matrix
import op_page
import pytest
from op_table import CASES


@pytest.mark.slow
def test_the_page_is_what_the_tests_find(request):
    """Free of charge after ``test_ops``, which leaves its verdicts; ``--write-operations`` writes the page instead."""
    try:
        found = op_page.page()
    except op_matrix.Missing as judge:
        pytest.skip(str(judge))
    if request.config.getoption("--write-operations"):
        op_page.PAGE.write_text(found, "utf-8")
    assert op_page.PAGE.read_text("utf-8") == found, (
        "docs/operations.md is not what the op table gives: make operations"
    )


def test_every_function_has_a_row_and_no_cell_is_empty():
    lines = [
        line for line in op_page.PAGE.read_text("utf-8").splitlines() if line.count("|") == len(op_matrix.COLUMNS) + 2
    ]
    rows = [line.strip("| ").split(" | ") for line in lines if not line.startswith(("|---", "| function"))]
    assert {row[0] for row in rows} == {case.function for case in CASES}, "write it anew: make operations"
    assert all(all(row) and len(row) == len(op_matrix.COLUMNS) + 1 for row in rows)


def test_a_cell_says_what_its_cases_say(monkeypatch):
    verdicts = {"add": "", "add/broadcast": "", "abs": "refused: DTypeError", "sum": "a reason", "sum/axis": ""}
    monkeypatch.setitem(op_matrix.COLUMNS, "value", lambda case: verdicts[case.name])
    notes = op_page.Notes()

    def cell(*names: str) -> str:
        return op_page.cell([case for case in CASES if case.name in names], "value", notes)

    assert cell("add", "add/broadcast") == "✓"
    assert cell("abs") == "refused: DTypeError"
    assert cell("sum") == "1"
    assert cell("sum", "sum/axis") == "✓ 1"
    assert notes.numbers == {"a reason": 1}
    assert list(notes.cases[1]) == ["sum"]
