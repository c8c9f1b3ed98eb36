"""What a compiled function says of itself: its report, its code, its picture, its log. To look changes nothing."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.compiler.report import Build, KernelReport, Peak, Report
from autograd_core.errors import ArgumentError, CompileError

F = nn.functional
LOG = "autograd_core.compile"
HERE = "test_compile_report.py"


@pytest.fixture
def native() -> Iterator[None]:
    pytest.importorskip("llvmlite")
    with ag.default_device("cpu"):
        yield


def make_step():
    """A step in which everything happens: random numbers, running statistics, updates in place, a host call."""
    with ag.random.fork(0):
        model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3))
    optimizer = optim.Adam(model.parameters(), lr=0.05)

    @ag.compile
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y) + ag.linalg.svdvals(model[4].weight)[0]
        loss.backward()
        optimizer.step()
        return loss

    return step, model


def data(i: int):
    x = np.random.default_rng(i).standard_normal((7, 5)).astype(np.float32)
    return ag.tensor(x), ag.tensor(np.arange(7) % 3)


# ------------------------------------------------------------------------------------ the report


def example() -> Report:
    rows = [
        KernelReport("product", 4e-6, 8_000, 400_000, operations=("linear",), lines=("at /home/train.py:12 in f",)),
        KernelReport("wide", 2e-6, 40_000, 100, dtype="float64", operations=("a", "b", "c", "d", "e", "f")),
        KernelReport("host: argsort", 2e-6, 64, 0, operations=("argsort",), native=False),
    ]
    peak = Peak(2, {"float32": 200e9, "float64": 100e9}, 40e9)
    return Report("step", rows, 10e-6, arena=4096, threads=2, peak=peak, build=Build(0.25, 2, 1))


def test_a_report_knows_totals_and_shares() -> None:
    report = example()
    assert (report.flops, report.bytes, len(report)) == (400_100, 48_064, 3)
    assert report.outside == pytest.approx(0.2)
    shares = [report.share_of_peak(row) for row in report]
    assert shares[0] == pytest.approx(0.5)  # 2 us of arithmetic in 4 us
    assert shares[1] == pytest.approx(0.5)  # 1 us of memory in 2 us
    assert shares[2] is None


def test_a_report_prints_as_a_table() -> None:
    lines = str(example()).splitlines()
    assert lines[:3] == [
        "step: 2 kernels and 1 host call in 10.00 us, 20% of it outside them; 2 threads, fp32",
        "compiled in 0.25 s, 1 of 2 different kernels from the cache; arena of 4.0 KiB",
        "the peak of 2 threads: 200 GFLOP/s in float32, 100 GFLOP/s in float64; 40 GB/s",
    ]
    assert lines[4].split() == ["time", "%", "flops", "bytes", "GFLOP/s", "GB/s", "peak", "kernel", "computes"]
    assert " ".join(lines[5].split()) == "4.00 us 50% 400.0 k 7.8 KiB 100.0 2.0 50% product linear (train.py:12)"
    assert lines[6].endswith("a, b, c, d and 2 more")
    assert lines[7].split()[:9] == ["2.00", "us", "25%", "-", "64", "B", "-", "0.0", "-"]
    assert " ".join(lines[8].split()) == "8.00 us 100% 400.1 k 46.9 KiB 50.0 6.0 all of them"


def test_a_report_of_nothing() -> None:
    report = Report("f", [], 0.0)
    assert (report.outside, list(report)) == (0.0, [])
    assert str(report).startswith("f: nothing to run in 0.00 us, 0% of it outside them; 1 thread, fp32")


def test_what_is_seen_of_a_step_changes_nothing(device) -> None:
    """Parameters, buffers, gradients, losses and random numbers are those of a run that nobody looked at."""
    results = []
    for looked_at in (False, True):
        step, model = make_step()
        losses = []
        with ag.random.fork(3):
            for i in range(7):
                losses.append(step(*data(i)).item())
                if looked_at and i >= 3:
                    held = [p.data for p in model.parameters()]
                    before = [a.copy() for a in held]
                    step.report()
                    step.source()
                    ag.draw(step)
                    assert all(p.data is a for p, a in zip(model.parameters(), held, strict=True))
                    for a, b in zip(held, before, strict=True):
                        np.testing.assert_array_equal(a, b)
            after = ag.random.uniform((3,)).tolist()
        state = {name: value.numpy() for name, value in model.state_dict().items()}
        results.append((losses, after, state, [p.grad.numpy() for p in model.parameters()]))
    (losses, after, state, gradients), seen = results
    assert (losses, after) == seen[:2]
    for name, value in state.items():
        np.testing.assert_array_equal(seen[2][name], value, err_msg=name)
    for mine, theirs in zip(gradients, seen[3], strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_report_has_a_row_for_all_that_runs(native) -> None:
    step, _ = make_step()
    for i in range(5):
        step(*data(i))
    report = step.report()
    assert len(report) == len(step.latest.runner.parts())
    hosts = [row for row in report if not row.native]
    assert [row.name for row in hosts] == [f"host: {name}" for name in step.latest.runner.host_calls]
    (svd,) = [row for row in hosts if row.operations == ("svd",)]
    assert svd.seconds > 0  # it is measured
    assert svd.bytes == 4 * (3 * 8 + 3 * 3 + 3 + 3 * 8)  # the matrix, and its three factors
    products = [row for row in report if row.operations == ("linear",)]
    assert [row.flops for row in products] == [2 * 7 * 5 * 8, 2 * 7 * 8 * 3]
    assert all(re.search(rf"{HERE}:\d+ in step$", line) for row in report for line in row.lines)
    assert {"adam_update", "linear", "softmax_cross_entropy"} <= {name for row in report for name in row.operations}
    assert report.arena > 0
    assert report.build.kernels >= report.build.cached >= 0
    assert report.peak.threads == report.threads >= 1
    assert str(report).startswith("step: ")
    assert f" kernels and {len(hosts)} host call" in str(report)


def test_without_a_compiler_each_equation_is_a_host_call() -> None:
    with ag.default_device("numpy"):
        f = ag.compile(lambda x: (x * 2.0).sum())
        for _ in range(3):
            f(ag.ones(3))
        report = f.report()
    assert [(row.name, row.bytes, row.native) for row in report] == [
        ("host: multiply", 4 * (3 + 1 + 3), False),
        ("host: sum", 4 * (3 + 1), False),
    ]
    assert all(HERE in line for row in report for line in row.lines)
    assert str(report).startswith("<lambda>: 2 host calls in ")


def test_lines_are_those_of_forward_and_backward(native) -> None:
    def f(x):
        y = x.exp()  # line 1
        (y * x).sum().backward()  # line 2

    step = ag.compile(f)
    for _ in range(4):
        step(ag.ones(3).requires_grad_())
    first = f.__code__.co_firstlineno
    lines = {line for row in step.report() for line in row.lines}
    assert {f"at {__file__}:{first + i} in f" for i in (1, 2)} == lines


def test_what_transforms_make_of_a_function_is_reported_too(native) -> None:
    f = ag.compile(lambda x: (x.exp() * x).sum())
    for _ in range(3):
        ag.grad(f)(ag.ones(5))
    report = f.report()
    assert [other.name for other in report.others] == ["pullback of <lambda>"]
    assert "\n\npullback of <lambda>: 1 kernel in " in str(report)


def test_a_function_that_ran_only_under_vmap(device) -> None:
    f = ag.compile(lambda x: (x * 2.0).sum())
    for _ in range(3):
        ag.vmap(f)(ag.ones((4, 3)))
    report = f.report()
    assert report.name == "batch of <lambda>"
    assert not report.others


def test_a_report_after_everything_has_been_replaced(native) -> None:
    """The program keeps no parameter alive; those that are there now are as good."""
    w = nn.Parameter(ag.ones(4))
    f = ag.compile(lambda x: (w * x).sum())
    for _ in range(4):
        f(ag.ones(4))
    w.assign_(ag.zeros(4))
    assert len(f.report()) == 1
    assert w.tolist() == [0, 0, 0, 0]


def test_gradients_that_are_gathered_are_left_alone(device) -> None:
    w = nn.Parameter(ag.ones(3))
    optimizer = optim.SGD([w], lr=0.5)

    @ag.compile
    def step(x):
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        return loss

    for i in range(1, 6):
        step(ag.ones(3))
        if i > 3:
            step.report()
        assert w.grad.tolist() == [i] * 3
        assert w.tolist() == [1 - 0.5 * i * (i + 1) / 2] * 3


def test_what_was_used_last_is_reported(device) -> None:
    f = ag.compile(lambda x: x * 2.0)
    for size in (3, 4):
        for _ in range(3):
            f(ag.ones(size))
    assert "float32[4]" in str(f.graph())
    f(ag.ones(3))
    assert "float32[3]" in str(f.graph())


# ------------------------------------------------------------------------------------ the peak


def test_the_peak_is_measured_once(native) -> None:
    from autograd_core.backends.cpu.native.peak import peak

    found = peak(1)
    assert found.threads == 1
    assert set(found.flops) == {"float32", "float64"}
    assert min(*found.flops.values(), found.bytes) > 0
    assert peak(1) is found


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_the_peak_is_measured_with_computes(native, dtype) -> None:
    from autograd_core.backends.cpu.native import engine, peak
    from autograd_core.backends.cpu.native.machine import host

    results = np.zeros(2 * 64, np.uint8)
    assert engine.call(peak.multiply_adds(dtype), [np.array([0.5, 1.0], dtype), results], threads=2) == 0
    lanes = host().lanes(dtype)
    for thread in results.view(dtype).reshape(2, -1):  # x / 2 + 1 again and again is 2, in each chain
        np.testing.assert_array_equal(thread[:lanes], 2 * peak.CHAINS + 1)


def test_the_copy_copies(native) -> None:
    from autograd_core.backends.cpu.native import engine, peak

    source = np.random.default_rng(0).integers(0, 255, 10_001).astype(np.uint8)
    target = np.zeros_like(source)
    engine.call(peak.copy(source.size), [source, target], threads=2)
    np.testing.assert_array_equal(target, source)


# ------------------------------------------------------------------------------------ the code


def test_source_shows_every_kernel_in_order(native) -> None:
    step, _ = make_step()
    for i in range(4):
        step(*data(i))
    text, parts = step.source(), step.latest.runner.parts()
    heads = re.findall(r"^; (\d+) of (\d+): (\w+)", text, re.MULTILINE)
    assert heads == [(str(i), str(len(parts)), part.name) for i, part in enumerate(parts, 1)]
    assert "svd, by the device's own kernel" in text
    assert ";   reads float32[7, 5], float32[8, 5]\n;   writes float32[7, 8]\n;   computes linear\n" in text
    names = {part.name for part in parts} - set(step.latest.runner.host_calls)
    assert {name for name in names if f'define void @"{name}"(' in text} == names


def test_source_of_one_kernel_and_as_assembly(native) -> None:
    f = ag.compile(lambda x, y: (x @ y).exp().sum())
    for _ in range(3):
        f(ag.ones((3, 4)), ag.ones((4, 5)))
    (product,) = [part.name for part in f.latest.runner.parts() if "product" in part.name]
    text = f.source(product)
    assert len(re.findall("^define void ", text, re.MULTILINE)) == 1
    assert "llvm.fmuladd" in text
    assembly = f.source(product, assembly=True)
    assert f"{product}:" in assembly
    assert "define" not in assembly
    with pytest.raises(ArgumentError, match=f"no kernel is called 'softmax'; there are .*{product}"):
        f.source("softmax")


def test_equal_kernels_are_shown_once(native) -> None:
    f = ag.compile(lambda x, y: ((x @ y) @ y) @ y)
    for _ in range(3):
        f(ag.ones((4, 4)), ag.ones((4, 4)))
    text = f.source()
    assert len(re.findall("^define void ", text, re.MULTILINE)) == 1
    assert len(re.findall("its code is that of 1$", text, re.MULTILINE)) == 2


# ------------------------------------------------------------------------------------ the picture


def test_a_step_is_drawn_with_its_kernels(native) -> None:
    step, _ = make_step()
    for i in range(4):
        step(*data(i))
    drawing = ag.draw(step)
    leaves = {node.label[0] for node in drawing.nodes if node.kind == "leaf"}
    assert {"argument 0", "argument 1", "random key", "0.weight", "4.bias"} <= leaves
    results = {line for node in drawing.nodes if node.kind == "result" for line in node.label}
    assert {"returned", "new value of 0.weight", "gradient of 0.weight"} <= results
    by_title = {node.label[0].partition("(")[0]: node for node in drawing.nodes}
    kernels = [f"{i}: {part.name}" for i, part in enumerate(step.latest.runner.parts(), 1)]
    assert by_title["linear"].path in kernels
    assert by_title["svd"].path.endswith(": svd")
    assert by_title["softmax_cross_entropy"].path.partition(" ")[2].startswith("loop_")
    assert {node.path for node in drawing.nodes} - {""} <= set(kernels)
    assert 'label="' + by_title["linear"].path + '"' in drawing.dot
    assert repr(drawing).startswith("<drawing of ")


def test_a_graph_alone_is_drawn_without_kernels(device, tmp_path) -> None:
    f = ag.compile(lambda x: (x * 2.0).sum())
    for _ in range(3):
        f(ag.ones(3))
    drawing = ag.draw(f.graph(), path=tmp_path / "graph.dot")
    assert [(node.label, node.kind, node.path) for node in drawing.nodes] == [
        (("input v0", "float32[3]"), "leaf", ""),
        (("constant", "float32[]"), "leaf", ""),
        (("multiply", "float32[3]"), "operation", ""),
        (("sum(axis=(0,), keepdims=False)", "float32[]"), "result", ""),
    ]
    assert [(edge.source, edge.target) for edge in drawing.edges] == [("n0", "n2"), ("n1", "n2"), ("n2", "n3")]
    assert (tmp_path / "graph.dot").read_text() == drawing.dot


def test_drawing_what_is_not_compiled_is_refused(device) -> None:
    f = ag.compile(lambda x: x * 2.0)
    with pytest.raises(CompileError, match="nothing is compiled yet"):
        ag.draw(f)
    with pytest.raises(ArgumentError, match="gradients, names and depth are for recorded graphs"):
        ag.draw(f, depth=1)


# ------------------------------------------------------------------------------------ the log


def told(caplog) -> list[str]:
    lines = [f"{r.levelname} {r.getMessage()}" for r in caplog.records if r.name == LOG]
    caplog.clear()
    return lines


def test_each_capture_is_a_line_with_its_reason(device, caplog) -> None:
    factor = 2.0

    @ag.compile
    def f(x):
        return x * factor

    with caplog.at_level(logging.INFO, LOG):
        f(ag.ones(3))
        assert told(caplog) == ["INFO f: captured for (float32[3]), 1 equation: it is called for the first time"]
        f(ag.ones(3))
        once_more, compiled = told(caplog)
        assert once_more == (
            "INFO f: captured for (float32[3]), 1 equation: once more, since what is compiled must be the same twice"
        )
        assert compiled.startswith("INFO f: ")
        f(ag.ones(3))
        assert told(caplog) == []
        f(ag.ones(4))
        assert told(caplog) == [
            "INFO f: captured for (float32[4]), 1 equation: leaf 0 of the arguments was float32[3] and is now "
            "float32[4]"
        ]
        factor = 3.0
        f(ag.ones(3))
        (line,) = told(caplog)
        assert line.startswith("INFO f: captured for (float32[3]), 1 equation: the outer variable 'factor' of f ")
        assert line.endswith(" was 2.0 and is now 3.0")


def test_compilation_is_a_line_with_kernels_host_calls_seconds_and_the_cache(
    native, caplog, monkeypatch, tmp_path
) -> None:
    monkeypatch.setenv("AUTOGRAD_CORE_CACHE_DIR", str(tmp_path))
    for cached in (0, 1):
        f = ag.compile(lambda x: ag.linalg.svdvals(x * 3.0 + 0.125))
        with caplog.at_level(logging.INFO, LOG):
            for _ in range(3):
                f(ag.ones((19, 3)))
        (line,) = [line for line in told(caplog) if "compiled" in line.partition(":")[2][:10]]
        found = re.fullmatch(
            r"INFO <lambda>: compiled (\d+) equations in \d+\.\d\d s: (\d+) kernels?, (\d+) from the cache; "
            r"no kernels of their own: svdvals",
            line,
        )
        assert found, line
        assert int(found[2]) > 0
        assert int(found[3]) == (int(found[2]) if cached else 0)


def test_without_a_compiler_the_log_says_so(caplog) -> None:
    f = ag.compile(lambda x: x * 2.0)
    with ag.default_device("numpy"), caplog.at_level(logging.INFO, LOG):
        for _ in range(3):
            f(ag.ones(3))
    assert "INFO <lambda>: 1 equation, run one by one: numpy has no compiler" in told(caplog)


def test_what_is_compiled_for_a_backward_pass_is_in_the_log(native, caplog) -> None:
    f = ag.compile(lambda x: (x.exp() * x).sum())
    with caplog.at_level(logging.INFO, LOG):
        for _ in range(4):
            ag.grad(f)(ag.ones(5))
    assert any(line.startswith("INFO pullback of <lambda>: compiled ") for line in told(caplog))


def test_what_keeps_a_function_from_being_compiled_is_in_the_log(device, caplog) -> None:
    calls = []

    @ag.compile
    def f(x):
        calls.append(len(calls))
        return x * 2.0

    with caplog.at_level(logging.INFO, LOG):
        for _ in range(3):
            f(ag.ones(3))
    assert "the outer variable 'calls'" in told(caplog)[-1]


def test_captures_without_end_become_warnings(device, caplog) -> None:
    f = ag.compile(lambda x: x * 2.0)
    with caplog.at_level(logging.WARNING, LOG):
        for size in range(1, 9):
            f(ag.ones(size))
        assert told(caplog) == []
        f(ag.ones(9))
        (line,) = told(caplog)
    assert line.startswith("WARNING <lambda>: captured for (float32[9]), 1 equation: leaf 0 of the arguments was ")
