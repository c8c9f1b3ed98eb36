"""The training loop."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import autograd_core as ag
from autograd_core.errors import ArgumentError, AutogradError, CheckpointError, StateDictError
from autograd_core.interop.checkpoint import load_checkpoint, save_checkpoint
from autograd_core.scalars import is_whole
from autograd_core.tensor import Tensor

from .compiled import CompiledStep
from .early_stopping import EarlyStopping
from .evaluation import (
    Evaluation,
    Measure,
    RunningMeans,
    check_batches,
    check_model,
    device_of,
    mean_of,
    measures,
    split_batch,
)
from .history import History
from .not_finite import where_data_is_not_finite

FORMAT = 1

Logger = Callable[[int, Mapping[str, float]], Any]


class TrainingError(AutogradError, RuntimeError):
    """A training cannot go on: its loss is not finite."""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C ended a training after its current step; the message says where it was saved."""


def fit(
    model: Any,
    train: Any,
    *,
    loss: Measure,
    optimizer: Any,
    epochs: int,
    validation: Any = None,
    metrics: Mapping[str, Measure] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = True,
    early_stopping: EarlyStopping | None = None,
    compile: bool = False,
    penalty: Callable[[], Tensor] | None = None,
    after_backward: Callable[[], Any] | None = None,
    loggers: Sequence[Logger] = (),
    progress: bool = True,
) -> History:
    """Train ``model`` until ``epochs`` epochs are done; returns their History.

    train: a DataLoader of (inputs, targets) batches; validation: another, looked at after every epoch.
    loss, metrics: functions (outputs, targets) -> mean over the batch, a 0-d tensor. The history has the columns
    "loss", one a metric, the same with "val_" in front, and "seconds".
    checkpoint: a file, replaced after every epoch: written beside it first, then renamed, so an interruption at any
    moment leaves the old one. It holds model, optimizer, loader, random generator, history and early stopping.
    resume: go on from the checkpoint if it exists; the result equals that of a training never interrupted, bit for bit.
    compile: make one compiled function of the step, and one of the validation (``ag.compile``): the model's code runs
    while it is captured and not afterwards.
    penalty: a function of nothing whose 0-d result is added to the loss before the backward pass, a sum of squared
    weights for example; the column "loss" is without it.
    after_backward: called between backward and the update, to clip gradients for example:
    ``lambda: optim.clip_grad_norm_(model.parameters(), 1.0)``.
    loggers: each is called as ``logger(epoch, row)`` with the epoch, from 1, and its row of the history, before the
    epoch's checkpoint is written: no row is lost by an interruption, and what loggers change (``ReduceLROnPlateau`` a
    learning rate) is saved. An epoch that a logger's error ended comes again when the training goes on.

    Ctrl-C lets the current step finish, writes the checkpoint and raises TrainingInterrupted; a second Ctrl-C ends at
    once. TrainingError at the end of an epoch whose mean loss is NaN or infinite: such a state is never saved, the
    checkpoint still holds the last good one. Warns, once, after the first step, of parameters that get no gradient
    or are in no optimizer (``ag.audit``).
    """
    if not is_whole(epochs) or epochs < 0:
        raise ArgumentError(f"fit: epochs must be an int of at least 0, got {epochs!r}")
    check_model("fit", model)
    _check_arguments(optimizer, validation, checkpoint, early_stopping, penalty, after_backward, loggers)
    if not hasattr(train, "position"):
        raise ArgumentError(
            f"fit: train must be a DataLoader, which knows where it stands, got {type(train).__name__}; "
            "write DataLoader(ArrayDataset(inputs, targets), batch_size=...)"
        )
    run = _Run(model, train, optimizer, early_stopping, checkpoint)
    functions = measures(loss, metrics)

    def step(inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
        optimizer.zero_grad()
        outputs = model(inputs)
        value = mean_of("fit", "loss", loss(outputs, targets))
        (value if penalty is None else value + mean_of("fit", "penalty", penalty())).backward()
        if after_backward is not None:
            after_backward()
        optimizer.step()
        with ag.no_grad():
            return {
                name: value if name == "loss" else mean_of("fit", name, f(outputs, targets))
                for name, f in functions.items()
            }

    take = CompiledStep(step, model, optimizer) if compile else step
    look = Evaluation(model, loss, metrics, compile=compile)
    if checkpoint is not None and resume and os.path.exists(checkpoint):
        run.load()
    device = device_of(model)
    with _interrupt_flag() as interrupted:
        while run.epoch < epochs and not run.stopped:
            model.train()
            bar = _Bar(f"epoch {run.epoch + 1}/{epochs}", len(train), train.position, progress)
            started = time.perf_counter()
            with bar:
                for batch in train:
                    inputs, targets = split_batch(batch, device)
                    run.means.add(take(inputs, targets), len(inputs))
                    run.audit()
                    bar.advance(run.means)
                    if interrupted.is_set():
                        run.seconds += time.perf_counter() - started
                        raise TrainingInterrupted(run.save_for_later())
            row = run.means.read()
            if not math.isfinite(row["loss"]):
                raise TrainingError(_diverged(run, row["loss"]))
            if validation is not None:
                row |= {f"val_{n}": v for n, v in look(validation).items()}
            row["seconds"] = run.seconds + time.perf_counter() - started
            run.end_epoch(row)
            bar.report(row)
            for logger in loggers:
                logger(run.epoch, row)
            if run.path is not None:
                run.save()
            if interrupted.is_set():  # Ctrl-C came during the validation
                raise TrainingInterrupted(run.save_for_later())
    if early_stopping is not None:
        early_stopping.finish(model)
    return run.history


def _check_arguments(
    optimizer: Any, validation: Any, checkpoint: Any, stopping: Any, penalty: Any, after_backward: Any, loggers: Any
) -> None:
    """ArgumentError for what would fail later, with less to say."""
    if isinstance(optimizer, type) or not all(hasattr(optimizer, name) for name in ("step", "zero_grad", "state_dict")):
        given = f"the class {optimizer.__name__}" if isinstance(optimizer, type) else f"{optimizer!r:.80}"
        raise ArgumentError(
            f"fit: optimizer must be an optimizer, such as optim.Adam(model.parameters(), lr=1e-3), got {given}"
        )
    if validation is not None:
        check_batches("fit", "validation", validation)
        if isinstance(validation, Iterator):
            raise ArgumentError(
                f"fit: validation is a {type(validation).__name__}, which gives its batches once, and it is looked at "
                "after every epoch; give a DataLoader or a list"
            )
    if checkpoint is not None and not isinstance(checkpoint, str | os.PathLike):
        raise ArgumentError(f"fit: checkpoint must be the path of a file, got {checkpoint!r:.80}")
    if stopping is not None and not isinstance(stopping, EarlyStopping):
        raise ArgumentError(f"fit: early_stopping must be an EarlyStopping(...) or None, got {stopping!r:.80}")
    if isinstance(loggers, str) or not isinstance(loggers, Sequence):
        raise ArgumentError(
            f"fit: loggers must be a list of functions (epoch, row), got {loggers!r:.80}; write [logger]"
        )
    for name, function in (
        ("penalty", penalty),
        ("after_backward", after_backward),
        *((f"loggers[{i}]", logger) for i, logger in enumerate(loggers)),
    ):
        if function is not None and not callable(function):
            raise ArgumentError(f"fit: {name} must be a function, got {function!r:.80}")


def _diverged(run: _Run, value: float) -> str:
    bad = where_data_is_not_finite(run.train)
    cause = "lower the learning rate, clip gradients (optim.clip_grad_norm_), or look for NaN in the data"
    if bad is not None:
        cause = f"{bad}; leave such items out"
    kept = f"; {os.fspath(run.path)} holds the state before this epoch" if run.path is not None and run.epoch else ""
    return f"the mean loss of epoch {run.epoch + 1} is {value}: {cause}{kept}"


class _Run:
    """Everything a checkpoint holds, and where the training stands."""

    def __init__(self, model: Any, train: Any, optimizer: Any, stopping: EarlyStopping | None, path: Any):
        self.model, self.train, self.optimizer, self.stopping, self.path = model, train, optimizer, stopping, path
        if stopping is not None:
            stopping.begin()
        self.history = History()
        self.means = RunningMeans()
        self.seconds = 0.0
        self.stopped = False
        self.audited = False

    def audit(self) -> None:
        """Warn of what the first step would leave out."""
        if not self.audited:
            self.audited = True
            # a gradient that is not finite shows in the loss, which ends the training by itself
            found = [n.text for n in ag.audit(self.model, self.optimizer).problems if n.kind != "not finite"]
            if found:
                warnings.warn("\n- ".join(["fit: the first step leaves something out:", *found]), stacklevel=3)

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)

    def end_epoch(self, row: dict[str, float]) -> None:
        self.history.append(row)
        self.means, self.seconds = RunningMeans(), 0.0
        if self.stopping is not None:
            self.stopped = self.stopping.update(row, self.model)

    def save(self) -> None:
        state = {
            "format": FORMAT,
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "loader": self.train.state_dict(),
            "random": ag.random.default_generator().state_dict(),
            "history": self.history.state(),
            "means": self.means.state(),
            "seconds": self.seconds,
            "stopped": self.stopped,
            "early_stopping": None if self.stopping is None else self.stopping.state(),
        }
        save_checkpoint(self.path, state)

    def save_for_later(self) -> str:
        where = f"epoch {self.epoch + 1}, step {self.train.position} of {len(self.train)}"
        if self.path is None:
            return f"interrupted in {where}; nothing was saved, because fit was given no checkpoint"
        if self.means.count and not math.isfinite(value := self.means.read()["loss"]):
            return f"interrupted in {where}; nothing was saved, because the mean loss is {value} by now"
        self.save()
        return f"interrupted in {where}; saved to {os.fspath(self.path)}: the same call goes on from there"

    def load(self) -> None:
        """Take over a saved state; if one part refuses it, all are as they were."""
        state = load_checkpoint(self.path)
        try:
            if state["format"] != FORMAT:
                raise CheckpointError(f"{self.path}: a training checkpoint of format {state['format']}, not {FORMAT}")
            parts = {name: state[name] for name in ("model", "optimizer", "loader", "random", "early_stopping")}
            self.history = History(state["history"])
            self.means.load(state["means"])
            self.seconds, self.stopped = float(state["seconds"]), bool(state["stopped"])
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                f"{self.path} is not a training checkpoint (missing or malformed: {error}); pass resume=False to "
                "train anew and replace it"
            ) from None
        if (self.stopping is None) != (parts["early_stopping"] is None):
            raise StateDictError(
                f"{self.path} was saved {'with' if self.stopping is None else 'without'} early_stopping"
            )
        owners = {
            "loader": self.train,
            "model": self.model,
            "optimizer": self.optimizer,
            "random": ag.random.default_generator(),
        }
        before = {name: owner.state_dict() for name, owner in owners.items()}
        try:
            for name, owner in owners.items():
                owner.load_state_dict(parts[name])
        except BaseException:
            for name, owner in owners.items():
                owner.load_state_dict(before[name])
            raise
        if self.stopping is not None:
            self.stopping.load(parts["early_stopping"])


