"""Workers get slow files first, then those with most tests; every test once; a file whole."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("xdist")  # without it there is one process, and nothing to hand out
from by_file import SLOW, TOGETHER, ByFile

TESTS = Path(__file__).parent


class Worker:
    """What stands for a worker: it notes the places of the tests that it is to run."""

    shutting_down = False

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.places: list[int] = []

    def send_runtest_some(self, places: list[int]) -> None:
        self.places += places

    def shutdown(self) -> None:
        self.shutting_down = True


def handed_out(files: dict[str, int], workers: int = 1) -> list[list[str]]:
    """The tests that each worker gets, in order, if all take as long as each other."""
    tests = [f"tests/{name}.py::test_it[{i}]" for name, count in files.items() for i in range(count)]
    config = SimpleNamespace(getvalue=lambda name: ["popen"] * workers, option=SimpleNamespace(loadscopereorder=True))
    scheduling = ByFile(config)
    team = [Worker(f"gw{i}") for i in range(workers)]
    for worker in team:
        scheduling.add_node(worker)
        scheduling.add_node_collection(worker, tests)
    scheduling.schedule()
    for step in range(len(tests)):
        for worker in team:
            if step < len(worker.places):
                scheduling.mark_test_complete(worker, worker.places[step])
    assert all(worker.shutting_down for worker in team)
    return [[tests[place] for place in worker.places] for worker in team]


def files_of(tests: list[str]) -> list[str]:
    return list(dict.fromkeys(Path(test.partition("::")[0]).stem for test in tests))


def test_slow_files_come_first_then_those_with_most_tests() -> None:
    (order,) = handed_out({"test_few": 3, "test_many": 9, SLOW[1]: 1, "test_others": 5, SLOW[0]: 4})
    assert files_of(order) == [SLOW[0], SLOW[1], "test_many", "test_others", "test_few"]


def test_every_test_runs_once_and_a_file_in_one_worker() -> None:
    files = {"test_few": 3, "test_many": 9, SLOW[0]: 1, "test_others": 5, "test_ops": 4, "test_ops_page": 2}
    first, second = handed_out(files, workers=2)
    assert first
    assert second
    assert len(first + second) == len(set(first + second)) == sum(files.values())
    for name in files:
        (holder,) = [tests for tests in (first, second) if name in files_of(tests)]
        assert TOGETHER.get(name, name) in files_of(holder)


def test_files_that_are_named_exist() -> None:
    named = {*SLOW, *TOGETHER, *TOGETHER.values()}
    assert named <= {path.stem for path in TESTS.glob("test_*.py")}
