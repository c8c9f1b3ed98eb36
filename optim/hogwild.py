"""Hogwild!: several processes descend on the same parameters at once, without locks.

Where each gradient touches few of the parameters, workers seldom meet, and an update that one of them overwrites does
little harm: so nobody waits. Source: Niu et al., Hogwild!: a lock-free approach to parallelizing stochastic gradient
descent, 2011.

A function for the workers reads the rows that an example needs, works out their gradient, and descends along it:

    def work(worker, epochs):
        for _ in range(epochs):
            for i in worker.share(len(worker.data["labels"])):
                columns = worker.data["columns"][i]
                w = worker.rows("weight", columns)
                loss_of(w, worker.data["values"][i], worker.data["labels"][i]).backward()
                worker.descend("weight", columns, w.grad, lr=0.1)

    if __name__ == "__main__":
        hogwild.train(work, {"weight": weight}, (5,), data={"columns": columns, ...}, workers=2)

``examples/hogwild.py`` is a whole program.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import connection
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core.errors import ArgumentError, AutogradError, DTypeError, IndexingError, ShapeError
from autograd_core.tensor import Tensor, Variable

from .shared_arrays import Block, SharedArrays

# Each worker computes on one thread: the workers are what shares the cores.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PATIENCE = 5.0  # seconds that a process has to end when it is told to
LOOK = 0.5  # seconds between looks at who waits for whom


class WorkerError(AutogradError, RuntimeError):
    """A worker process failed; the message holds what it said last."""


class Worker:
    """What a worker process is given: which one it is, the parameters that all change, and data that nobody does.

    index, count: this worker's number, from 0, and how many there are. parameters, data: NumPy arrays in shared memory
    by name; those of ``data`` are read-only.

    >>> worker = Worker(0, 2, {"weight": np.zeros(4, np.float32)}, {})
    >>> w = worker.rows("weight", [1, 3])
    >>> (w * ag.tensor([1.0, 2.0])).sum().backward()
    >>> worker.descend("weight", [1, 3], w.grad, lr=0.5)
    >>> worker.parameters["weight"]
    array([ 0. , -0.5,  0. , -1. ], dtype=float32)
    >>> list(worker.share(5))
    [0, 2, 4]
    """

    def __init__(
        self,
        index: int,
        count: int,
        parameters: Mapping[str, np.ndarray],
        data: Mapping[str, np.ndarray],
        barrier: Any = None,
    ):
        self.index, self.count = index, count
        self.parameters, self.data = parameters, data
        self._barrier = barrier

    def rows(self, name: str, rows: Any) -> Tensor:
        """``parameters[name][rows]`` as it is now, as a tensor that wants a gradient; rows: integers, in any shape.

        Raises ArgumentError for a name that is none, DTypeError and IndexingError for rows that are none.
        """
        target, places = self._found("rows", name, rows)
        try:
            return ag.tensor(target[places], requires_grad=True)
        except IndexError as error:
            raise IndexingError(f"worker.rows: {name!r} has {len(target)} rows: {error}") from None

    def descend(self, name: str, rows: Any, gradient: Any, lr: float) -> None:
        """``parameters[name][rows] -= lr * gradient``, without a lock; rows that occur twice are changed twice.

        Another worker's update of the same element between the reading and the writing is lost. Raises as ``rows``
        does, ShapeError for a gradient of another shape than the rows, ArgumentError for a rate that is not finite.
        """
        target, places = self._found("descend", name, rows)
        step = np.asarray(gradient.numpy() if isinstance(gradient, Tensor) else gradient, target.dtype)
        if step.shape != (*places.shape, *target.shape[1:]):
            raise ShapeError(
                f"worker.descend: the gradient of rows {places.shape} of {name!r}, which is {target.shape}, must be "
                f"{(*places.shape, *target.shape[1:])}, got {step.shape}"
            )
        if not math.isfinite(lr):
            raise ArgumentError(f"worker.descend: lr must be finite, got {lr!r}")
        places = places.reshape(-1)
        try:
            # in one axis, for which NumPy has a fast loop
            np.subtract.at(target, places, step.reshape(len(places), *target.shape[1:]) * target.dtype.type(lr))
        except IndexError as error:
            raise IndexingError(f"worker.descend: {name!r} has {len(target)} rows: {error}") from None

    def _found(self, method: str, name: str, rows: Any) -> tuple[np.ndarray, np.ndarray]:
        """A parameter, and rows as an array of integers."""
        if name not in self.parameters:
            raise ArgumentError(
                f"worker.{method}: no parameter is called {name!r}; there are {sorted(self.parameters)}"
            )
        places = np.asarray(rows)
        if places.dtype.kind not in "iu" and places.size:
            raise DTypeError(f"worker.{method}: rows must be integers, got {places.dtype}")
        return self.parameters[name], places.astype(np.intp, copy=False)

    def share(self, count: int) -> range:
        """The items of ``count`` that are this worker's: every one belongs to one worker."""
        return range(self.index, count, self.count)

    def start_together(self) -> None:
        """Wait until all workers are here: imports and compilation are over then, so that times can be taken.

        All workers call it equally often; where one has ended and another waits, ``train`` ends with a WorkerError.
        """
        if self._barrier is not None:
            self._barrier.wait()


