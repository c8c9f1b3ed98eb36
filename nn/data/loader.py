"""The DataLoader: batches in an order that is a pure function of (seed, epoch), resumable at any batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from itertools import islice
from typing import Any

import numpy as np

from autograd_core.errors import ArgumentError, DataError, StateDictError

from .checks import integer
from .dataset import Dataset
from .seeding import ORDER, TRANSFORM, bit_generator, permutation

Transform = Callable[[Any, np.random.Generator], Any]


class DataLoader:
    """Iterate over a dataset in batches: one ``for`` loop is one epoch.

    dataset: N items, see :class:`Dataset`. A batch is the tuple of NumPy arrays that ``dataset[indices]`` gives, each
    with first axis ``batch_size`` (fewer in the last batch, which ``drop_last`` leaves out).

    - ``shuffle``: a new order each epoch. The order of epoch e depends on (seed, e, N) alone: not on NumPy's global
      seed, on earlier epochs, or on how far they were read. Without ``shuffle``, the order of the dataset.
    - ``transform(batch, rng)`` returns what the loop receives. ``rng`` is a ``numpy.random.Generator`` made from
      (seed, epoch, number of the batch), so augmentation is the same with and without ``prefetch``, and after a resume.
    - ``prefetch``: how many batches a background thread makes ahead; it shares memory with the program, nothing is
      copied or pickled. An error in it is raised in the loop at the batch that it belongs to.

    ``state_dict()`` is a dict of ints that says which batch comes next: it counts the batches that were handed out,
    not those made ahead. Take it after the step that used the batch. After ``load_state_dict`` the next loop goes on
    with that batch to the end of its epoch; later loops are whole epochs. A loop left with ``break`` ends its epoch:
    the next loop begins the next one. If several iterators are alive, the state follows the newest.

    Raises ArgumentError for arguments that do not fit, an empty dataset, or no batch at all; DataError when the
    dataset returns something other than a tuple of arrays with one entry an index; StateDictError for a state of
    another loader. An error of the dataset or the transform passes through with a note that names the batch.

    >>> from autograd_core.nn.data import ArrayDataset
    >>> loader = DataLoader(ArrayDataset(np.arange(5)), batch_size=2, shuffle=True, seed=7)
    >>> first = next(iter(loader))
    >>> saved = loader.state_dict()
    >>> again = DataLoader(ArrayDataset(np.arange(5)), batch_size=2, shuffle=True, seed=7)
    >>> again.load_state_dict(saved)
    >>> rest = list(again)
    >>> sorted(np.concatenate([values for values, in [first, *rest]]).tolist())
    [0, 1, 2, 3, 4]
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        seed: int = 0,
        drop_last: bool = False,
        transform: Transform | None = None,
        prefetch: int = 0,
    ) -> None:
        if isinstance(dataset, tuple | list | np.ndarray) or not isinstance(dataset, Dataset):
            raise ArgumentError(
                f"DataLoader needs a dataset, got {type(dataset).__name__}; wrap arrays as ArrayDataset(x, y) and "
                "single items as ItemDataset(items)"
            )
        if transform is not None and not callable(transform):
            raise ArgumentError(f"transform must be a function of (batch, rng), got {transform!r}")
        self.dataset = dataset
        self.batch_size = integer("batch_size", batch_size, 1)
        self.shuffle = bool(shuffle)
        self.seed = integer("seed", seed, 0)
        self.drop_last = bool(drop_last)
        self.transform = transform
        self.prefetch = integer("prefetch", prefetch, 0)
        self._items = len(dataset)
        if self._items == 0:
            raise ArgumentError("DataLoader got an empty dataset: there is no batch to give")
        if len(self) == 0:
            raise ArgumentError(
                f"drop_last leaves no batch: the dataset has {self._items} items, fewer than batch_size={batch_size}"
            )
        self._epoch = 0
        self._position = 0
        self._fresh = True  # the next loop begins at (epoch, position); else that epoch is under way, or was left
        self._newest: object = None

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        return self._items // self.batch_size if self.drop_last else -(-self._items // self.batch_size)

    @property
    def epoch(self) -> int:
        """The epoch of the batch that comes next (or, after a ``break``, of the loop that was left)."""
        return self._epoch

    @property
    def position(self) -> int:
        """How many batches of the epoch were handed out."""
        return self._position

    def __iter__(self) -> Iterator[Any]:
        if not self._fresh:
            self._epoch, self._position = self._epoch + 1, 0
        self._fresh = False
        self._newest = run = object()
        return self._counted(run, self._epoch, self._position)

    def _counted(self, run: object, epoch: int, start: int) -> Iterator[Any]:
        for position, batch in enumerate(self.batches(epoch, start), start + 1):
            if self._newest is run:
                self._position = position
            yield batch
        if self._newest is run:
            self._epoch, self._position, self._fresh = epoch + 1, 0, True

    def indices(self, epoch: int) -> np.ndarray:
        """The order of one epoch: intp, shape ``(N,)``; batch k is entries ``[k * batch_size, (k + 1) * batch_size)``.

        >>> from autograd_core.nn.data import ArrayDataset
        >>> DataLoader(ArrayDataset(np.arange(4))).indices(epoch=3)
        array([0, 1, 2, 3])
        """
        epoch = integer("epoch", epoch, 0)
        order = permutation(self._items, self.seed, ORDER, epoch) if self.shuffle else np.arange(self._items)
        order.flags.writeable = False  # the dataset receives views of it
        return order

    def batches(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """The batches of one epoch from number ``start``; a pure function that leaves the loader's state alone.

        Use it to look at a batch again (which images were in step 512?) or to evaluate in mid-epoch.

        >>> from autograd_core.nn.data import ArrayDataset
        >>> next(DataLoader(ArrayDataset(np.arange(10)), batch_size=3).batches(epoch=0, start=2))
        (array([6, 7, 8]),)
        """
        numbers = range(integer("start", start, 0, len(self)), len(self))
        make = partial(self._make, self.indices(epoch), epoch)
        return _made_ahead(make, numbers, self.prefetch) if self.prefetch else map(make, numbers)

    def _make(self, order: np.ndarray, epoch: int, number: int) -> Any:
        index = order[number * self.batch_size : (number + 1) * self.batch_size]
        where = f"batch {number} of epoch {epoch}"
        try:
            batch: Any = self.dataset[index]
        except Exception as error:
            error.add_note(
                f"raised by {type(self.dataset).__name__}[indices] for {where}: the loader asks for a whole batch with "
                "one integer array; wrap a dataset that takes one integer in ItemDataset"
            )
            raise
        self._check(batch, len(index), where)
        if self.transform is None:
            return batch
        rng = np.random.Generator(bit_generator(self.seed, TRANSFORM, epoch, number))
        try:
            return self.transform(batch, rng)
        except Exception as error:
            error.add_note(f"raised by the DataLoader's transform(batch, rng) for {where}")
            raise

    def _check(self, batch: object, count: int, where: str) -> None:
        name = type(self.dataset).__name__
        if not isinstance(batch, tuple):
            raise DataError(
                f"{name}[indices] returned {type(batch).__name__} for {where}; a batch is a tuple of arrays, "
                "as in (images, labels) or (images,)"
            )
        shapes = [np.shape(array) for array in batch]
        if any(shape[:1] != (count,) for shape in shapes):
            raise DataError(
                f"{name}[indices] returned arrays of shapes {shapes} for {where}; each needs first axis {count}, one "
                "entry an index"
            )

    def _fixed(self) -> dict[str, int]:
        """What gives a position its meaning: it must be the same where a state is loaded."""
        return {
            "items": self._items,
            "batch_size": self.batch_size,
            "shuffle": int(self.shuffle),
            "drop_last": int(self.drop_last),
        }

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands, as plain ints: epoch, position, seed, and the arguments that give them meaning."""
        return {"epoch": self._epoch, "position": self._position, "seed": self.seed, **self._fixed()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where ``state`` was taken; the seed is taken over. Checks everything before it changes anything.

        Raises StateDictError when a key is missing, unexpected or not an integer in range, or when the dataset's
        length, ``batch_size``, ``shuffle`` or ``drop_last`` differ: the same position would mean other items.
        """
        here = self.state_dict()
        if not isinstance(state, Mapping):
            raise StateDictError(f"a DataLoader's state is a dict, got a {type(state).__name__}")
        if wrong := sorted(str(key) for key in here.keys() ^ state.keys()):
            raise StateDictError(f"a DataLoader's state has the keys {sorted(here)}; missing or unexpected: {wrong}")
        try:
            loaded = {key: integer(f"the DataLoader state's {key!r}", state[key], 0) for key in here}
        except ArgumentError as error:
            raise StateDictError(str(error)) from None
        if changed := [
            f"{key} was {loaded[key]}, is {value}" for key, value in self._fixed().items() if loaded[key] != value
        ]:
            raise StateDictError(
                f"the state belongs to another DataLoader: {'; '.join(changed)}. Make the loader with the saved "
                "arguments, or start a new epoch without the state"
            )
        if loaded["position"] > len(self):
            raise StateDictError(
                f"the DataLoader state's position {loaded['position']} lies past the {len(self)} batches of an epoch"
            )
        self._epoch, self._position, self.seed = loaded["epoch"], loaded["position"], loaded["seed"]
        self._fresh, self._newest = True, None

    def __repr__(self) -> str:
        return f"DataLoader({self.dataset!r}, {len(self)} batches of {self.batch_size}, shuffle={self.shuffle})"


def _made_ahead(make: Callable[[int], Any], numbers: range, depth: int) -> Iterator[Any]:
    """``map(make, numbers)`` with up to ``depth`` results made ahead, in order, by one thread."""
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="DataLoader")
    try:
        waiting: deque[Future[Any]] = deque()
        coming = iter(numbers)

        def submit(count: int) -> None:
            for number in islice(coming, count):
                # A transform that makes tensors must see the default device and modes of the loop's thread.
                waiting.append(pool.submit(copy_context().run, make, number))

        submit(depth)
        while waiting:
            batch = waiting.popleft().result()
            submit(1)
            yield batch
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