class _Bar:
    """A progress bar (tqdm) that reads the running means twice a second, not every step."""

    def __init__(self, title: str, total: int, done: int, shown: bool):
        from tqdm.auto import tqdm  # takes as long to import as half the engine: only a training needs it

        self.tqdm = tqdm(
            total=total, initial=done, desc=title, unit="step", leave=False, disable=None if shown else True
        )  # None: where nobody watches
        self.title, self.shown = title, shown
        self.read_at = time.monotonic()

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *exc: object) -> None:
        self.tqdm.close()

    def advance(self, means: RunningMeans) -> None:
        self.tqdm.update()
        if self.shown and time.monotonic() - self.read_at > 0.5:
            self.tqdm.set_postfix({name: f"{value:.4f}" for name, value in means.read().items()})
            self.read_at = time.monotonic()

    def report(self, row: Mapping[str, float]) -> None:
        if self.shown:
            numbers = "  ".join(f"{name} {value:.4f}" for name, value in row.items() if name != "seconds")
            self.tqdm.write(f"{self.title}  {numbers}  ({row['seconds']:.1f} s)")


@contextmanager
def _interrupt_flag() -> Iterator[threading.Event]:
    """While open, the first Ctrl-C sets the flag and the second raises, as it would without us."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag  # only the main thread receives signals
        return
    previous = signal.getsignal(signal.SIGINT)

    def on_interrupt(number: int, frame: Any) -> None:
        flag.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, previous)
