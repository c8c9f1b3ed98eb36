"""All that can be known of a GPU and of this project on it, in one report: ``make gpu-check``.

First what is right or wrong, several processes at once: the op table, nn and optim on the device; the losses of every
row beside the CPU's, with what captured steps wait for and allocate; the first steps of every row beside PyTorch's and
JAX's. Then what takes how long, one after the other: probes, kernels that memory bounds, an LSTM against the CPU, the
suite. Every part has a process and a time limit of its own, and the report is written whenever one ends: what fails, or
is stopped, is named there and leaves what it has. Not yet run on hardware.

Without a usable CUDA device it says what is missing and ends with status 2; nothing is written then.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from typing import Any

from . import recorded_tests
from .contenders import PEERS
from .gpu_summary import summary
from .measure import machine, write_json
from .parts import Part, left_json, run_stage
from .usable import DEVICE, facts, need_device
from .workloads import WORKLOADS

MINUTES = 7.5
AGAINST_CPU = "lstm_charlm_h512_t64_b128"
# What time may not suffice for comes last.
ROWS = (
    "lstm_charlm_h512_t64_b128",
    "mlp_784_256_128_10_b128",
    "cnn_mnist_b64",
    "transformer_d128_l2_t64_b16",
    "conv_bn_relu_64x32x32_b32",
    "gru_h256_t64_b32",
    "layernorm_softmax_8192x512",
    "lstm_charlm_h256_t64_b32",
    "deep_autoencoder_784_30_b256",
    "elementwise_gelu_4M",
    "transformer_d512_l4_t128_b64",
    "mlp_1024_4096x3_1000_b1024",
    "cnn_32x32_64_128_b256",
    "lstm_charlm_h1024_t64_b128",
    "addition_rnn_h128_b128",
    "trees_by_depth_64leaves_d64_b16",
    "mlp_tiny_8_16_3_b16",
    "tiny_chain_100ops",
    "recursive_tree_64leaves_d64",
)
TESTS = {
    "operations": ["tests/test_ops.py", "--device", DEVICE],
    "nn and optim": ["tests", "-k", "test_nn or test_optim", "--device", DEVICE],
}
KINDS = ("tests", "losses", "numbers", "probes", "kernels", "lstm", "suite")
SANITIZE = "sanitize"  # only if it is asked for: it takes minutes, of a few kernels
SANITIZER, TOOLS = "compute-sanitizer", ("memcheck", "racecheck")
SANITIZED = "tiny_chain_100ops", "layernorm_softmax_8192x512", "conv_bn_relu_64x32x32_b32"
NAMED = (*KINDS, SANITIZE)
ERRORS = 99  # the status of a program that the sanitizer found errors in


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tests", metavar="FOLDER", help="a checkout whose tests are run on the device too")
    parser.add_argument("--workers", type=int, default=6, help="processes that tests are shared among (default: 6)")
    parser.add_argument("--at-once", type=int, default=6, help="parts that share the device, untimed (default: 6)")
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"for all of it (default: {MINUTES})")
    parser.add_argument("--parts", metavar="NAME,...", default=",".join(KINDS), help=f"of {', '.join(NAMED)}")
    parser.add_argument("--rows", metavar="NAME,...", default=",".join(ROWS), help="of the suite; (default: all)")
    parser.add_argument("--peers", metavar="NAME,...", default=",".join(PEERS), help="(default: all), or none")
    parser.add_argument("--math", default="tf32", help="of what is timed beside peers (default: tf32)")


def run(args: argparse.Namespace) -> None:
    """SystemExit 1 if a part failed or was stopped; the report has what there is."""
    begun = time.monotonic()
    need_device("gpu")
    wanted = args.parts.split(",")
    if unknown := [name for name in wanted if name not in NAMED]:
        raise SystemExit(f"gpu: no part is named {', '.join(unknown)}; there are {', '.join(NAMED)}")
    if unknown := [name for name in args.rows.split(",") if name not in WORKLOADS]:
        raise SystemExit(f"gpu: no row is named {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
    end = begun + 60 * args.minutes
    report: dict[str, Any] = {"machine": machine(), "gpu": facts(DEVICE), "math": args.math, "parts": {}}
    print(report["gpu"], flush=True)

    def done(name: str, result: dict[str, Any]) -> None:
        report["parts"][name] = result
        report["seconds"] = round(time.monotonic() - begun, 1)
        try:
            report["summary"] = summary(report)
        except Exception as error:  # figures that nobody foresaw are worth more than their summary
            report["summary"] = [f"no summary: {type(error).__name__}: {error}"]
        write_json(args.json, report)
        print(f"{report['seconds']:6.1f} s  {name}: {result['outcome']}, {result['seconds']} s", flush=True)

    at_once, in_turn = plan(args, wanted)
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        # what is timed, and above all the suite, has what the others leave of the time
        run_stage(at_once, max(1, args.at_once), begun + (0.4 if in_turn else 1.0) * (end - begun), done)
        run_stage(in_turn, 1, end, done)
    finally:
        signal.signal(signal.SIGTERM, before)
    print("\n" + "\n".join(report.get("summary", [])))
    if failed := [name for name, result in report["parts"].items() if result["outcome"] != "done"]:
        raise SystemExit(f"gpu: not all of it was done: {', '.join(failed)}")


def _stop(number: int, frame: Any) -> None:
    raise SystemExit(f"gpu: ended by {signal.Signals(number).name}; the report has what there is")


def plan(args: argparse.Namespace, wanted: list[str]) -> tuple[list[Part], list[Part]]:
    """Parts that run at the same time, and those that have the machine to themselves."""
    rows, limit = args.rows.split(","), 60 * args.minutes
    quick = ["--quick"] if args.quick else []
    beside = ["--peers", args.peers, "--math", args.math, "--together", "--patience", "75", *quick]
    at_once, in_turn = [], []
    if "tests" in wanted and args.tests:
        at_once += [_tests(name, Path(args.tests), chosen, args.workers, limit) for name, chosen in TESTS.items()]
    if "numbers" in wanted:
        only = ["--rows", ",".join(rows), "--devices", DEVICE, "--rounds", "0", "--at-once", "3"]
        at_once.append(_command("numbers", ["suite", *only, *beside], limit))
    if "losses" in wanted:
        names = [name for name in rows if WORKLOADS[name].on_hosts_too]
        at_once += [_command(f"losses {name}", ["losses", "--rows", name, *quick], 0.4 * limit) for name in names]
    in_turn += [_command(name, [name, *quick], 0.2 * limit) for name in ("probes", "kernels") if name in wanted]
    if "lstm" in wanted and (AGAINST_CPU in rows or args.quick):
        row = AGAINST_CPU if AGAINST_CPU in rows else rows[0]
        both = ["--rows", row, "--devices", f"cpu,{DEVICE}", "--modes", "compiled", "--rounds", "3"]
        peers = ["--peers", "none" if args.peers == "none" else "torch", *beside[2:]]
        in_turn.append(_command("lstm", ["suite", *both, *peers], 0.25 * limit))
    if "suite" in wanted:
        most = ["--rows", ",".join(rows), "--devices", DEVICE, "--rounds", "5", "--seconds", "0.1"]
        in_turn.append(_command("suite", ["suite", *most, *beside], limit))
    if SANITIZE in wanted:
        some = [name for name in rows if name in SANITIZED] or rows[:1]
        in_turn += [_sanitized(tool, ["losses", "--rows", ",".join(some), *quick], 0.5 * limit) for tool in TOOLS]
    return at_once, in_turn


def _sanitized(tool: str, arguments: list[str], seconds: float) -> Part:
    """A command under NVIDIA's compute-sanitizer, which watches every access of every kernel; figures: what it says."""
    watched = _command("", arguments, seconds).command
    told = ["--tool", tool, "--error-exitcode", str(ERRORS), "--log-file", "{folder}/errors.txt"]
    command = [SANITIZER, *told, *watched]
    if which(SANITIZER) is None:
        command = [sys.executable, "-c", f"raise SystemExit('{SANITIZER} is not on the path')"]
    return Part(f"{SANITIZE} {tool}", command, seconds, lambda there: _errors(there / "errors.txt"))


