"""The pages that walk through the compiler show what it does now: their examples run, and what they point to exists.

``python tests/test_compile_report_pages.py`` writes into them what the examples print now.
"""

from __future__ import annotations

import doctest
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for folder in ("autograd_core", "backends")
    for path in (ROOT / folder).rglob("README.md")
    if "compil" in str(path.relative_to(ROOT)) or path.parent.name == "native"
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Runner(doctest.DocTestRunner):
    """Notes what examples print where that is something else than the page says."""

    def __init__(self) -> None:
        super().__init__(optionflags=FLAGS)
        self.found: list[tuple[doctest.Example, str]] = []

    def report_failure(self, out: Any, test: doctest.DocTest, example: doctest.Example, got: str) -> None:
        self.found.append((example, got))
        super().report_failure(out, test, example, got)


def run(page: Path) -> tuple[Runner, str]:
    text = "\n".join("" if line.startswith("```") else line for line in page.read_text().splitlines())
    report: list[str] = []
    runner = Runner()
    case = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    assert case.examples
    runner.run(case, out=report.append)
    return runner, "".join(report)


def rewritten(page: Path) -> str:
    """The page with what its examples print."""
    runner, _ = run(page)
    lines = page.read_text().splitlines()
    for example, got in reversed(runner.found):
        start = example.lineno + example.source.count("\n")
        lines[start : start + example.want.count("\n")] = got.splitlines()
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_a_page_shows_what_happens(page: Path) -> None:
    pytest.importorskip("llvmlite")
    runner, report = run(page)
    assert runner.tries
    assert runner.failures == 0, report


def test_a_page_that_is_wrong_is_found_and_put_right(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("```python\n>>> for i in range(2):\n...     print(i)\n5\n>>> 2\n3\n\n```\ntext\n")
    runner, report = run(page)
    assert runner.failures == 2
    assert "Expected:\n    5\nGot:\n    0\n    1\n" in report
    page.write_text(rewritten(page))
    assert page.read_text() == "```python\n>>> for i in range(2):\n...     print(i)\n0\n1\n>>> 2\n2\n\n```\ntext\n"
    assert run(page)[0].failures == 0


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docs" / "compile.md"], ids=lambda page: page.parent.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_all_pages_are_there() -> None:
    assert len(PAGES) == 3


if __name__ == "__main__":
    for each in PAGES:
        each.write_text(rewritten(each))
