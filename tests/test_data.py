"""Datasets and splits."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autograd_core.errors import ArgumentError, AutogradError, DataError, DTypeError, ShapeError
from autograd_core.nn import data
from autograd_core.nn.data import ArrayDataset, Dataset, ItemDataset, Subset


def counting(n):
    return ArrayDataset(np.arange(n), np.arange(n, dtype=np.float32)[:, None] * [1, 10])


class Recorder:
    """A dataset that notes the indices of every request."""

    def __init__(self, n, answer=lambda index: (index * 2,)):
        self.n, self.answer, self.requests = n, answer, []

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        self.requests.append(index)
        return self.answer(index)


@pytest.mark.parametrize(
    "make", [counting, lambda n: Subset(counting(n + 3), np.arange(n)), lambda n: ItemDataset(counting(n))]
)
def test_a_batch_is_the_stack_of_its_items(make):
    dataset = make(7)
    assert isinstance(dataset, Dataset)
    index = np.array([3, 0, 0, -1])
    numbers, rows = dataset[index]
    assert numbers.tolist() == [3, 0, 0, 6]
    assert rows.shape == (4, 2)
    items = [dataset[int(i)] for i in index]
    assert np.array_equal(rows, np.stack([item[1] for item in items]))
    assert [int(item[0]) for item in dataset] == list(range(7))  # iteration ends by IndexError
    assert dataset[2:4][0].tolist() == [2, 3]


def test_array_dataset_shares_memory_and_gathers_copies():
    images = np.zeros((4, 2))
    dataset = ArrayDataset(images, classes=["a", "b"])
    dataset[np.array([0, 1])][0][:] = 1
    assert not images.any()
    images[3] = 5
    assert dataset[3][0].tolist() == [5, 5]
    assert dataset.classes == ("a", "b")
    assert repr(dataset) == "ArrayDataset(4 items of float64[2])"


def test_array_dataset_takes_masks_and_empty_lists():
    dataset = counting(4)
    assert dataset[np.array([True, False, False, True])][0].tolist() == [0, 3]
    assert dataset[[]][1].shape == (0, 2)


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ([np.zeros((5, 2)), np.zeros(4)], ShapeError, r"equal first axes.*\(5, 2\), \(4,\)"),
        ([], ArgumentError, r"at least one array"),
        ([np.zeros(3), 1.0], ShapeError, r"argument 1 is a single value"),
        ([[[1, 2], [3]]], DataError, r"argument 0 is not one array"),
        ([np.array([None, "a"])], DTypeError, r"dtype object.*ItemDataset"),
    ],
)
def test_array_dataset_names_what_does_not_fit(arrays, error, message):
    with pytest.raises(error, match=message):
        ArrayDataset(*arrays)


@pytest.mark.parametrize(
    "make", [counting, lambda n: Subset(counting(9), np.arange(n)), lambda n: ItemDataset("x" * n)]
)
@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (5, IndexError, "index 5 is out of range for a dataset of 5 items"),
        (np.array([0, -6]), data.DatasetIndexError, "index -6 is out of range"),
        (1.5, DTypeError, "integers.*float64"),
        (np.array([True, False]), IndexError, r"shape \(5,\) like the dataset, got \(2,\)"),
    ],
)
def test_bad_indices_are_named(make, index, error, message):
    with pytest.raises(error, match=message) as caught:
        make(5)[index]
    assert isinstance(caught.value, AutogradError)


def test_subset_of_a_subset_asks_the_innermost_dataset_once():
    recorder = Recorder(10)
    inner = Subset(Subset(recorder, [1, 3, 5, 7, 9]), np.array([False, True, True, False, True]))
    assert inner[np.array([2, 0])][0].tolist() == [18, 6]
    assert [request.tolist() for request in recorder.requests] == [[9, 3]]
    with pytest.raises(ShapeError, match=r"shape \(M,\), got \(1, 2\)"):
        Subset(recorder, [[0, 1]])
    with pytest.raises(IndexError, match="index 10 is out of range"):
        Subset(recorder, [10])


def test_item_dataset_names_the_item_that_does_not_stack():
    ragged = ItemDataset([np.zeros((2, 2)), np.zeros((2, 2)), np.zeros((2, 3))])
    with pytest.raises(DataError, match=r"item 1 has \(2, 2\), item 2 has \(2, 3\)"):
        ragged[np.array([1, 0, 2])]
    with pytest.raises(ArgumentError, match="got int"):
        ItemDataset(3)
    with pytest.raises(DataError, match="without items"):
        ragged[[]]


@given(
    n=st.integers(2, 60),
    cuts=st.lists(st.integers(0, 60), max_size=3),
    seed=st.integers(0, 2**63 - 1),
)
def test_random_split_is_a_seeded_partition(n, cuts, seed):
    edges = [0, *sorted(min(cut, n) for cut in cuts), n]
    lengths = [b - a for a, b in itertools.pairwise(edges)]
    parts = data.random_split(counting(n), lengths, seed=seed)
    assert [len(part) for part in parts] == lengths
    assert sorted(np.concatenate([part.indices for part in parts]).tolist()) == list(range(n))
    again = data.random_split(counting(n), lengths, seed=seed)
    assert all(np.array_equal(a.indices, b.indices) for a, b in zip(parts, again))


def test_random_split_gives_the_remainder_to_the_first_parts():
    assert [len(part) for part in data.random_split(counting(10), [0.33, 0.33, 0.34])] == [4, 3, 3]
    assert [len(part) for part in data.random_split(counting(10), [0.7, 0.3])] == [7, 3]


@pytest.mark.parametrize("lengths", [[3, 3], [0.5, 0.6], [-0.5, 1.5], [], [-1, 11], 3, ["a"], [True]])
def test_random_split_refuses_lengths_that_do_not_fit(lengths):
    with pytest.raises(ArgumentError, match="lengths"):
        data.random_split(counting(10), lengths)


@given(
    members=st.lists(st.integers(2, 40), min_size=1, max_size=5),
    fraction=st.floats(0.1, 0.9),
    seed=st.integers(0, 100),
)
def test_stratified_split_keeps_the_share_of_every_class(members, fraction, seed):
    labels = np.repeat(np.arange(len(members)), members)
    n = len(labels)
    count = int(np.clip(round(fraction * n), 1, n - 1))
    assume(min(count, n - count) >= len(members))
    train, test = data.train_test_split(ArrayDataset(labels), count, stratify=labels, seed=seed)
    assert len(test) == count
    assert sorted([*train.indices, *test.indices]) == list(range(n))
    held = np.bincount(labels[test.indices], minlength=len(members))
    assert np.all(np.abs(held - np.array(members) * count / n) < 1)


def test_plain_split_rounds_up_and_follows_the_seed():
    train, test = data.train_test_split(counting(11), 0.2, seed=3)
    assert (len(train), len(test)) == (8, 3)
    assert len(data.train_test_split(counting(30), 0.1)[1]) == 3
    other = data.train_test_split(counting(1000), 0.2, seed=4)[1].indices
    assert not np.array_equal(other, data.train_test_split(counting(1000), 0.2, seed=5)[1].indices)


@pytest.mark.parametrize(
    ("size", "labels", "error", "message"),
    [
        (0.0, None, ArgumentError, "between 0 and 1"),
        (1.5, None, ArgumentError, "between 0 and 1"),
        (10, None, ArgumentError, "leaves 0 to train on and 10 to test on"),
        (0, None, ArgumentError, "test_size must be an integer >= 1, got 0"),
        (0.2, [0, 1], ShapeError, r"shape \(10,\), got \(2,\)"),
        (0.5, [0] * 9 + [1], DataError, "class 1 has 1 item"),
        (0.5, [0.0] * 9 + [float("nan")], DataError, "stratify: the label of item 9 is NaN; leave such items out"),
        (0.5, ["a", None] * 5, DataError, "stratify: labels must be of one type, got NoneType and str"),
        (2, [0, 0, 0, 0, 1, 1, 1, 2, 2, 2], ArgumentError, "8 training and 2 test items cannot each hold all 3"),
    ],
)
def test_train_test_split_errors(size, labels, error, message):
    with pytest.raises(error, match=message):
        data.train_test_split(counting(10), size, stratify=labels)
