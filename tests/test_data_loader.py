"""The DataLoader: its batches, its order, its exact resume."""

import itertools
import threading
import time

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autograd_core.errors import ArgumentError, DataError, StateDictError
from autograd_core.nn.data import ArrayDataset, DataLoader


def counting(n):
    return ArrayDataset(np.arange(n), np.arange(n, dtype=np.float32)[:, None] * [1, 10])


def augment(batch, rng):
    numbers, rows = batch
    return numbers, rows + rng.normal(size=rows.shape).astype(np.float32)


def same(left, right):
    """Two sequences of batches are equal to the last bit."""
    return len(left) == len(right) and all(
        len(a) == len(b) and all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(a, b))
        for a, b in zip(left, right)
    )


class Recorder:
    """A dataset that notes the indices of every request."""

    def __init__(self, n, answer=lambda index: (index * 2,)):
        self.n, self.answer, self.requests = n, answer, []

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        self.requests.append(index)
        return self.answer(index)


@given(n=st.integers(1, 50), size=st.integers(1, 60), shuffle=st.booleans(), drop_last=st.booleans())
def test_an_epoch_holds_every_item_once(n, size, shuffle, drop_last):
    assume(size <= n or not drop_last)
    loader = DataLoader(counting(n), size, shuffle, drop_last=drop_last)
    batches = list(loader)
    lengths = [len(numbers) for numbers, _ in batches]
    assert len(loader) == len(batches)
    assert lengths == [size] * (n // size) + ([n % size] if n % size and not drop_last else [])
    seen = np.concatenate([numbers for numbers, _ in batches]).tolist()
    assert len(seen) == len(set(seen)) == sum(lengths)
    assert shuffle or seen == list(range(len(seen)))


def test_the_order_depends_on_seed_epoch_and_length_alone():
    def order(epoch, seed=5, size=4, n=40):
        return DataLoader(counting(n), size, shuffle=True, seed=seed).indices(epoch).tolist()

    np.random.seed(1)  # noqa: NPY002 - the global state that must not matter
    first = order(2)
    np.random.seed(2)  # noqa: NPY002
    assert order(2) == first == order(2, size=7)
    assert sorted(first) == list(range(40))
    assert len({tuple(order(epoch)) for epoch in range(20)}) == 20
    assert order(2, seed=6) != first
    # A training resumed with another version of this library or of NumPy must see the same order.
    assert order(0, n=8) == [3, 7, 0, 6, 1, 2, 4, 5]


def test_every_order_is_equally_likely():
    loader = DataLoader(counting(4), shuffle=True, seed=11)
    counts = np.zeros((4, 4))
    for epoch in range(2000):
        counts[np.arange(4), loader.indices(epoch)] += 1
    assert np.abs(counts - 500).max() < 5 * np.sqrt(2000 * 3 / 16)


def test_one_request_a_batch():
    recorder = Recorder(10)
    batches = list(DataLoader(recorder, 4))
    assert [request.tolist() for request in recorder.requests] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert batches[2][0].tolist() == [16, 18]


def test_transform_receives_a_generator_of_its_batch():
    loader = DataLoader(counting(12), 4, transform=lambda batch, rng: rng.integers(2**60))
    epochs = [list(loader) for _ in range(3)]
    assert len(set(itertools.chain(*epochs))) == 9
    assert list(loader.batches(epoch=1, start=2)) == epochs[1][2:]
    assert next(DataLoader(counting(12), 4, seed=1, transform=loader.transform).batches(0)) != epochs[0][0]


@pytest.mark.parametrize("prefetch", [0, 1, 3, 100])
def test_resume_is_exact_at_every_position(prefetch):
    def make(seed=3):
        return DataLoader(counting(11), 3, shuffle=True, seed=seed, transform=augment, prefetch=prefetch)

    whole = make()
    epochs = [list(whole) for _ in range(3)]
    for epoch, position in itertools.product(range(2), range(5)):
        stopped = make()
        for _ in range(epoch):
            list(stopped)
        got = list(itertools.islice(iter(stopped), position))
        state = stopped.state_dict()
        assert (state["epoch"], state["position"]) == (epoch, position)
        resumed = make(seed=99)  # the seed is part of the state
        resumed.load_state_dict(state)
        assert resumed.state_dict() == state
        assert same(got + list(resumed), epochs[epoch])
        assert same(list(resumed), epochs[epoch + 1])


def test_resume_twice_within_one_epoch():
    whole = list(DataLoader(counting(10), 1, shuffle=True))
    got, state = [], None
    for _ in range(5):
        loader = DataLoader(counting(10), 1, shuffle=True)
        if state is not None:
            loader.load_state_dict(state)
        got += itertools.islice(loader, 2)
        state = loader.state_dict()
    assert same(got, whole)


def test_a_state_taken_at_the_last_batch_ends_its_epoch():
    loader = DataLoader(counting(4), 2)
    for _ in loader:
        state = loader.state_dict()
    assert (state["epoch"], state["position"]) == (0, 2)
    assert (loader.epoch, loader.position) == (1, 0)
    resumed = DataLoader(counting(4), 2)
    resumed.load_state_dict(state)
    assert list(resumed) == []
    assert resumed.state_dict() == loader.state_dict()


def test_a_loop_left_early_ends_its_epoch():
    loader = DataLoader(counting(6), 2, shuffle=True)
    for _ in loader:
        break
    assert same(list(loader), list(loader.batches(epoch=1)))
    assert loader.epoch == 2


def test_the_state_follows_the_newest_iterator():
    loader = DataLoader(counting(6), 2, shuffle=True)
    pairs = list(zip(loader, loader))
    assert same([a for a, _ in pairs], list(loader.batches(0)))
    assert same([b for _, b in pairs], list(loader.batches(1)))
    old = iter(loader)
    next(old)
    state = loader.state_dict()
    loader.load_state_dict(state)
    next(old)
    assert loader.state_dict() == state


def test_batches_leave_the_state_alone():
    loader = DataLoader(counting(6), 2, shuffle=True)
    next(iter(loader))
    before = loader.state_dict()
    list(loader.batches(0))
    list(loader.batches(7, start=3))
    assert loader.state_dict() == before


def test_state_is_plain_ints_and_also_loads_from_arrays():
    loader = DataLoader(counting(6), 2, shuffle=True, seed=2**63 - 1)
    next(iter(loader))
    state = loader.state_dict()
    assert {type(value) for value in state.values()} == {int}
    other = DataLoader(counting(6), 2, shuffle=True)
    other.load_state_dict({key: np.array(value) for key, value in state.items()})
    assert other.state_dict() == state


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"position": None}, r"missing or unexpected: \['position'\]"),
        ({"extra": 1}, r"missing or unexpected: \['extra'\]"),
        ({"batch_size": 3}, r"batch_size was 3, is 2"),
        ({"items": 7, "shuffle": 0}, r"items was 7, is 6; shuffle was 0, is 1"),
        ({"position": 4}, r"position 4 lies past the 3 batches"),
        ({"epoch": -1}, r"'epoch' must be an integer >= 0, got -1"),
        ({"epoch": 1.0}, r"'epoch' must be an integer >= 0, got 1\.0"),
        ({"seed": 2**63}, r"'seed' must be an integer"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change, message):
    with pytest.raises(StateDictError, match="a DataLoader's state is a dict, got a NoneType"):
        DataLoader(counting(6), 2).load_state_dict(None)
    loader = DataLoader(counting(6), 2, shuffle=True, seed=4)
    next(iter(loader))
    before = loader.state_dict()
    state = {key: value for key, value in {**before, "seed": 1, **change}.items() if value is not None}
    with pytest.raises(StateDictError, match=message):
        loader.load_state_dict(state)
    assert loader.state_dict() == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DataLoader(counting(0)), "empty dataset"),
        (lambda: DataLoader(counting(3), 0), "batch_size must be an integer >= 1, got 0"),
        (lambda: DataLoader(counting(3), 2.0), r"batch_size must be an integer >= 1, got 2\.0"),
        (lambda: DataLoader(counting(3), True), "batch_size must be an integer >= 1, got True"),
        (lambda: DataLoader(counting(3), 4, drop_last=True), "3 items, fewer than batch_size=4"),
        (lambda: DataLoader(counting(3), seed=-1), "seed must be an integer >= 0, got -1"),
        (lambda: DataLoader(counting(3), seed=None), "seed must be an integer >= 0, got None"),
        (lambda: DataLoader(counting(3), prefetch=-1), "prefetch must be an integer >= 0"),
        (lambda: DataLoader(counting(3), transform=3), r"function of \(batch, rng\), got 3"),
        (lambda: DataLoader((np.zeros(3), np.zeros(3))), r"got tuple; wrap arrays as ArrayDataset"),
        (lambda: DataLoader(np.zeros(3)), r"got ndarray; wrap arrays"),
        (lambda: DataLoader(iter([1])), r"needs a dataset, got list_iterator"),
        (lambda: DataLoader(counting(3)).batches(0, start=4), "start must be an integer from 0 to 3, got 4"),
        (lambda: DataLoader(counting(3)).indices(-1), "epoch must be an integer >= 0"),
    ],
)
def test_loader_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda index: index, r"Recorder\[indices\] returned ndarray for batch 0 of epoch 0; a batch is a tuple"),
        (lambda index: (index, index[:1]), r"shapes \[\(2,\), \(1,\)\] .*each needs first axis 2"),
        (lambda index: (3.0,), r"shapes \[\(\)\]"),
    ],
)
def test_a_dataset_that_gives_no_batch_is_named(answer, message):
    with pytest.raises(DataError, match=message):
        list(DataLoader(Recorder(4, answer), 2))


