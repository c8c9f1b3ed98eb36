"""The suite compares before it times, takes turns, and says what it could not measure; no test says how fast."""

from __future__ import annotations

import json
import math
import os
import sys

import pytest

import autograd_core as ag
from autograd_core.benchmarks import contenders, tables, verdicts
from autograd_core.benchmarks.__main__ import main
from autograd_core.benchmarks.contenders import Contender
from autograd_core.benchmarks.processes import Worker, WorkerError, environment, on_cores
from autograd_core.benchmarks.rounds import Plan, disagreement, run_row
from autograd_core.benchmarks.workloads import WORKLOADS

TINY = "mlp_tiny_8_16_3_b16"
CHAIN = "tiny_chain_100ops"
EAGER = Contender("cpu eager", "ours", "autograd_core")
PEER = contenders.PEERS["torch"]
LIMITS = {device: {"gemm_flops_per_second": 1e9, "copied_bytes_per_second": 1e9} for device in ("cpu", "cuda")}


def no_constant(name: str) -> float:
    raise AssertionError(f"{name} is no JSON")


# ---------------------------------------------------------------------------------------------- the whole of it


def test_quick_measures_rows_and_writes_every_figure(tmp_path, capsys):
    file = tmp_path / "figures.json"
    main(
        [
            "--quick",
            "--rows",
            f"{TINY},{CHAIN}",
            "--peers",
            "none",
            "--modes",
            "eager",
            "--threads",
            "1",
            "--json",
            str(file),
        ]
    )
    printed = capsys.readouterr().out
    assert "milliseconds a step" in printed
    assert "MiB at the peak" in printed
    assert "quick: smaller batches" in printed
    figures = json.loads(file.read_text(), parse_constant=no_constant)
    assert {"processor", "cores", "date", "load", "python"} <= set(figures["machine"])
    assert figures["versions"].keys() == {"numpy", "autograd_core"}
    assert figures["plan"]["threads"] == 1
    assert figures["limits"]["cpu"]["gemm_flops_per_second"] > 0
    assert figures["limits"]["cpu"]["copied_bytes_per_second"] > 0
    assert list(figures["rows"]) == [TINY, CHAIN]
    row = figures["rows"][TINY]
    assert row["flops"] == 2 * 16 * (2 * 8 * 16 + 3 * 16 * 3)
    assert row["problems"] == {}
    ours = row["contenders"]["cpu eager"]
    assert 0 < ours["minimum"] <= ours["lower_quartile"] <= ours["median"] <= ours["upper_quartile"]
    assert ours["calls"] == 2
    assert ours["peak_bytes"] > ours["base_bytes"] > 0
    assert len(ours["values"]) == 3
    assert ours["values"][0][0] > ours["values"][2][0], "three steps of Adam lower the loss"


def test_the_list_names_every_row(capsys):
    main(["--list"])
    printed = capsys.readouterr().out
    assert all(name in printed for name in WORKLOADS)


SMALLEST = f"suite --quick --rows {CHAIN} --peers none --modes eager --threads 1".split()


def test_a_picture_is_drawn(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="the plot needs matplotlib (extra: examples)")
    file = tmp_path / "times.png"
    main([*SMALLEST, "--plot", str(file)])
    assert file.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_there_is_no_picture_and_it_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    file = tmp_path / "times.png"
    main([*SMALLEST, "--plot", str(file)])
    assert "no plot: matplotlib is not installed" in capsys.readouterr().out
    assert not file.exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--rows", "mlp"], "no row is named mlp; there are tiny_chain_100ops, mlp_784"),
        (["--peers", "tensorflow"], "no peer is named tensorflow; there are torch, torch-compile, jax"),
        (["--devices", "tpu"], "no device is named tpu"),
        (["--modes", "lazy"], "no mode is named lazy; there are eager, compiled"),
        (["--threads", "10000"], "10000 threads were asked for, and there are"),
    ],
)
def test_what_cannot_be_is_refused(arguments, complaint):
    if "--threads" in arguments and not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity")
    with pytest.raises(SystemExit, match=complaint):
        main(["suite", "--quick", *arguments])


def test_there_are_no_fewer_rounds_than_none(capsys):
    with pytest.raises(SystemExit):
        main(["suite", "--rounds", "-1"])
    assert "argument --rounds: -1 is not positive" in capsys.readouterr().err


def test_without_rounds_first_steps_are_compared_and_nothing_is_timed():
    row, log = scripted_row(ours={"loss": 1.001}, plan=Plan(1, rounds=0, settle=0.0, first_steps_twice=False))
    assert row["problems"] == {"cpu eager": "disagrees with torch: the loss of step 0 is 1.001, not 1"}
    assert not any(line.endswith("burst") for line in log)
    assert "median" not in row["contenders"]["torch"]


