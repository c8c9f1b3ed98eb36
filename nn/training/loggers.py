"""Loggers for ``fit(loggers=[...])``: each is called as ``logger(epoch, row)`` after every epoch."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from autograd_core.errors import ArgumentError, DataError

from ..data.sources import MissingPackageError

EPOCH = "epoch"


class CSVLogger:
    """A table in a file: one line an epoch, the columns of the history after the column "epoch".

    Each line is written at once, so the file can be watched. A training that was interrupted goes on in the table: what
    it holds of the epochs that come again is taken out first. A training that begins at epoch 1 replaces the file.

    Raises DataError, before it changes anything, for a file that is not such a table or has other columns.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     logger = CSVLogger(pathlib.Path(folder, "run.csv"))
    ...     logger(1, {"loss": 0.5})
    ...     logger(2, {"loss": 0.25})
    ...     print(logger.path.read_text())
    epoch,loss
    1,0.5
    2,0.25
    <BLANKLINE>
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)
        self._columns: list[str] | None = None

    def __call__(self, epoch: int, row: Mapping[str, float]) -> None:
        columns = [EPOCH, *row]
        if EPOCH in row:
            raise ArgumentError(f"CSVLogger: the first column is called {EPOCH!r}; call that metric something else")
        if self._columns is None:
            self._begin(epoch, columns)
            self._columns = columns
        elif columns != self._columns:
            raise ArgumentError(f"CSVLogger: {self.path} has the columns {self._columns}, epoch {epoch} has {columns}")
        with open(self.path, "a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow([epoch, *row.values()])

    def _begin(self, epoch: int, columns: list[str]) -> None:
        """A file that ends before ``epoch``."""
        kept = self._before(epoch, columns) if epoch > 1 and self.path.exists() else []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(self.path.name + ".part")
        with open(partial, "w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([columns, *kept])
        os.replace(partial, self.path)

    def _before(self, epoch: int, columns: list[str]) -> list[list[str]]:
        with open(self.path, newline="") as file:
            lines = list(csv.reader(file))
        if not lines:
            return []
        if lines[0] != columns:
            raise DataError(
                f"CSVLogger: {self.path} has the columns {lines[0]}, this training {columns}; give it another file"
            )
        try:
            return [line for line in lines[1:] if int(line[0]) < epoch]
        except (ValueError, IndexError):
            raise DataError(
                f"CSVLogger: {self.path} has a line that begins with no epoch; give it another file"
            ) from None


class TensorBoardLogger:
    """Curves for TensorBoard, in a folder: ``tensorboard --logdir FOLDER`` shows them while they grow.

    A column of the history is a scalar of the same name, its step the epoch. Where a training goes on after an
    interruption, TensorBoard leaves out what an earlier file holds of the same epochs. Close it when the training is
    done, or use it in a ``with`` statement.

    Raises MissingPackageError (an ImportError) without tensorboardX, which the ``tensorboard`` extra brings.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise MissingPackageError(
                "TensorBoardLogger writes with tensorboardX, which is not installed here: "
                "pip install 'autograd-core[tensorboard]'"
            ) from error
        self.folder = Path(folder)
        self._writer_class = SummaryWriter
        self._writer: Any = None

    def __call__(self, epoch: int, row: Mapping[str, float]) -> None:
        if self._writer is None:
            self._writer = self._writer_class(str(self.folder), purge_step=epoch)
        for name, value in row.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left and let go of the file; a later call begins another."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __enter__(self) -> TensorBoardLogger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
