"""Where the arrays of a compiled step on a GPU lie, from call to call.

A CUDA graph knows addresses alone, so all that a step works on stays where it is:

- variables are read where they lie, and written there if nobody else holds their arrays;
- what each call brings along is copied to a place of the step's;
- results are in two arrays that take turns, since who is given one may hold it during the next call. Whoever holds
  more than two is given copies.

A call that is repeated (``autograd_core.compiler.steady``) leaves results such as gradients where the last one did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from sys import getrefcount
from typing import Any
from weakref import ref

from autograd_core.compiler.ir import Var
from autograd_core.compiler.steady import ALONE
from autograd_core.compiler.storage import Located

from .steps import Plan

PACK = 16  # bytes: kernels are rendered for arrays that begin at multiples of it
TURNS = 8  # new arrays, one after the other, for an output that stays where it is, until it takes turns like others


class Places:
    """The arrays of every entry of the storage's table, call by call. Used where the device's stream is current.

    fixed: those that are the same in every call.
    """

    def __init__(self, cupy: Any, plan: Plan, fixed: Sequence[Any]):
        self._cupy, self._plan, self._storage, self._fixed = cupy, plan, plan.storage, fixed
        table = self._storage.table
        self._inputs = [(base, what) for base, (kind, what) in enumerate(table) if kind == "input"]
        self._base_of = {i: base for base, i in self._inputs}
        self._made = {base: what.aval for base, (kind, what) in enumerate(table) if kind == "output"}
        self.changing = [base for base, (kind, _) in enumerate(table) if kind in ("input", "output")]
        outputs = plan.graph.outputs
        self._outputs = [(self._home(v), v) for v in outputs]
        self._passed_on = {i: base for base, i in self._inputs if any(base == b for b, _ in self._outputs)}
        self.in_place = frozenset(plan.updates)
        self._updated = {self._home(outputs[k]): i for k, i in plan.updates.items()}
        self._keepable = self._made.keys() - {self._storage.base(v) for v in plan.early}
        self._slots: dict[int, list[Any]] = {base: [] for base in self._made}
        self._own: set[int] = set()  # the identities of arrays in slots
        self._copied: set[int] = set()  # outputs of which whoever takes them holds more than two
        self.forgotten: frozenset[int] = frozenset()  # outputs that are in new memory in each call
        self._places: dict[int, Any] = {}  # of inputs that each call brings along
        self._seen: dict[int, Any] = {}
        self._moving: set[int] = set()
        self._turns: Counter[int] = Counter()  # by output that stays: new arrays, one after the other, since it is held
        # Where all lay in the last call. Variables' arrays are not held here: who else has them is counted.
        self._last: dict[int, Callable[[], Any]] = {}
        self._passed: dict[int, Callable[[], Any]] = {}  # inputs that are results too, as they were given
        self._fresh: list[int] = []  # in calls that are repeated: outputs that take turns
        self._parted: dict[int, Any] = {}  # and what variables will have
        self.version = 0  # as long as it is the same, only what ``again`` tells of lies elsewhere than before

    def _home(self, v: Var) -> int:
        base = self._storage.base(self._storage.root(v))
        assert base is not None
        return base

    def forget(self, outputs: Collection[int]) -> None:
        """These outputs are in new memory in each call."""
        self.forgotten = frozenset(self._outputs[k][0] for k in outputs) & self._made.keys()

    def bound(self, inputs: Sequence[Any]) -> list[Any]:
        """The array of every entry of the table."""
        arrays = list(self._fixed)
        for base, i in self._updated.items():  # the variable has it, besides the list of inputs
            mine = getrefcount(inputs[i]) <= ALONE + 1 and _lies_well(inputs[i]) and inputs[i].base is None
            arrays[base] = inputs[i] if mine else self._empty(base)
        for base in self._made:
            if base not in self._updated:
                arrays[base] = self._slot(base)
        for base, i in self._inputs:
            arrays[base] = self._placed(i, inputs[i])
        self._last = {base: ref(arrays[base]) for base in self.changing}
        self.version += 1
        return arrays

    def _placed(self, i: int, array: Any) -> Any:
        """Where an input is read: where it lies, or the place that it is copied to."""
        if i in self._passed_on:
            self._passed[self._passed_on[i]] = ref(array) if i in self._plan.variables else partial(_itself, array)
        if self._is_fixed(i, array):
            return array
        if i not in self._places:
            self._places[i] = self._cupy.empty(array.shape, array.dtype)
        place = self._places[i]
        if array.flags.c_contiguous:  # a call of the driver alone: an assignment costs the host several times that
            place.data.copy_from_device_async(array.data, array.nbytes)
        else:
            place[...] = array
        return place

    def _empty(self, base: int) -> Any:
        aval = self._made[base]
        return self._cupy.empty(aval.shape, aval.dtype)

    def _slot(self, base: int) -> Any:
        """An array for an output that nobody holds, of two that take turns."""
        slots = self._slots[base]
        if base in self.forgotten:
            return self._empty(base)
        if base in self._copied:
            return slots[0]
        for k in range(len(slots)):
            if getrefcount(slots[k]) <= ALONE:
                return slots[k]
        if len(slots) == 2:
            self._copied.add(base)
            self._own.difference_update(map(id, slots))
            slots.clear()
        slots.append(self._empty(base))
        if base not in self._copied:
            self._own.add(id(slots[-1]))
        return slots[-1]

    def _is_fixed(self, i: int, array: Any) -> bool:
        """Whether the input is read where it lies: variables, results of the last call such as gradients that are added
        to, and what has been the same array in every call.
        """
        before, self._seen[i] = self._seen.get(i), ref(array)
        if id(array) in self._own or i in self._plan.variables:
            return _lies_well(array)
        if before is not None and before() is not array:
            self._moving.add(i)
        if i in self._moving or not _lies_well(array):
            return False
        self._seen[i] = partial(_itself, array)  # as the CPU does, for ``report``
        return True

    def handed(self) -> list[Any]:
        """What the caller gets of the last call, while its arrays are there."""
        return [self.output(k) for k in range(len(self._outputs))]

    def output(self, k: int) -> Any:
        """Output k of the last call."""
        base, v = self._outputs[k]
        array = (self._passed if base in self._passed else self._last)[base]()
        if base in self._copied:
            array = array.copy()
        return self._part(array, self._storage.located(v)) if v in self._storage.views else array

    def _part(self, array: Any, located: Located) -> Any:
        """A view that holds the array."""
        flat = self._cupy.ascontiguousarray(array).reshape(-1)[located.offset :]
        strides = tuple(s * located.dtype.itemsize for s in located.strides)
        return self._cupy.lib.stride_tricks.as_strided(flat, located.shape, strides)

    # ------------------------------------------------------------------------------------ calls that are repeated

    def keeps(self, k: int) -> bool:
        """Whether output k is an array of its own that may be written where the last call left it: when it is written,
        nothing that comes after can fail.
        """
        base, v = self._outputs[k]
        takes_turns = base in self._copied or base in self.forgotten or self._turns[base] >= TURNS
        return base in self._keepable and v not in self._storage.views and not takes_turns

    def place(self, k: int) -> int:
        """Equal for outputs that are the same memory, or parts of it."""
        return self._outputs[k][0]

    def input(self, i: int) -> Any:
        """The array that the next call will read; None if it is gone."""
        return self._last[self._base_of[i]]()

    def settle(self, kept: Collection[int]) -> None:
        """From now on outputs ``kept`` stay where they are, and what they replace is read there."""
        places = {self.place(k) for k in kept}
        self._fresh = [base for base in self._made if base not in places]
        self.version += 1
        for base, i in self._updated.items():
            self._last[self._base_of[i]] = self._last[base]

    def again(self, given: Iterable[tuple[int, Any]]) -> dict[int, Any]:
        """One more call, with inputs ``given`` as (input, array): by entry, the arrays that may lie elsewhere."""
        changed: dict[int, Any] = {}
        for base in self._fresh:
            changed[base] = self._slot(base)
        for i, array in given:
            changed[self._base_of[i]] = self._placed(i, array)
        for base, array in changed.items():
            self._last[base] = ref(array)
        return changed

    def arrays(self) -> list[Any]:
        """All of the last call."""
        arrays = list(self._fixed)
        for base, array in self._last.items():
            arrays[base] = array()
        return arrays

    def part(self, outputs: Iterable[int]) -> bool:
        """Before ``again``: these outputs go elsewhere, since somebody holds what is there.

        False, and nothing done, if that has become a habit: they had better take turns.
        """
        bases = [self.place(k) for k in outputs]
        if any(self._turns[base] >= TURNS for base in bases):
            return False
        for base in bases:
            if base in self._updated:  # the input stays where it is
                array = self._parted[base] = self._empty(base)
            else:
                array = self._turned(base)
            self._last[base] = ref(array)
        self.version += 1
        return True

    def _turned(self, base: int) -> Any:
        """The other of two arrays for an output that stays, or a new one if that is held too."""
        slots = self._slots[base]
        for k in range(len(slots)):
            if getrefcount(slots[k]) <= ALONE:
                self._turns[base] = 0
                return slots[k]
        self._turns[base] += 1
        self._own.difference_update(map(id, slots[:-1]))
        slots[:] = [*slots[-1:], self._empty(base)]
        self._own.add(id(slots[-1]))
        return slots[-1]

    def join(self, outputs: Iterable[int]) -> None:
        """After it, when variables have these outputs: where they replace inputs, the next call reads them there."""
        for base in (self.place(k) for k in outputs):
            if self._parted.pop(base, None) is not None:
                self._last[self._base_of[self._updated[base]]] = self._last[base]
        self.version += 1

    # ------------------------------------------------------------------------------------ for measurements

    def copies(self, present: Mapping[int, Any]) -> list[Any] | None:
        """The arrays of the last call, with others for what is written; None if an input is gone.

        present: arrays for inputs, where those of the last call are gone.
        """
        arrays = list(self._fixed)
        for base, i in self._inputs:
            held = self._seen[i]() if i in self._seen else None
            array = self._places.get(i) if i in self._moving else held
            array = present.get(i) if array is None else array
            if array is None:
                return None
            arrays[base] = array if _lies_well(array) else self._packed(array)
        for base in self._made:
            arrays[base] = self._empty(base)
        return arrays

    def _packed(self, array: Any) -> Any:
        copy = self._cupy.empty(array.shape, array.dtype)
        copy[...] = array
        return copy


def _itself(array: Any) -> Any:
    return array


def _lies_well(array: Any) -> bool:
    """Whether kernels can read it where it lies."""
    return bool(array.flags.c_contiguous) and not array.data.ptr % PACK
