"""Text: characters and their numbers, streams that go on from batch to batch, windows, Python's own sources."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_core as ag
from autograd_core.nn.data import PYTHON_MODULES, Characters, DataLoader, python_sources, streams, windows

DataError = ag.errors.DataError


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_what_is_encoded_is_decoded(text):
    characters = Characters(text)
    numbers = characters.encode(text)
    assert numbers.dtype == np.int64
    assert characters.decode(numbers) == text
    assert sorted(set(numbers.tolist())) == list(range(len(characters)))


def test_characters_that_were_not_numbered_are_named():
    characters = Characters("ab")
    with pytest.raises(DataError, match="character 'é' at position 2 is not among the 2"):
        characters.encode("abé")
    with pytest.raises(DataError, match="from 0 to 1, got 0 to 2"):
        characters.decode([0, 2])
    with pytest.raises(ag.ArgumentError, match="the text is empty"):
        Characters("")
    assert characters.encode("").shape == (0,)
    assert characters.decode([]) == ""


@given(st.integers(1, 4), st.integers(1, 5), st.integers(0, 60))
def test_each_stream_reads_its_part_of_the_sequence_once_and_in_order(count, length, more):
    numbers = np.arange(count * length + 1 + more) * 3
    batches = list(DataLoader(streams(numbers, count, length), batch_size=count))
    assert all(x.shape == y.shape == (count, length) for x, y in batches)
    inputs = np.concatenate([x for x, _ in batches], axis=1)
    targets = np.concatenate([y for _, y in batches], axis=1)
    used = inputs.size
    assert len(numbers) - 1 - used < count * length
    assert np.array_equal(inputs.ravel(), numbers[:used])
    assert np.array_equal(targets.ravel(), numbers[1 : used + 1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: Characters(b"ab"),
            ag.DTypeError,
            r"Characters: takes text, a str, got a bytes; write text.decode\(\)",
        ),
        (lambda: Characters(3), ag.DTypeError, "Characters: takes text, a str, got a int"),
        (lambda: Characters("ab").encode(None), ag.DTypeError, "encode: takes text, a str, got a NoneType"),
        (lambda: Characters("ab").decode([0.5]), ag.DTypeError, "decode: takes whole numbers, .* got float64"),
        (lambda: Characters("ab").decode("ab"), ag.DTypeError, "decode: takes whole numbers, .* got <U2"),
        (lambda: streams([[1], [1, 2]], 1, 1), ag.ShapeError, "streams: numbers is not one array"),
        (lambda: windows([[1], [1, 2]], 1), ag.ShapeError, "windows: numbers is not one array, its rows differ"),
        (lambda: python_sources("heapq"), ag.ArgumentError, r"got the text 'heapq'; write \['heapq'\]"),
    ],
)
def test_what_is_no_text_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


def test_a_sequence_too_short_for_its_streams_is_refused():
    with pytest.raises(ag.ArgumentError, match="2 streams with pieces of 3 need 7 entries, got 6"):
        streams(np.arange(6), 2, 3)
    with pytest.raises(ag.ArgumentError, match="need 7 entries, got 0"):
        streams([], 2, 3)
    with pytest.raises(ag.ShapeError, match=r"got shape \(2, 3\)"):
        streams(np.ones((2, 3)), 2, 3)
    with pytest.raises(ag.ArgumentError, match="length must be an integer >= 1, got 0"):
        streams(np.arange(6), 2, 0)


def test_windows_of_several_columns_share_the_memory_of_their_sequence():
    series = np.arange(20.0).reshape(10, 2)
    data = windows(series, 4, step=3)
    inputs, targets = data[:]
    assert np.array_equal(inputs, [series[0:4], series[3:7]])
    assert np.array_equal(targets, [series[1:5], series[4:8]])
    assert np.shares_memory(inputs, series)
    assert len(windows(series, 9)) == 1
    with pytest.raises(ag.ArgumentError, match="need 11 of them"):
        windows(series, 10)


def test_sources_of_modules_are_ascii_and_in_the_given_order():
    both = python_sources(["keyword", "this"])
    assert both == python_sources(["keyword"]) + python_sources(["this"])
    assert both.isascii()
    assert "Gur Mra bs Clguba" in both
    assert list(PYTHON_MODULES) == sorted(set(PYTHON_MODULES))
    with pytest.raises(DataError, match=r"no source of the module 'no_such_module': .*no_such_module\.py"):
        python_sources(["no_such_module"])
