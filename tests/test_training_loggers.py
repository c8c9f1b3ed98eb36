"""Loggers: a training's rows in a CSV file and for TensorBoard, also after an interruption."""

from __future__ import annotations

import csv
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.errors import ArgumentError, DataError
from autograd_core.nn.data import ArrayDataset, DataLoader, MissingPackageError
from autograd_core.nn.training import History, fit
from autograd_core.nn.training.loggers import CSVLogger, TensorBoardLogger


def train(epochs: int, *loggers: object, checkpoint: Path | None = None) -> History:
    ag.random.seed(0)
    model = nn.Linear(2, 2)
    rng = np.random.default_rng(0)
    loader = DataLoader(ArrayDataset(*rng.standard_normal((2, 8, 2)).astype(np.float32)), batch_size=4)
    return fit(
        model,
        loader,
        loss=nn.functional.mse_loss,
        optimizer=optim.SGD(model.parameters(), lr=0.01),
        epochs=epochs,
        validation=loader,
        metrics={"mae": nn.functional.l1_loss},
        checkpoint=checkpoint,
        loggers=loggers,
        progress=False,
    )


def table(path: Path) -> list[dict[str, float]]:
    with open(path, newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_a_csv_file_holds_the_history(tmp_path):
    path = tmp_path / "made" / "run.csv"
    history = train(3, CSVLogger(path))
    assert table(path) == [{"epoch": epoch, **row} for epoch, row in enumerate(history.rows, 1)]
    assert list(table(path)[0]) == ["epoch", "loss", "mae", "val_loss", "val_mae", "seconds"]


def test_a_csv_file_goes_on_with_its_training(tmp_path):
    path = tmp_path / "run.csv"
    train(2, CSVLogger(path), checkpoint=tmp_path / "run.safetensors")
    with open(path, "a") as file:
        file.write("3,9,9,9,9,9\n")  # an epoch that came after the last checkpoint
    history = train(4, CSVLogger(path), checkpoint=tmp_path / "run.safetensors")
    assert table(path) == [{"epoch": epoch, **row} for epoch, row in enumerate(history.rows, 1)]
    assert list(tmp_path.glob("*.part")) == []


def test_a_csv_file_is_replaced_by_a_new_training(tmp_path):
    path = tmp_path / "run.csv"
    path.write_text("something else\n")
    train(1, CSVLogger(path))
    assert [row["epoch"] for row in table(path)] == [1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch,accuracy\n1,0.5\n", r"has the columns \['epoch', 'accuracy'\], this training \['epoch', 'loss'\]"),
        ("epoch,loss\none,0.5\n", "has a line that begins with no epoch"),
    ],
)
def test_another_file_is_refused_and_left_as_it_is(tmp_path, text, message):
    path = tmp_path / "run.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        CSVLogger(path)(2, {"loss": 0.5})
    assert path.read_text() == text


def test_a_metric_cannot_be_called_epoch(tmp_path):
    with pytest.raises(ArgumentError, match="the first column is called 'epoch'; call that metric something else"):
        CSVLogger(tmp_path / "run.csv")(1, {"epoch": 0.5})


def test_other_columns_in_mid_training_are_refused(tmp_path):
    logger = CSVLogger(tmp_path / "run.csv")
    logger(1, {"loss": 0.5})
    with pytest.raises(
        ArgumentError, match=r"has the columns \['epoch', 'loss'\], epoch 2 has \['epoch', 'val_loss'\]"
    ):
        logger(2, {"val_loss": 0.5})


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    """(name, step, value) of every event in a folder: records of a length, its check, the event, its check."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for path in sorted(folder.glob("events.*"), key=lambda path: path.stat().st_mtime_ns):
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + length])
            found += [(value.tag, event.step, value.simple_value) for value in event.summary.value]
            data = data[16 + length :]
    return found


def test_tensorboard_gets_every_column(tmp_path):
    pytest.importorskip("tensorboardX", reason="TensorBoard's files are written by tensorboardX (extra: tensorboard)")
    with TensorBoardLogger(tmp_path) as logger:
        history = train(2, logger)
    expected = [(name, epoch, value) for epoch, row in enumerate(history.rows, 1) for name, value in row.items()]
    found = scalars(tmp_path)
    assert [(name, step) for name, step, _ in found] == [(name, step) for name, step, _ in expected]
    assert [value for *_, value in found] == pytest.approx([value for *_, value in expected], rel=1e-6)


def test_without_tensorboardx_the_error_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'autograd-core\[tensorboard\]'"):
        TensorBoardLogger(tmp_path)
