"""Text as characters: a vocabulary, streams for truncated backpropagation, windows, and the sources of Python."""

from __future__ import annotations

import sysconfig
import tokenize
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from autograd_core.errors import ArgumentError, DataError, DTypeError, ShapeError

from .checks import as_array, integer
from .dataset import ArrayDataset

# Modules of one file each, in every Python from 3.11 on, sorted.
_NAMES = """
_collections_abc _pydecimal _pyio _strptime argparse ast base64 bdb calendar codecs compileall configparser
contextlib csv dataclasses datetime difflib dis doctest enum fileinput fractions ftplib functools gettext gzip heapq
imaplib inspect ipaddress locale mailbox mimetypes modulefinder ntpath optparse os pdb pickle pickletools pkgutil
platform plistlib poplib posixpath pprint profile pstats pydoc random selectors shutil smtplib socket socketserver
ssl statistics subprocess tarfile tempfile textwrap threading trace traceback tracemalloc typing uuid warnings wave
weakref webbrowser zipimport
"""
PYTHON_MODULES = tuple(_NAMES.split())


class Characters:
    """The characters of a text, numbered from 0 in the order of their code points.

    ``encode``: text -> int64 of shape ``(N,)``; ``decode``: the way back; ``len``: how many there are. Raises
    ArgumentError for an empty text, DataError for a character that is not among them, or a number that stands for none.

    >>> characters = Characters("abracadabra")
    >>> len(characters), characters.encode("cab"), characters.decode([3, 0, 1])
    (5, array([2, 0, 1]), 'dab')
    """

    def __init__(self, text: str) -> None:
        if not _is_text("Characters", text):
            raise ArgumentError("Characters: the text is empty, there is nothing to number")
        self.symbols = "".join(sorted(set(text)))
        self._points = _points(self.symbols)

    def __len__(self) -> int:
        return len(self.symbols)

    def encode(self, text: str) -> np.ndarray:
        _is_text("encode", text)
        points = _points(text)
        places = np.searchsorted(self._points, points)
        known = self._points[np.minimum(places, len(self) - 1)] == points
        if not known.all():
            at = int(known.argmin())
            raise DataError(f"character {text[at]!r} at position {at} is not among the {len(self)} that were numbered")
        return places

    def decode(self, numbers: ArrayLike) -> str:
        array = as_array("decode: numbers", numbers)
        if array.size and array.dtype.kind not in "iu":
            raise DTypeError(f"decode: takes whole numbers, as encode gives them, got {array.dtype}")
        if array.size and not 0 <= int(array.min()) <= int(array.max()) < len(self):
            raise DataError(f"decode: numbers must be from 0 to {len(self) - 1}, got {array.min()} to {array.max()}")
        return "".join(self.symbols[i] for i in array.ravel().tolist())


def streams(numbers: ArrayLike, count: int, length: int) -> ArrayDataset:
    """A sequence cut into ``count`` contiguous streams, read side by side in pieces of ``length``.

    numbers: ``(N,)``. The items, taken in order and ``count`` at a time, are batches of (inputs, targets), both
    ``(count, length)``: row b goes on where row b of the batch before ended, so a recurrent state can be carried from
    batch to batch (truncated backpropagation through time), and targets are the inputs one step later. What does not
    fill a last piece is left out. Raises ArgumentError if not even one piece a stream is full, ShapeError for an array
    with other axes.

    Williams and Peng, An efficient gradient-based algorithm for on-line training of recurrent networks, 1990.

    >>> from autograd_core.nn.data import DataLoader
    >>> for inputs, targets in DataLoader(streams(range(13), count=2, length=3), batch_size=2):
    ...     print(inputs.tolist(), targets.tolist())
    [[0, 1, 2], [6, 7, 8]] [[1, 2, 3], [7, 8, 9]]
    [[3, 4, 5], [9, 10, 11]] [[4, 5, 6], [10, 11, 12]]
    """
    array = _sequence("streams", numbers)
    count, length = integer("count", count, 1), integer("length", length, 1)
    pieces = (len(array) - 1) // (count * length)
    if pieces < 1:
        raise ArgumentError(
            f"streams: {count} streams with pieces of {length} need {count * length + 1} entries, got {len(array)}"
        )

    def arranged(part: np.ndarray) -> np.ndarray:
        return part.reshape(count, pieces, length).swapaxes(0, 1).reshape(pieces * count, length)

    used = count * pieces * length
    return ArrayDataset(arranged(array[:used]), arranged(array[1 : used + 1]))


def windows(numbers: ArrayLike, length: int, step: int | None = None) -> ArrayDataset:
    """Windows of a sequence, each an item (inputs, targets): ``length`` entries, and the same one entry later.

    numbers: ``(N, ...)``, not copied. step: from the start of a window to that of the next, by default ``length``.
    Raises ArgumentError for a sequence too short for one window.

    >>> inputs, targets = windows([1, 2, 3, 4, 5, 6], length=3, step=2)[:]
    >>> inputs.tolist(), targets.tolist()
    ([[1, 2, 3], [3, 4, 5]], [[2, 3, 4], [4, 5, 6]])
    """
    array = as_array("windows: numbers", numbers)
    length = integer("length", length, 1)
    step = length if step is None else integer("step", step, 1)
    if array.ndim == 0 or len(array) <= length:
        raise ArgumentError(
            f"windows: inputs of {length} entries and targets one later need {length + 1} of them, got shape "
            f"{array.shape}"
        )
    found = np.moveaxis(sliding_window_view(array, length + 1, axis=0), -1, 1)[::step]
    return ArrayDataset(found[:, :-1], found[:, 1:])


def python_sources(names: Iterable[str] = PYTHON_MODULES) -> str:
    """The sources of modules of Python's standard library, one after the other: text that is on every machine.

    names: modules of one file each; by default some eighty, sorted. Characters outside ASCII become "?". What the text
    says depends on the version of Python. Raises DataError for a module whose source is not there.

    >>> python_sources(["this"])[:14]
    's = \"\"\"Gur Mra'
    """
    if isinstance(names, str):
        raise ArgumentError(
            f"python_sources: names must be a list of modules, got the text {names!r}; write [{names!r}]"
        )
    folder = Path(sysconfig.get_paths()["stdlib"])
    texts = []
    for name in names:
        path = folder / f"{name}.py"
        try:
            with tokenize.open(path) as file:
                texts.append(file.read())
        except OSError as error:
            raise DataError(f"python_sources: no source of the module {name!r}: {path}: {error.strerror}") from None
    return "".join(texts).encode("ascii", "replace").decode("ascii")


def _is_text(op: str, given: Any) -> bool:
    """Whether it is not empty; a DTypeError for what is no text."""
    if not isinstance(given, str):
        hint = "; write text.decode()" if isinstance(given, bytes) else ""
        raise DTypeError(f"{op}: takes text, a str, got a {type(given).__name__}{hint}")
    return bool(given)


def _points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")


def _sequence(op: str, numbers: ArrayLike) -> np.ndarray:
    array = as_array(f"{op}: numbers", numbers)
    if array.ndim != 1:
        raise ShapeError(f"{op}: needs one sequence, shape (N,), got shape {array.shape}")
    return array
