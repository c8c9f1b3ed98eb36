"""Golden texts of errors about the data of a training: what it lacks, what is wrong with it, and where."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.errors import ArgumentError, DataError, DTypeError, ShapeError
from autograd_core.nn import functional
from autograd_core.nn.data import (
    ArrayDataset,
    DataLoader,
    ItemDataset,
    fashion_mnist,
    idx_folder,
    random_split,
    sources,
    train_test_split,
)
from autograd_core.nn.training import TrainingError, evaluate, fit
from autograd_core.nn.utils import rnn

Case = tuple[str, Callable[[], Any], type[Exception], str]


def train(
    inputs: Any = None,
    labels: Any = None,
    *,
    model: nn.Module | None = None,
    compile: bool = False,
    validation: Any = None,
    loader: Any = None,
    epochs: int = 1,
    **options: Any,
) -> None:
    """Batches of 4 out of 9 samples with 3 features and 2 classes, unless said otherwise."""
    inputs = np.ones((9, 3), np.float32) if inputs is None else inputs
    labels = np.zeros(9, np.int64) if labels is None else labels
    model = nn.Linear(3, 2) if model is None else model
    if loader is None:
        loader = DataLoader(ArrayDataset(inputs, labels), batch_size=4, **options)
    fit(
        model,
        loader,
        loss=functional.cross_entropy,
        optimizer=optim.SGD(model.parameters(), lr=0.1),
        epochs=epochs,
        validation=validation,
        compile=compile,
        progress=False,
    )


def with_one(value: float, *place: int, shape: tuple[int, ...] = (9, 3)) -> np.ndarray:
    array = np.ones(shape, np.float32)
    array[place] = value
    return array


def normalized() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


BATCH_OF_ONE = (
    "in 1 (BatchNorm1d): batch_norm: training needs more than one value per channel, input (1, 4) has 1: use a larger "
    "batch (DataLoader(drop_last=True) leaves out a last one of 1), or model.eval()"
)
LABELS = (
    "cross_entropy: label 2 at [1] is not one of 2 classes (0 to 1); samples to leave out have the label "
    "ignore_index=-100"
)

CASES: list[Case] = [
    # no data
    (
        "an empty data set",
        lambda: train(np.zeros((0, 3), np.float32), np.zeros(0, np.int64)),
        ArgumentError,
        "DataLoader got an empty dataset: there is no batch to give",
    ),
    (
        "a data set without items",
        lambda: DataLoader(ItemDataset([])),
        ArgumentError,
        "DataLoader got an empty dataset: there is no batch to give",
    ),
    (
        "an empty part of a split",
        lambda: DataLoader(random_split(ArrayDataset(np.arange(3)), [3, 0])[1]),
        ArgumentError,
        "DataLoader got an empty dataset: there is no batch to give",
    ),
    (
        "holding out of nothing",
        lambda: train_test_split(ArrayDataset(np.zeros((0, 2)))),
        ArgumentError,
        "test_size=0.2 of 0 items leaves 0 to train on and 0 to test on; both parts need at least one",
    ),
    (
        "fewer items than a batch, and drop_last",
        lambda: train(np.ones((3, 3), np.float32), np.zeros(3, np.int64), drop_last=True),
        ArgumentError,
        "drop_last leaves no batch: the dataset has 3 items, fewer than batch_size=4",
    ),
    (
        "a transform that leaves nothing",
        lambda: train(transform=lambda batch, rng: (batch[0][:0], batch[1][:0])),
        DataError,
        "a batch has no items, its inputs have shape (0, 3); does a transform leave all out?",
    ),
    (
        "an empty validation set",
        lambda: train(validation=[]),
        DataError,
        "evaluate: the data gave no batch",
    ),
    (
        "nothing to evaluate",
        lambda: evaluate(nn.Linear(3, 2), [], functional.cross_entropy),
        DataError,
        "evaluate: the data gave no batch",
    ),
    (
        "arrays instead of a loader",
        lambda: train(loader=[(np.ones((4, 3), np.float32), np.zeros(4, np.int64))]),
        ArgumentError,
        "fit: train must be a DataLoader, which knows where it stands, got list; "
        "write DataLoader(ArrayDataset(inputs, targets), batch_size=...)",
    ),
    # too little for a layer
    ("a batch of one in batch norm", lambda: train(model=normalized()), ShapeError, BATCH_OF_ONE),
    (
        "a batch of one in batch norm, compiled",
        lambda: train(model=normalized(), compile=True),
        ShapeError,
        BATCH_OF_ONE,
    ),
    (
        "one pixel in batch norm",
        lambda: nn.BatchNorm2d(2)(ag.ones((1, 2, 1, 1))),
        ShapeError,
        "in BatchNorm2d: batch_norm: training needs more than one value per channel, input (1, 2, 1, 1) has 1: use a "
        "larger batch (DataLoader(drop_last=True) leaves out a last one of 1), or model.eval()",
    ),
    (
        "sequences of length zero in an LSTM",
        lambda: nn.LSTM(3, 4)(ag.ones((0, 2, 3))),
        ShapeError,
        "in LSTM: input of shape (0, 2, 3) holds sequences of length 0, which have no last state",
    ),
    (
        "sequences of length zero in a GRU, batch first",
        lambda: nn.GRU(3, 4, batch_first=True)(ag.ones((2, 0, 3))),
        ShapeError,
        "in GRU: input of shape (2, 0, 3) holds sequences of length 0, which have no last state",
    ),
    (
        "one sequence of length zero",
        lambda: nn.RNN(3, 4)(ag.ones((0, 3))),
        ShapeError,
        "in RNN: input of shape (0, 3) holds sequences of length 0, which have no last state",
    ),
    (
        "a sequence of length zero among others",
        lambda: rnn.pack_sequence([ag.ones((2, 3)), ag.ones((0, 3))]),
        DataError,
        "pack_padded_sequence: length 0 of sequence 1 is not between 1 and 2, the padded length; leave out empty "
        "sequences",
    ),
    (
        "no sequences",
        lambda: rnn.pad_sequence([]),
        ArgumentError,
        "pad_sequence: there are no sequences",
    ),
    # labels
    ("labels out of range", lambda: train(labels=np.array([0, 2, 1, 1, 0, 0, 0, 0, 0])), DataError, LABELS),
    (
        "labels out of range, compiled",
        lambda: train(labels=np.array([0, 2, 1, 1, 0, 0, 0, 0, 0]), compile=True),
        DataError,
        LABELS,
    ),
    (
        "labels that begin with 1",
        lambda: train(labels=np.array([1, 2, 2, 2, 1, 1, 1, 1, 1])),
        DataError,
        "cross_entropy: label 2 at [1] is not one of 2 classes (0 to 1), nor are 2 other labels; samples to leave out "
        "have the label ignore_index=-100",
    ),
    (
        "labels as floats",
        lambda: train(labels=np.zeros(9, np.float32)),
        DTypeError,
        "cross_entropy: target of dtype float32 and shape (4,) is neither labels nor the probability of every class, "
        "which has the shape of the input (4, 2); for labels write target.astype('int64')",
    ),
    (
        "labels as words",
        lambda: train(labels=np.array(list("abcdefghi"))),
        DTypeError,
        "asarray: an array of dtype <U1 cannot be a tensor: it holds no numbers",
    ),
    (
        "probabilities out of range",
        lambda: functional.binary_cross_entropy(ag.tensor([0.5, 0.5]), ag.tensor([0.0, 2.0])),
        DataError,
        "binary_cross_entropy: target[1] is 2, outside [0, 1]; a target is the probability of the class 1",
    ),
    (
        "tokens out of range",
        lambda: nn.Embedding(5, 2)(ag.tensor([[0, 1], [7, 2]])),
        DataError,
        "in Embedding: embedding: index 7 at (1, 0) is outside the vocabulary of 5 embeddings: use 0 to 4",
    ),
    # what is no number
    (
        "NaN among the inputs",
        lambda: train(with_one(np.nan, 5, 2)),
        TrainingError,
        "the mean loss of epoch 1 is nan: the inputs of item 5 hold NaN at [2] (batch 1, row 1); leave such items out",
    ),
    (
        "NaN among the inputs, compiled",
        lambda: train(with_one(np.nan, 5, 2), compile=True),
        TrainingError,
        "the mean loss of epoch 1 is nan: the inputs of item 5 hold NaN at [2] (batch 1, row 1); leave such items out",
    ),
    (
        "NaN that shuffling puts elsewhere",
        lambda: train(with_one(np.nan, 5, 2), shuffle=True, seed=1),
        TrainingError,
        "the mean loss of epoch 1 is nan: the inputs of item 5 hold NaN at [2] (batch 1, row 0); leave such items out",
    ),
    (
        "infinity among the targets",
        lambda: train(labels=with_one(np.inf, 8, 1, shape=(9, 2))),
        TrainingError,
        "the mean loss of epoch 1 is inf: the targets of item 8 hold infinity at [1] (batch 2, row 0); leave such "
        "items out",
    ),
    (
        "NaN that a transform makes",
        lambda: train(transform=lambda batch, rng: (batch[0] / np.float32(0) * np.float32(0), batch[1])),
        TrainingError,
        "the mean loss of epoch 1 is nan: the inputs of batch 0, as the loader's transform made them, hold NaN at "
        "[0, 0]; leave such items out",
    ),
]


@pytest.mark.filterwarnings("ignore:(divide by zero|invalid value) encountered:RuntimeWarning")
@pytest.mark.parametrize(("call", "error", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_text(call: Callable[[], Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value) == text
    assert isinstance(caught.value, ag.errors.AutogradError)


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
def test_a_loss_that_diverges_on_good_data_blames_no_item() -> None:
    inputs = np.full((9, 3), 1e30, np.float32)
    with pytest.raises(TrainingError, match=r"^the mean loss of epoch \d+ is (nan|inf): lower the learning rate, clip"):
        train(inputs, np.arange(9) % 2, epochs=3)


def test_batches_of_tensors_and_of_other_things_are_looked_through() -> None:
    data = ArrayDataset(np.ones((4, 3), np.float32), np.arange(4) % 2)

    def transform(batch: Any, rng: np.random.Generator) -> Any:
        return ag.tensor(batch[0], requires_grad=True) * float("nan"), batch[1]

    loader = DataLoader(data, batch_size=2, transform=transform)
    with pytest.raises(TrainingError, match=r"the inputs of batch 0, as .* hold NaN at \[0, 0\]"):
        train(loader=loader)


def test_a_missing_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = tmp_path / "nowhere"
    for call in (lambda: fashion_mnist(nowhere), lambda: idx_folder(nowhere)):
        with pytest.raises(DataError) as caught:
            call()
        assert str(caught.value) == f"no folder {str(nowhere)!r} to read train images from. {sources._WHERE}"
    monkeypatch.setattr(sources, "FASHION_MNIST_FOLDERS", ("data/one", "data/two"))
    with pytest.raises(DataError) as caught:
        fashion_mnist()
    assert str(caught.value) == (
        f"Fashion-MNIST is in none of the folders data/one, data/two; name its folder. {sources._WHERE}"
    )
    with pytest.raises(DataError, match=r"^no train images in the folder .*; looked for train-images-idx3-ubyte, "):
        fashion_mnist(tmp_path)
