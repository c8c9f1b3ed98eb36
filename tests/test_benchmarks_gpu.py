"""The check of a GPU, whole, over the fake CuPy: every part runs, one fails, the report has the others; parts that hang
are stopped. Not yet run on hardware.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cuda_host
import pytest
from cuda_tools import fake_devices, is_usable

import autograd_core as ag
from autograd_core.backend import get_device
from autograd_core.benchmarks import gpu, losses, recorded_tests
from autograd_core.benchmarks.__main__ import main
from autograd_core.benchmarks.allocations import Allocations
from autograd_core.benchmarks.captures import counted
from autograd_core.benchmarks.gpu_summary import summary
from autograd_core.benchmarks.parts import Part, left_json, run_stage
from autograd_core.benchmarks.workloads import WORKLOADS

TINY = "tiny_chain_100ops"
FAKE_GPU = Path(__file__).parent / "fake_gpu"
SOME_TESTS = """
import pytest
def test_good(): pass
def test_bad(): assert 1 == 2
@pytest.mark.skip(reason='why')
def test_left(): pass
"""


@pytest.mark.skipif(is_usable("cuda"), reason="there is a GPU")
@pytest.mark.parametrize("command", ["gpu", "probes", "kernels"])
def test_without_a_gpu_it_says_what_is_missing(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "report.json"
    with pytest.raises(SystemExit) as ended:
        main([command, "--quick", "--json", str(report)])
    assert ended.value.code == 2
    assert "CuPy" in capsys.readouterr().err
    assert not report.exists()


def test_every_row_is_part_of_the_check() -> None:
    assert sorted(gpu.ROWS) == sorted(WORKLOADS)


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str, int]:
    """The report of a check of the fake, in which the suite is killed; what was printed; the status."""
    cuda_host.needs_compiler()
    folder = tmp_path_factory.mktemp("check")
    (folder / "tests").mkdir()
    (folder / "tests" / "conftest.py").write_text("def pytest_addoption(parser): parser.addoption('--device')\n")
    for name in ("test_ops", "test_nn_some"):
        (folder / "tests" / f"{name}.py").write_text(SOME_TESTS)
    (folder / "kernels").mkdir()
    arguments = ["--quick", "--tests", str(folder), "--rows", TINY, "--peers", "none", "--workers", "0"]
    arguments += ["--minutes", "20", "--at-once", "2", "--json", "report.json"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "autograd_core.benchmarks", "gpu", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "PYTHONPATH": str(FAKE_GPU),
            "FAKE_GPU_KERNELS": str(folder / "kernels"),
            "FAKE_GPU_KILLED": "0.1",  # seconds of a burst: an argument of the suite's alone
        },
    )
    return json.loads((folder / "report.json").read_text(), parse_constant=_none), done.stdout, done.returncode


def _none(name: str) -> float:
    raise AssertionError(f"{name} is no JSON")


@pytest.mark.slow
def test_every_part_leaves_its_figures_and_who_failed_is_named(checked: tuple[dict[str, Any], str, int]) -> None:
    report, printed, status = checked
    assert status == 1
    assert report["gpu"]["name"] == "Fake GPU"
    found = report["parts"]
    outcomes = {name: part["outcome"] for name, part in found.items()}
    assert outcomes == {
        "tests of operations": "ended with status 1",
        "tests of nn and optim": "ended with status 1",
        "numbers": "done",
        f"losses {TINY}": "done",
        "probes": "done",
        "kernels": "done",
        "lstm": "done",
        "suite": "ended with signal SIGKILL; it left no figures (FileNotFoundError)",
    }
    assert f"suite: {outcomes['suite']}" in report["summary"]
    assert "\n".join(report["summary"]) in printed


@pytest.mark.slow
def test_what_the_parts_found(checked: tuple[dict[str, Any], str, int]) -> None:
    report, _, _ = checked
    found = {name: part["figures"] for name, part in report["parts"].items()}
    tests = found["tests of operations"]
    assert (tests["passed"], tests["failed"], tests["skipped"]) == (1, 1, 1)
    (failure,) = tests["failures"]
    assert failure["test"].endswith("test_bad")
    assert "1 == 2" in failure["message"]

    (row,) = found[f"losses {TINY}"]["rows"].values()
    assert (row["problems"], row["reference"]) == ({}, "cpu eager")
    on_cuda = ["cuda eager", "cuda compiled", "cuda launched early"]
    assert list(row["contenders"]) == ["cpu eager", "cpu compiled", *on_cuda]
    for of in row["contenders"].values():
        assert len(of["losses"]) == losses.QUICK_STEPS
        assert of["difference"] <= 1e-4
    captured = row["contenders"]["cuda compiled"]["captured"]
    assert (captured["waits"], captured["host_ahead"], captured["allocations"]) == (0, True, 0)
    assert captured["how"] == ["replayed as one CUDA graph"]

    assert "median" not in found["numbers"]["rows"][TINY]["contenders"]["cuda eager"]
    assert len(found["numbers"]["rows"][TINY]["contenders"]["cuda eager"]["values"]) == 3
    probes = ["copy", "products", "epilogues", "launch", "recurrent", "convolutions", "attention"]
    assert list(found["probes"]["probes"]) == probes
    for rows in found["probes"]["probes"].values():
        for figures in rows.values():
            assert figures["seconds"] > 0
            assert all(math.isfinite(number) for number in figures.values())
    relu = found["probes"]["probes"]["epilogues"]
    assert [relu[f"small, relu, float32 fp32, {how}"]["steps"] for how in ("taken over", "apart")] == [1, 2]
    assert [relu[f"small, relu, float32 fp32, {how}"]["NaN"] for how in ("taken over", "apart")] == [0, 1]
    convolutions = list(found["probes"]["probes"]["convolutions"])
    assert convolutions[:2] == ["small, forward, fp32, own", "small, forward, fp32, cudnn"]

    steps = found["kernels"]["steps"]
    assert len(steps) == 5
    for of in steps.values():
        assert of["how"][0].startswith("replayed as one CUDA graph")
        assert all(kernel["bytes"] > 0 and kernel["seconds"] > 0 for kernel in of["kernels"])
    assert found["kernels"]["copy"] > 0

    timed = found["lstm"]["rows"][TINY]
    assert timed["math"] == "tf32"
    both = timed["contenders"]
    assert set(both) == {"cpu compiled", "cuda compiled"}
    assert both["cuda compiled"]["device_bytes"] > 0
    assert both["cuda compiled"]["how"]["remarks"][0].startswith("replayed as one CUDA graph")
    assert both["cuda compiled"]["times_faster"] == pytest.approx(
        both["cpu compiled"]["median"] / both["cuda compiled"]["median"]
    )
    assert set(found["lstm"]["limits"]) == {"cpu", "cuda"}


# ---------------------------------------------------------------------------------------------- parts


def python(name: str, code: str, seconds: float = 60.0) -> Part:
    return Part(name, [sys.executable, "-c", code], seconds, left_json("figures.json"))


def stage(*chosen: Part, seconds: float = 60.0) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    run_stage(chosen, 2, time.monotonic() + seconds, found.__setitem__)
    return found


def part_that(name: str, then: str, seconds: float = 60.0) -> Part:
    """Writes its figures, and then does something else."""
    code = f"import json, os, sys, time; open(sys.argv[1], 'w').write(json.dumps({{'x': 1}})); {then}"
    return Part(name, [sys.executable, "-c", code, "{folder}/figures.json"], seconds, left_json("figures.json"))


def test_figures_stay_whatever_becomes_of_a_part() -> None:
    found = stage(
        part_that("good", "pass"),
        part_that("bad", "print('why'); sys.exit(3)"),
        part_that("crashed", "os.kill(os.getpid(), 11)"),
        part_that("hung", "print('waits', flush=True); time.sleep(600)", seconds=1.0),
        python("empty", "raise ValueError('at once')"),
    )
    assert {name: of["figures"] for name, of in found.items()} == {
        **{name: {"x": 1} for name in ("good", "bad", "crashed", "hung")},
        "empty": None,
    }
    assert found["good"]["outcome"] == "done"
    assert "said" not in found["good"]
    assert (found["bad"]["outcome"], found["bad"]["said"]) == ("ended with status 3", "why\n")
    assert found["crashed"]["outcome"] == "ended with signal SIGSEGV"
    assert (found["hung"]["outcome"], found["hung"]["said"]) == ("stopped after 1 seconds", "waits\n")
    assert found["empty"]["outcome"] == "ended with status 1; it left no figures (FileNotFoundError)"
    assert "ValueError: at once" in found["empty"]["said"]


def test_no_part_goes_on_or_begins_when_the_time_is_over() -> None:
    found = stage(*(part_that(name, "time.sleep(600)") for name in ("first", "second", "third")), seconds=1.0)
    assert [found[name]["outcome"] for name in ("first", "second")] == ["stopped after 1 seconds"] * 2
    assert found["third"]["outcome"] == "not begun: no time was left"


def test_what_a_stopped_part_has_started_ends_with_it(tmp_path: Path) -> None:
    child = f"import time, os; open({str(tmp_path / 'child')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    code = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    stage(python("hung", code, seconds=3.0))
    process = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 10
    while _lives(process) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(process)


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_who_is_interrupted_still_has_the_figures_of_what_was_under_way() -> None:
    found: dict[str, dict[str, Any]] = {}
    before = signal.signal(signal.SIGALRM, gpu._stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        with pytest.raises(SystemExit, match="gpu: ended by SIGALRM; the report has what there is"):
            run_stage([part_that("slow", "time.sleep(600)")], 1, time.monotonic() + 60, found.__setitem__)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert found["slow"]["figures"] == {"x": 1}


def test_figures_that_cannot_be_summed_up_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "plan", lambda args, wanted: ([], [part_that("kernels", "pass")]))
    with fake_devices():
        main(["gpu", "--minutes", "1", "--json", str(tmp_path / "report.json")])
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["parts"]["kernels"]["figures"] == {"x": 1}
    assert report["summary"] == ["no summary: KeyError: 'copy'"]


def test_parts_are_chosen_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    with fake_devices():
        with pytest.raises(SystemExit, match="gpu: no part is named speed; there are tests, losses"):
            main(["gpu", "--parts", "speed"])
        with pytest.raises(SystemExit, match="gpu: no row is named mlp; there are"):
            main(["gpu", "--rows", "mlp"])


# ---------------------------------------------------------------------------------------------- what parts are made of


SANITIZER = """#!/bin/sh
while [ "$1" != "--log-file" ]; do shift; done
echo "========= Invalid __global__ read of size 4 bytes" > "$2"
echo "========= ERROR SUMMARY: 1 error" >> "$2"
exit 99
"""


def test_the_sanitizer_runs_if_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    gpu.add_arguments(parser)
    args = parser.parse_args([])
    usual = [part.name for some in gpu.plan(args, args.parts.split(",")) for part in some]
    assert not [name for name in usual if gpu.SANITIZE in name]
    program = tmp_path / gpu.SANITIZER
    program.write_text(SANITIZER)
    program.chmod(0o755)
    report: dict[str, Any] = {"parts": {}}
    for path in (str(tmp_path), str(tmp_path / "nothing")):
        monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
        at_once, in_turn = gpu.plan(args, [gpu.SANITIZE])
        assert not at_once
        found: dict[str, Any] = {}
        run_stage(in_turn, 1, time.monotonic() + 60, found.__setitem__)
        assert list(found) == ["sanitize memcheck", "sanitize racecheck"]
        outcomes = [part["outcome"] for part in found.values()]
        if path == str(tmp_path):
            assert outcomes == ["ended with status 99"] * 2
            assert found["sanitize memcheck"]["figures"]["errors"] == 1
            report["parts"] = found
            assert "sanitize memcheck: 1 errors" in summary(report)
            assert "sanitize memcheck: ended with status 99" in summary(report)
        else:
            assert all(outcome.startswith("ended with status 1") for outcome in outcomes)
            assert "compute-sanitizer is not on the path" in found["sanitize memcheck"]["said"]


def test_a_test_that_was_being_written_down_does_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "tests.jsonl"
    lines = [
        {"test": "a", "outcome": "passed", "seconds": 1.0},
        {"test": "a", "outcome": "failed", "seconds": 0.5, "message": "in its end"},
        {"test": "b", "outcome": "passed", "seconds": 0.25},
    ]
    file.write_text("\n".join(map(json.dumps, lines)) + '\n{"test": "c", "outc')
    assert recorded_tests.counted(file) == {
        "passed": 1,
        "failed": 1,
        "skipped": 0,
        "seconds": 1.8,
        "failures": [{"test": "a", "message": "in its end"}],
    }


def test_losses_that_are_no_numbers_differ() -> None:
    assert losses.difference([1.0, 2.0], [1.0, 2.0001]) == pytest.approx(5e-5, rel=1e-3)
    assert losses.difference([1.0, math.nan], [1.0, 2.0]) == math.inf
    assert losses.difference([1.0, 2.0], [1.0, math.inf]) == math.inf


def test_losses_that_differ_end_with_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(losses, "TOLERANCE", -1.0)  # nothing is near enough
    arguments = ["losses", "--quick", "--rows", "tiny_chain_100ops", "--devices", "cpu", "--steps", "2"]
    with pytest.raises(SystemExit, match="they differ, or something failed"):
        main([*arguments, "--json", str(tmp_path / "losses.json")])
    row = json.loads((tmp_path / "losses.json").read_text())["rows"]["tiny_chain_100ops"]
    assert set(row["problems"]) == {"cpu eager", "cpu compiled"}
    assert "differs from cpu eager by 0" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="losses: no row is named mlp"):
        main(["losses", "--rows", "mlp"])


def test_waits_and_allocations_of_a_step_are_counted() -> None:
    cuda_host.needs_compiler()
    with fake_devices():
        x = ag.ones(8, device="cuda")
        double = ag.compile(lambda x: 2 * x)
        kept = []

        def step() -> None:
            kept.append(double(x))

        def waiting() -> None:
            double(x).numpy()

        for _ in range(8):
            double(x)
        device = get_device("cuda")
        clean = counted(lambda: double(x), double, device, quick=True)
        assert (clean["waits"], clean["host_ahead"], clean["allocations"]) == (0, True, 0)
        assert counted(step, double, device, quick=True)["allocations"] == 10
        waits = counted(waiting, double, device, quick=True)
        assert (waits["waits"], waits["host_ahead"]) == (10, False)


def test_what_pools_take_from_the_device_is_counted() -> None:
    with fake_devices():
        ag.zeros(1, device="cuda")
        with Allocations() as outer, Allocations() as inner:
            x = ag.zeros(256, device="cuda")  # 1024 bytes
        y = ag.zeros(256, device="cuda")
        assert (outer.taken, outer.reservations, outer.reserved) == (inner.taken, 1, 1024)
        assert x.shape == y.shape


def test_a_summary_says_no_more_than_there_is() -> None:
    assert summary({"parts": {}}) == []
    row = {
        "math": "tf32",
        "problems": {},
        "contenders": {
            "cpu compiled": {"median": 1.0},
            "cuda compiled": {"median": 0.002, "times_faster": 500.0, "ratio": 1.25},
            "torch cuda": {"median": 0.0016},
        },
    }
    done = {"outcome": "done", "figures": {"rows": {"row": row}}}
    lost = {"outcome": "stopped after 9 seconds; it left no figures (FileNotFoundError)", "figures": None}
    assert summary({"parts": {"lstm": done, "suite": done, "kernels": lost}}) == [
        "row tf32: cpu compiled 1000.000 ms, cuda compiled 2.000 ms, torch cuda 1.600 ms",
        "  500 times our compiled step on the CPU; the goal is 250",
        "suite: 1 of 1 rows without a problem",
        "  0 of 1 rows, compiled, at most the best peer's time",
        "  row: 1.25 of the best peer's time",
        "kernels: stopped after 9 seconds; it left no figures (FileNotFoundError)",
    ]
