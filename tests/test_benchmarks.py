"""The benchmarks run and report; how fast anything is, no test says."""

from __future__ import annotations

import json
import sys

import pytest

from autograd_core.benchmarks.__main__ import main
from autograd_core.benchmarks.measure import interleaved, table


def test_overhead_measures_whoever_is_installed_and_names_whoever_is_not(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mygrad", None)  # as if it were not installed
    main(["overhead", "--quick", "--peers", "numpy,ours,mygrad", "--json", str(tmp_path / "figures.json")])
    printed = capsys.readouterr().out
    assert "mygrad: not measured, because it is not installed" in printed
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures["versions"]) == {"numpy", "ours"}
    timing = figures["seconds"]["chain"]["ours"]
    assert 0 < timing["minimum"] <= timing["median"] <= timing["maximum"]


def test_overhead_refuses_an_unknown_peer():
    with pytest.raises(SystemExit, match="no contestant is named tensorflow"):
        main(["overhead", "--quick", "--peers", "tensorflow"])


def test_imports_prints_a_ratio(capsys):
    main(["imports", "--quick"])
    assert "ratio" in capsys.readouterr().out


def test_contestants_are_called_in_turn():
    calls = []
    timings = interleaved({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, repeats=3, target=0)
    assert "".join(calls).endswith("ababab")
    assert set(timings) == {"a", "b"}


def test_a_table_shows_a_dash_where_nothing_was_measured():
    assert table("", ["x", "y"], {"row": {"x": "1.00"}}).splitlines()[1].split() == ["row", "1.00", "-"]