def _errors(said: Path) -> dict[str, Any]:
    """How many errors were found, None if it did not come to count them, and the first of what is said of them."""
    lines = said.read_text(errors="replace").splitlines()
    counts = [int(n) for line in lines for n in re.findall(r"(?:ERROR|RACECHECK) SUMMARY: (\d+)", line)]
    return {"errors": counts[-1] if counts else None, "first": lines[:30]}


def _command(name: str, arguments: list[str], seconds: float) -> Part:
    command = [sys.executable, "-P", "-X", "faulthandler", "-m", __package__, *arguments]
    return Part(name, [*command, "--json", "{folder}/figures.json"], seconds, left_json("figures.json"))


def _tests(name: str, folder: Path, chosen: list[str], workers: int, seconds: float) -> Part:
    shared = ["-n", str(workers)] if find_spec("xdist") is not None else []
    plugin = ["-p", recorded_tests.__name__]
    return Part(
        f"tests of {name}",
        [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider", *plugin, *shared, *chosen],
        seconds,
        lambda there: recorded_tests.counted(there / "tests.jsonl"),
        folder,
        # the checkout has folders that are called as installed packages are
        {recorded_tests.VARIABLE: "{folder}/tests.jsonl", "PYTHONSAFEPATH": "1"},
    )
