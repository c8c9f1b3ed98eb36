"""Hogwild!: workers change shared parameters, their errors are told, and neither processes nor memory stay behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hogwild_work
import numpy as np
import pytest

import autograd_core as ag
from autograd_core.nn import Parameter
from autograd_core.optim import hogwild
from autograd_core.optim.shared_arrays import PREFIX, SharedArrays

SHARED = Path("/dev/shm")


def blocks() -> set[str]:
    """The blocks of shared memory, as far as they can be seen, of this process and of those that have ended."""
    names = {path.name for path in SHARED.glob(f"{PREFIX}*")} if SHARED.is_dir() else set()
    return {name for name in names if owner(name) == os.getpid() or not Path(f"/proc/{owner(name)}").exists()}


def owner(block: str) -> int:
    return int(block.removeprefix(PREFIX).split("_")[0])


def test_blocks_are_seen() -> None:
    if not SHARED.is_dir():
        pytest.skip("this system does not show its shared memory as files")
    before = blocks()
    with SharedArrays({"w": np.ones(3)}) as shared:
        assert blocks() - before == {shared.block.memory}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before, threads = blocks(), [os.environ.get(name) for name in hogwild.THREADS]
    yield
    assert multiprocessing.active_children() == []
    assert not blocks() - before
    assert [os.environ.get(name) for name in hogwild.THREADS] == threads


def test_workers_change_the_same_parameters_and_return_what_they_found() -> None:
    counts, other = np.zeros(5, np.float32), Parameter(np.ones((2, 2)))
    numbers = {"numbers": np.arange(3)}
    results = hogwild.train(hogwild_work.count_up, {"counts": counts, "other": other}, (50,), data=numbers)
    assert counts.tolist() == [50.0] * 5
    assert other.tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert results == [(0, False, [0, 1, 2]), (1, False, [0, 1, 2])]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda w: w.rows("bias", [0]),
            ag.ArgumentError,
            r"worker.rows: no parameter is called 'bias'; there are \['w'\]",
        ),
        (lambda w: w.rows("w", [4]), IndexError, "worker.rows: 'w' has 4 rows: index 4 is out of bounds"),
        (lambda w: w.rows("w", [0.5]), ag.DTypeError, "worker.rows: rows must be integers, got float64"),
        (lambda w: w.descend("w", [True], np.ones((1, 2)), 0.1), ag.DTypeError, "rows must be integers, got bool"),
        (lambda w: w.descend("w", [9], np.ones((1, 2)), 0.1), IndexError, "worker.descend: 'w' has 4 rows: index 9"),
        (
            lambda w: w.descend("w", [0, 1], np.ones((3, 2)), 0.1),
            ag.ShapeError,
            r"gradient of rows \(2,\) of 'w', which is \(4, 2\), must be \(2, 2\), got \(3, 2\)",
        ),
        (lambda w: w.descend("w", [0], np.ones((1, 2)), float("nan")), ag.ArgumentError, "lr must be finite, got nan"),
    ],
)
def test_rows_that_are_none_are_refused(call: Any, error: type[Exception], message: str) -> None:
    worker = hogwild.Worker(0, 1, {"w": np.zeros((4, 2), np.float32)}, {})
    with pytest.raises(error, match=message) as caught:
        call(worker)
    assert isinstance(caught.value, ag.errors.AutogradError)
    assert not worker.parameters["w"].any()


def test_sparse_problems_are_solved() -> None:
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((15, 2))
    columns = np.array([rng.choice(15, 3, replace=False) for _ in range(150)])
    values = rng.standard_normal((150, 3))
    targets = np.einsum("nk,nkd->nd", values, truth[columns])
    weight = Parameter(np.zeros((15, 2)))
    data = {"columns": columns, "values": values, "targets": targets}
    hogwild.train(hogwild_work.descend_linearly, {"weight": weight}, (6,), data=data)
    np.testing.assert_allclose(weight.numpy(), truth, atol=0.02)


@pytest.mark.parametrize(
    ("how", "workers", "message"),
    [
        (
            "raise",
            2,
            r"worker 1 failed; the parameters were not changed:\n(?s:.*)ZeroDivisionError: the step is no number",
        ),
        ("kill", 2, "worker 1 ended with exit code -9 and no result. Was it killed"),
        ("return", 1, "worker 0 failed.*\n(?s:.*)generator"),
    ],
)
def test_a_worker_that_fails_ends_the_others(how: str, workers: int, message: str) -> None:
    w = np.ones(2)
    with pytest.raises(hogwild.WorkerError, match=message):
        hogwild.train(hogwild_work.fail, {"w": w}, (how,), workers=workers)
    assert w.tolist() == [1.0, 1.0]


def test_a_worker_that_waits_for_one_that_is_done_is_told() -> None:
    w = np.ones(2)
    with pytest.raises(
        hogwild.WorkerError, match="waits in start_together.* for all, but worker 1 is done and will not"
    ):
        hogwild.train(hogwild_work.wait_in_vain, {"w": w}, workers=2)


def wait_for(condition: Any, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["interrupted", "killed"])
def test_workers_end_with_who_started_them(how: int, tmp_path: Path) -> None:
    before = blocks()
    lines = [
        "import signal, sys; sys.path.insert(0, sys.argv[1])",
        "import hogwild_work, numpy",
        "from autograd_core.optim import hogwild",
        "if __name__ == '__main__':",
        "    signal.signal(signal.SIGINT, signal.default_int_handler)",  # a shell's background jobs ignore it
        "    hogwild.train(hogwild_work.stay, {'w': numpy.zeros(3)}, (sys.argv[2],))",
    ]
    script = tmp_path / "script.py"
    script.write_text("\n".join(lines))
    folder = tmp_path / "running"
    folder.mkdir()
    command = [sys.executable, str(script), str(Path(__file__).parent), str(folder)]
    parent = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: len(list(folder.iterdir())) == 2)
        parent.send_signal(how)
        _, said = parent.communicate(timeout=60)
    finally:
        parent.kill()
    assert parent.returncode != 0
    assert ("KeyboardInterrupt" in said) == (how == signal.SIGINT)
    wait_for(lambda: not any(is_running(int(path.name.split()[1])) for path in folder.iterdir()))
    wait_for(lambda: not blocks() - before)


def nested() -> Any:
    def work(worker: Any) -> None:
        pass

    return work


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"work": lambda worker: None}, "a new process must be able to import work, and cannot import <lambda>"),
        ({"work": nested()}, r"cannot import nested.<locals>.work; write a function at the top level"),
        ({"work": "count_up"}, "cannot import 'count_up'"),
        ({"workers": 0}, "workers must be an int of at least 1, got 0"),
        ({"parameters": {}}, "parameters must be a dict of at least one"),
        ({"parameters": [np.zeros(2)]}, r"write dict\(model.named_parameters\(\)\)"),
        ({"parameters": {"w": ag.zeros(2)}}, "parameter 'w' gets the result, and a Tensor cannot"),
        (
            {"parameters": {"w": np.broadcast_to(np.zeros(1), 3)}},
            "a ndarray cannot; give an nn.Parameter or a writable",
        ),
        ({"parameters": dict.fromkeys("ab", np.zeros(2))}, "parameters 'a' and 'b' are one and the same; leave one"),
        ({"data": {"names": np.array(["a", None])}}, "'names' has dtype object; give an array of numbers"),
        ({"arguments": (lambda: 1,)}, "the arguments cannot be sent to a process"),
    ],
)
def test_what_processes_cannot_do_is_refused_before_there_are_any(change: dict[str, Any], message: str) -> None:
    call = {"work": hogwild_work.count_up, "parameters": {"counts": np.zeros(2)}, **change}
    with pytest.raises(ag.ArgumentError, match=message):
        hogwild.train(**call)


def test_shared_memory_is_freed_whatever_is_held() -> None:
    before = blocks()
    with SharedArrays({"a": np.arange(3), "b": np.zeros((0, 2), "f4"), "c": np.float16(1.5)}) as shared:
        held = shared["a"]
        assert len(blocks() - before) == (1 if SHARED.is_dir() else 0)
        assert (shared["b"].shape, shared["c"].dtype, shared["c"].item()) == ((0, 2), "float16", 1.5)
        assert held.ctypes.data % 64 == 0
    assert not blocks() - before
    shared.close()
    del shared
    assert held.tolist() == [0, 1, 2]


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared memory is no folder here")
def test_more_than_there_is_room_for_is_refused() -> None:
    with pytest.raises(ag.errors.OutOfMemoryError, match=r"MiB are asked for, /dev/shm has \d+ MiB left"):
        SharedArrays({"a": np.broadcast_to(np.zeros(1), 2**50)})