@pytest.mark.parametrize("prefetch", [0, 2])
def test_errors_of_dataset_and_transform_name_their_batch(prefetch):
    one_at_a_time = Recorder(4, answer=lambda index: ["a", "b", "c", "d"][index])
    with pytest.raises(TypeError) as caught:
        list(DataLoader(one_at_a_time, 2, prefetch=prefetch))
    assert "batch 0 of epoch 0" in caught.value.__notes__[0]
    assert "ItemDataset" in caught.value.__notes__[0]

    def fail_at_four(batch, rng):
        if 4 in batch[0]:
            raise ZeroDivisionError
        return batch

    loader = DataLoader(counting(8), 2, transform=fail_at_four, prefetch=prefetch)
    batches = iter(loader)
    assert [next(batches)[0].tolist() for _ in range(2)] == [[0, 1], [2, 3]]
    with pytest.raises(ZeroDivisionError) as caught:
        next(batches)
    assert caught.value.__notes__ == ["raised by the DataLoader's transform(batch, rng) for batch 2 of epoch 0"]
    assert loader.position == 2


def test_the_dataset_cannot_disturb_the_order():
    def shuffle_in_place(index):
        index.sort()
        return (index,)

    with pytest.raises(ValueError, match="read-only"):
        list(DataLoader(Recorder(4, shuffle_in_place), 2, shuffle=True))


def test_prefetch_runs_ahead_by_its_depth_and_leaves_no_thread():
    recorder = Recorder(20)
    loader = DataLoader(recorder, 2, prefetch=3)
    running = threading.active_count()
    iterator = iter(loader)
    next(iterator)
    deadline = time.monotonic() + 10
    while len(recorder.requests) < 4 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert len(recorder.requests) == 4
    assert loader.position == 1
    del iterator
    assert threading.active_count() == running
    assert len(recorder.requests) == 4