def test_who_gives_no_answer_is_ended():
    with Worker(environment(1)) as worker:
        worker.patience = 0.0
        with pytest.raises(WorkerError, match="no answer to 'finish' in 0 seconds; it was ended"):
            worker.ask("finish")


# ---------------------------------------------------------------------------------------------- who takes part


def test_a_peer_that_is_not_installed_is_named_with_the_reason(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    chosen, absent = contenders.choose(["cpu"], ["eager"], ["jax"])
    assert [contender.name for contender in chosen] == ["cpu eager"]
    assert absent == [("jax", "not installed: pip install jax")]


def test_a_device_that_does_not_work_here_is_named_with_the_reason():
    unusable = [info for info in ag.devices() if not info.available]
    _, absent = contenders.choose(None, ["eager"], [])
    assert absent == [(info.name, info.reason) for info in unusable]


def test_without_a_compiler_nothing_is_called_compiled(monkeypatch):
    monkeypatch.setattr(ag, "compile", None, raising=False)
    chosen, absent = contenders.choose(["cpu"], ["eager", "compiled"], [])
    assert [contender.name for contender in chosen] == ["cpu eager"]
    assert absent == [("cpu compiled", "this version of autograd_core has no ag.compile")]


def test_with_a_compiler_both_take_part(monkeypatch):
    monkeypatch.setattr(ag, "compile", lambda step: step, raising=False)
    chosen, _ = contenders.choose(["cpu"], ["eager", "compiled"], [])
    assert [(contender.name, contender.compiled) for contender in chosen] == [
        ("cpu eager", False),
        ("cpu compiled", True),
    ]


# ------------------------------------------------------------------------------------------ numbers and turns


class Scripted:
    """Stands for a worker: gives the answers that it was made with, and notes who was asked what."""

    def __init__(self, name: str, log: list[str], loss: float = 1.0, seconds: float = 1e-3, fails_at: str = ""):
        self.name, self.log, self.loss, self.seconds, self.fails_at = name, log, loss, seconds, fails_at

    def ask(self, do: str, **request) -> dict:
        self.log.append(f"{self.name} {do}")
        if do == self.fails_at:
            raise WorkerError("out of memory")
        return {
            "load": {"base_bytes": 1},
            "first": {"first_steps": 1.0, "values": [[self.loss]] * 3},
            "burst": {"times": [self.seconds] * 2, "wall": 1.0, "cpu": 2.0},
            "finish": {"peak_bytes": 2},
        }[do]

    def close(self) -> None:
        self.log.append(f"{self.name} close")


def scripted_row(*others: Contender, plan: Plan | None = None, **scripts: dict) -> tuple[dict, list[str]]:
    """The figures of a row between a peer, ours and others; a script is what ``Scripted`` takes, by library."""
    log: list[str] = []

    def start(contender: Contender, environment) -> Scripted:
        return Scripted(contender.name, log, **scripts.get(contender.framework, {}))

    plan = plan or Plan(1, rounds=3, settle=0.0)
    return run_row(WORKLOADS[TINY](True), [EAGER, PEER, *others], plan, start), log


def test_who_computes_something_else_is_not_timed():
    row, log = scripted_row(ours={"loss": 1.001})
    assert row["problems"] == {"cpu eager": "disagrees with torch: the loss of step 0 is 1.001, not 1"}
    assert "cpu eager burst" not in log
    assert "median" not in row["contenders"]["cpu eager"]
    assert row["contenders"]["torch"]["median"] == 1e-3


@pytest.mark.parametrize("loss", [1.00005, 1.0])
def test_rounding_is_no_disagreement(loss):
    row, _ = scripted_row(ours={"loss": loss})
    assert row["problems"] == {}


def test_a_loss_that_is_no_number_is_named_and_still_json():
    row, _ = scripted_row(ours={"loss": math.nan})
    assert "computed what is no number" in row["problems"]["cpu eager"]
    json.dumps(row, allow_nan=False)


def test_a_peer_without_a_number_is_no_reference():
    row, log = scripted_row(torch={"loss": math.nan})
    assert row["problems"] == {"torch": "computed what is no number: [[nan], [nan], [nan]]"}
    assert row["reference"] == "cpu eager"
    assert "torch burst" not in log
    assert disagreement([[1.0]], [[math.nan]]) == "the loss of step 0 is 1, not nan"
    assert disagreement([[math.nan]], [[1.0]]) == "the loss of step 0 is nan, not 1"


def test_a_gradient_of_another_norm_disagrees():
    assert disagreement([[1.0, 2.0]], [[1.0, 2.0]]) == ""
    assert disagreement([[1.0, 2.1]], [[1.0, 2.0]]) == "the norm of gradient 1 of step 0 is 2.1, not 2"


def test_a_disagreement_ends_the_run_with_an_error(monkeypatch, capsys):
    monkeypatch.setattr("autograd_core.benchmarks.rounds.TOLERANCE", -1.0)  # nothing is near enough
    torch = pytest.importorskip("torch", reason="the peer of this test is PyTorch")
    assert torch
    with pytest.raises(SystemExit, match="measurements missing .*: 1"):
        main(["suite", "--quick", "--rows", CHAIN, "--peers", "torch", "--modes", "eager", "--threads", "1"])
    assert f"{CHAIN}: cpu eager disagrees with torch: the loss of step 0" in capsys.readouterr().out


def test_bursts_take_turns_there_and_back():
    _, log = scripted_row()
    assert [line.split()[0] for line in log if line.endswith("burst")] == [
        "torch",
        "cpu",
        "cpu",
        "torch",
        "torch",
        "cpu",
    ]


def test_who_fails_is_named_and_the_others_go_on():
    row, _ = scripted_row(ours={"fails_at": "burst"})
    assert row["problems"] == {"cpu eager": "failed: out of memory"}
    assert row["contenders"]["torch"]["calls"] == 6


def test_whoever_was_started_is_ended():
    _, log = scripted_row(ours={"fails_at": "load"})
    assert {"cpu eager close", "torch close"} <= set(log)


def test_compiling_is_timed_from_empty_caches_and_from_full_ones():
    compiled = contenders.PEERS["torch-compile"]
    row, log = scripted_row(compiled)
    assert log.count("torch-compile first") == 2
    assert row["contenders"]["torch-compile"]["first_steps_cold"] == 1.0
    assert "first_steps_cold" not in row["contenders"]["torch"]
    _, log = scripted_row(compiled, plan=Plan.quick(1))
    assert log.count("torch-compile first") == 1


def test_contenders_may_get_ready_at_once_and_are_told_in_the_same_order():
    row, _ = scripted_row(plan=Plan(1, rounds=2, settle=0.0, first_steps_twice=False, together=True))
    assert list(row["contenders"]) == ["cpu eager", "torch"]
    assert row["reference"] == "torch"
    assert row["contenders"]["torch"]["calls"] == 4


ON_GPU = [
    Contender("cuda compiled", "ours", "autograd_core", "cuda", True),
    *(peer._replace(name=f"{name} cuda", device="cuda") for name, peer in contenders.PEERS.items()),
]


def test_devices_are_for_everyone(monkeypatch):
    usable = [info._replace(available=True, reason="") for info in ag.devices()]
    monkeypatch.setattr(ag, "devices", lambda: usable)
    chosen, _ = contenders.choose(["numpy", "cpu", "cuda"], ["compiled"], ["torch"] if _has("torch") else [])
    names = [contender.name for contender in chosen]
    assert names[:3] == ["numpy compiled", "cpu compiled", "cuda compiled"]
    assert names[3:] == (["torch", "torch cuda"] if _has("torch") else [])


def _has(name):
    return contenders.find_spec(name) is not None


def test_ratios_are_to_peers_on_the_same_device_and_times_to_our_cpu():
    seconds = {"cpu compiled": 8.0, "torch": 4.0, "cuda compiled": 0.01, "torch cuda": 0.04, "jax cuda": 0.02}
    ours = Contender("cpu compiled", "ours", "autograd_core", compiled=True)
    taking_part = [ours, PEER, *ON_GPU]

    def start(contender: Contender, environment) -> Scripted:
        return Scripted(contender.name, [], seconds=seconds.get(contender.name, 1.0))

    row = run_row(WORKLOADS["lstm_charlm_h512_t64_b128"](True), taking_part, Plan.quick(1, math="tf32"), start)
    verdicts.judge(row, taking_part, LIMITS)
    assert row["best_peers"] == {"cpu": "torch", "cuda": "jax cuda"}
    found = row["contenders"]
    assert found["cpu compiled"]["ratio"] == pytest.approx(2)
    assert found["cuda compiled"]["ratio"] == pytest.approx(0.5)
    assert found["cuda compiled"]["times_faster"] == pytest.approx(800)
    assert found["torch cuda"]["times_faster"] == pytest.approx(200)
    assert row["math"] == "tf32"
    assert "breaks its graph at the recurrent layer by design" in found["torch-compile cuda"]["remark"]
    assert found["jax cuda"]["remark"] == "LSTM by jax.experimental.rnn.lstm (cuDNN)"
    assert "remark" not in found["torch"]


def test_what_fills_a_gpu_is_left_to_gpus(capsys):
    row = run_row(WORKLOADS["mlp_1024_4096x3_1000_b1024"](True), [PEER, *ON_GPU], Plan.quick(1), _scripted)
    assert row["contenders"]["torch"] == {"abstains": "of a size for GPUs, seconds a step here"}
    main(["--list"])
    assert "for GPUs" in capsys.readouterr().out


def _scripted(contender: Contender, environment) -> Scripted:
    return Scripted(contender.name, [])


def test_shorter_products_are_compared_less_strictly():
    for math_mode, is_near in (("fp32", False), ("tf32", True), ("bf16", True)):
        plan = Plan.quick(1, math=math_mode)
        row = run_row(WORKLOADS[TINY](True), [EAGER, PEER], plan, _off_by_a_thousandth)
        assert (row["problems"] == {}) is is_near


def _off_by_a_thousandth(contender: Contender, environment) -> Scripted:
    return Scripted(contender.name, [], loss=1.001 if contender is EAGER else 1.0)


def test_another_graph_every_step_is_left_to_those_who_run_eagerly():
    tree = WORKLOADS["recursive_tree_64leaves_d64"](True)
    log: list[str] = []
    row = run_row(tree, [EAGER, *contenders.PEERS.values()], Plan.quick(1), lambda c, _: Scripted(c.name, log))
    abstaining = [name for name, of in row["contenders"].items() if "abstains" in of]
    assert abstaining == ["torch-compile", "jax"]


# ------------------------------------------------------------------------------------------------ what follows


def test_ratios_shares_and_their_mean():
    slow, _ = scripted_row(ours={"seconds": 4e-3})
    fast, _ = scripted_row(ours={"seconds": 1e-3}, torch={"seconds": 2e-3})
    limits = {"cpu": {"gemm_flops_per_second": slow["flops"] / 1e-3, "copied_bytes_per_second": 1e15}}
    for row in (slow, fast):
        verdicts.judge(row, [EAGER, PEER], limits)
    ours = slow["contenders"]["cpu eager"]
    assert slow["best_peers"] == {"cpu": "torch"}
    assert ours["ratio"] == pytest.approx(4)
    assert ours["share"] == pytest.approx(0.25), "the products alone would take a millisecond"
    assert fast["contenders"]["cpu eager"]["ratio"] == pytest.approx(0.5)
    (mean, count) = verdicts.geometric_means({"slow": slow, "fast": fast})["cpu eager"]
    assert (mean, count) == (pytest.approx(math.sqrt(2)), 2)


def test_the_fastest_peer_is_what_a_row_is_measured_against():
    jax = contenders.PEERS["jax"]
    log: list[str] = []

    def start(contender: Contender, environment) -> Scripted:
        return Scripted(contender.name, log, seconds=1e-6 if contender is jax else 1e-3)

    row = run_row(WORKLOADS[CHAIN](True), [EAGER, PEER, jax], Plan.quick(1), start)
    verdicts.judge(row, [EAGER, PEER, jax], LIMITS)
    assert row["best_peers"] == {"cpu": "jax"}
    assert row["contenders"]["jax"]["median"] == pytest.approx(1e-6)
    assert row["contenders"]["cpu eager"]["ratio"] == pytest.approx(1e3)


def test_a_row_without_products_is_measured_against_the_copy():
    row = {"flops": 0, "least_bytes": 3_000}
    limits = {"gemm_flops_per_second": 1e9, "copied_bytes_per_second": 1e6}
    assert verdicts.least_seconds(row, limits) == pytest.approx(3e-3)


def test_tables_name_what_was_not_measured():
    row, _ = scripted_row(ours={"loss": 2.0})
    verdicts.judge(row, [EAGER, PEER], LIMITS)
    machine = {"processor": "p", "cores": 2, "date": "d", "load": 0.0, "python": "3"}
    plan = Plan(1)._asdict()
    figures = {
        "machine": machine,
        "versions": {},
        "plan": plan,
        "absent": {"jax": "not installed"},
        "limits": LIMITS,
        "rows": {TINY: row},
    }
    text = tables.tables(figures)
    assert "jax: not available (not installed)" in text
    assert f"{TINY}: cpu eager disagrees with torch: the loss of step 0 is 2, not 1" in text


# ------------------------------------------------------------------------------------------------ processes


def test_a_worker_that_cannot_load_says_why_and_lives_on():
    with Worker(environment(1)) as worker:
        with pytest.raises(WorkerError, match="ModuleNotFoundError: .*nothing"):
            worker.ask(
                "load", row=TINY, framework="nothing", device="cpu", compiled=False, threads=1, quick=True, math="fp32"
            )
        assert worker.ask("finish")["peak_bytes"] > 0


def test_a_worker_that_ended_is_an_error_not_a_wait():
    with Worker(environment(1)) as worker:
        worker._process.kill()
        with pytest.raises(WorkerError, match="its process was ended by SIGKILL"):
            worker.ask("finish")


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_everyone_runs_on_the_same_cores_and_the_old_ones_come_back():
    before = os.sched_getaffinity(0)
    with on_cores(1):
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before
    with pytest.raises(ValueError, match="10000 threads were asked for, and there are"), on_cores(10_000):
        pass
