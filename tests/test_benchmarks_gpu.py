"""The check of a GPU: its probes run on the fake CuPy, its report is read; without a GPU it says what is missing."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest
from cuda_tools import fake_devices, is_usable

from autograd_core.benchmarks import gpu
from autograd_core.benchmarks.__main__ import main


@pytest.mark.skipif(is_usable("cuda"), reason="there is a GPU")
def test_without_a_gpu_it_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    with pytest.raises(SystemExit) as ended:
        main(["gpu", "--quick", "--json", str(report)])
    assert ended.value.code == 2
    assert "CuPy" in capsys.readouterr().err
    assert not report.exists()


def test_every_probe_gives_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    with fake_devices():
        main(["gpu", "--quick", "--json", str(report)])
    found = json.loads(report.read_text())
    assert found["gpu"]["name"] == "Fake GPU"
    assert list(found["probes"]) == ["copy", "products", "launch", "recurrent"]
    for rows in found["probes"].values():
        assert rows
        for figures in rows.values():
            assert figures["seconds"] > 0
            assert all(math.isfinite(number) for number in figures.values())
    assert "flops a second" in capsys.readouterr().out


def test_tests_that_are_run_are_counted(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 1 == 2\n"
        "@pytest.mark.skip(reason='why')\n"
        "def test_left(): pass\n"
    )
    found = gpu.tested(tmp_path, ["test_some.py"], 1, time.monotonic() + 60)
    assert (found["outcome"], found["passed"], found["failed"], found["skipped"]) == ("failed", 1, 1, 1)
    (failure,) = found["failures"]
    assert failure["test"] == "test_some::test_bad"
    assert "1 == 2" in failure["message"]


def test_no_test_is_begun_when_the_time_is_over(tmp_path: Path) -> None:
    assert gpu.tested(tmp_path, [], 1, time.monotonic() - 1) == {"outcome": "not begun: no time was left"}