def train(
    work: Callable[..., Any],
    parameters: Mapping[str, Any],
    arguments: Sequence[Any] = (),
    *,
    data: Mapping[str, Any] | None = None,
    workers: int = 2,
) -> list[Any]:
    """Run ``work(worker, *arguments)`` in that many new processes; returns what each returned, in order.

    work: a function at the top level of a module, which the processes import (so a script needs
        ``if __name__ == "__main__":``). It gets a ``Worker``.
    parameters: variables (``nn.Parameter``) and writable NumPy arrays by name, ``dict(model.named_parameters())`` say.
        Workers change copies in shared memory; when all are done, these get the result.
    data: arrays by name that workers read. arguments and results are sent to and from the processes: keep them small.

    If a worker fails the others are ended, the parameters stay as they were, and WorkerError says what happened.
    Whatever happens, no process and no shared memory is left. Raises ArgumentError for a function that a process
    cannot import, for parameters that cannot be written to, and for less than one worker.
    """
    _check(work, parameters, workers)
    given = {name: p.numpy() if isinstance(p, Variable) else p for name, p in parameters.items()}
    context = multiprocessing.get_context("spawn")
    with SharedArrays(given) as shared, SharedArrays({k: np.asarray(x) for k, x in (data or {}).items()}) as fixed:
        barrier = context.Barrier(workers)
        team: list[tuple[Any, Any]] = []
        try:
            for index in range(workers):
                receiver, sender = context.Pipe(duplex=False)
                call = (work, tuple(arguments), index, workers, shared.block, fixed.block, barrier, sender)
                team.append((context.Process(target=_run, args=call, name=f"hogwild-{index}", daemon=True), receiver))
                _start(team[-1][0])
                sender.close()
            results = _results(team, barrier)
        except BaseException:
            _end(team, patience=0.0)
            raise
        _end(team, PATIENCE)
        for name, target in parameters.items():
            if isinstance(target, Variable):
                target.assign_(ag.asarray(shared[name], device=target.device, copy=True))
            else:
                target[...] = shared[name]
    return results


def _check(work: Any, parameters: Any, workers: Any) -> None:
    name = getattr(work, "__qualname__", "")
    if getattr(sys.modules.get(getattr(work, "__module__", "")), name, None) is not work:
        raise ArgumentError(
            f"hogwild.train: a new process must be able to import work, and cannot import {name or repr(work)}; write "
            "a function at the top level of a module, and give what it needs as arguments"
        )
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ArgumentError(f"hogwild.train: workers must be an int of at least 1, got {workers!r}")
    if not isinstance(parameters, Mapping) or not parameters:
        raise ArgumentError(
            f"hogwild.train: parameters must be a dict of at least one, got {parameters!r:.80}; write "
            "dict(model.named_parameters())"
        )
    names: dict[int, Any] = {}
    for key, p in parameters.items():
        if (same := names.setdefault(id(p), key)) != key:
            raise ArgumentError(f"hogwild.train: parameters {same!r} and {key!r} are one and the same; leave one out")
        if not isinstance(p, (np.ndarray, Variable)) or (isinstance(p, np.ndarray) and not p.flags.writeable):
            raise ArgumentError(
                f"hogwild.train: parameter {key!r} gets the result, and a {type(p).__name__} cannot; give an "
                "nn.Parameter or a writable NumPy array"
            )


def _start(process: Any) -> None:
    """Start a process that computes on one thread: it reads how many when it imports NumPy."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        process.start()
    except OSError:
        raise
    except Exception as error:
        raise ArgumentError(
            f"hogwild.train: the arguments cannot be sent to a process ({error}); give numbers, text and arrays"
        ) from error
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _run(
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
    index: int,
    count: int,
    shared: Block,
    fixed: Block,
    barrier: Any,
    sender: Any,
) -> None:
    """A worker process, from its first to its last moment."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the parent, which ends its workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with SharedArrays.attached(shared) as parameters, SharedArrays.attached(fixed) as data:
        for array in data.arrays.values():
            array.flags.writeable = False
        try:
            sender.send((True, work(Worker(index, count, parameters.arrays, data.arrays, barrier), *arguments)))
        except BaseException:
            sender.send((False, traceback.format_exc()))
    sender.close()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _results(team: list[tuple[Any, Any]], barrier: Any) -> list[Any]:
    """What each worker returned. Raises WorkerError at the first that failed, and where one waits for ever."""
    results: dict[int, Any] = {}
    while len(results) < len(team):
        waiting = {receiver: i for i, (_, receiver) in enumerate(team) if i not in results}
        found = connection.wait(list(waiting), LOOK)
        if not found and results and barrier.n_waiting:
            raise WorkerError(
                f"hogwild.train: a worker waits in start_together() for all, but worker {min(results)} is done and "
                "will not come; call it equally often in every worker. The parameters were not changed"
            )
        for ready in found:
            index = waiting[ready]
            process, receiver = team[index]
            try:
                done, answer = receiver.recv()
            except EOFError:
                process.join(PATIENCE)
                raise WorkerError(
                    f"hogwild.train: worker {index} ended with exit code {process.exitcode} and no result. Was it "
                    "killed, or is the call of hogwild.train in a script outside of 'if __name__ == \"__main__\":'?"
                ) from None
            if not done:
                raise WorkerError(f"hogwild.train: worker {index} failed; the parameters were not changed:\n{answer}")
            results[index] = answer
    return [results[i] for i in range(len(team))]


def _end(team: list[tuple[Any, Any]], patience: float) -> None:
    """Leave no process: those that are done are waited for, the others ended."""
    for process, receiver in team:
        receiver.close()
        if process.pid is not None:
            process.join(patience)
            process.terminate()
    for process, _ in team:
        if process.pid is not None:
            process.join(PATIENCE)
            if process.exitcode is None:
                process.kill()
                process.join()
        process.close()
