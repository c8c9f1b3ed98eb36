"""The pages that walk through the compiler show what it does now: their examples run, and what they point to exists."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted(
    path
    for folder in ("autograd_core", "backends")
    for path in (ROOT / folder).rglob("README.md")
    if "compil" in str(path.relative_to(ROOT)) or path.parent.name == "native"
)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_a_page_shows_what_happens(page: Path) -> None:
    pytest.importorskip("llvmlite")
    text = "\n".join("" if line.startswith("```") else line for line in page.read_text().splitlines())
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    case = doctest.DocTestParser().get_doctest(text, {}, page.name, str(page), 0)
    assert case.examples
    assert runner.run(case, out=report.append).failed == 0, "".join(report)


@pytest.mark.parametrize("page", [*PAGES, ROOT / "docs" / "compile.md"], ids=lambda page: page.parent.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert links
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_both_pages_are_there() -> None:
    assert len(PAGES) == 2
