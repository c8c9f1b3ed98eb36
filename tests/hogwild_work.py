"""What workers of Hogwild! do in the tests: functions that a new process can import."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

import autograd_core as ag


def count_up(worker: Any, times: int) -> tuple[int, bool, list[int]]:
    """Every worker adds 1 to each element of its share, so many times."""
    share = np.asarray(worker.share(len(worker.parameters["counts"])))
    worker.start_together()
    for _ in range(times):
        worker.descend("counts", share, -np.ones(len(share)), lr=1.0)
    return worker.index, worker.data["numbers"].flags.writeable, worker.data["numbers"].tolist()


def descend_linearly(worker: Any, epochs: int) -> float:
    """Least squares with a few columns an example; the weight is a matrix of one row a column."""
    data = worker.data
    with ag.default_device("numpy"):  # whose operations are there at once
        for _ in range(epochs):
            for i in worker.share(len(data["columns"])):
                w = worker.rows("weight", data["columns"][i])
                loss = ((w.mT @ ag.asarray(data["values"][i]) - ag.asarray(data["targets"][i])) ** 2).sum()
                loss.backward()
                worker.descend("weight", data["columns"][i], w.grad, lr=0.1)
    return loss.item()


def fail(worker: Any, how: str) -> Any:
    """The last worker fails, while the others work on."""
    if worker.index < worker.count - 1:
        worker.start_together()
    if how == "raise":
        raise ZeroDivisionError("the step is no number")
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return (i for i in range(3))  # nothing that can be sent


def wait_in_vain(worker: Any) -> None:
    """The first worker meets the others twice, they meet it once."""
    worker.start_together()
    if worker.index == 0:
        worker.start_together()


def stay(worker: Any, folder: str) -> None:
    """Say that it runs, and never end."""
    Path(folder, f"{worker.index} {os.getpid()}").touch()
    time.sleep(600)
