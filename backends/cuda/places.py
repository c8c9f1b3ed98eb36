"""Where the arrays of a compiled step on a GPU lie, from call to call.

A CUDA graph knows addresses alone, so all that a step works on stays where it is:

- variables are read where they lie, and written there if nobody else holds their arrays;
- what each call brings along is copied to a place of the step's;
- results are in two arrays that take turns, since who is given one may hold it during the next call. Whoever holds
  more than two is given copies.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial
from sys import getrefcount
from typing import Any
from weakref import ref

from autograd_core.compiler.ir import Var
from autograd_core.compiler.steady import ALONE
from autograd_core.compiler.storage import Located

from .steps import Plan

PACK = 16  # bytes: kernels are rendered for arrays that begin at multiples of it


class Places:
    """The arrays of every entry of the storage's table, call by call. Used where the device's stream is current.

    fixed: those that are the same in every call.
    """

    def __init__(self, cupy: Any, plan: Plan, fixed: Sequence[Any]):
        self._cupy, self._plan, self._storage, self._fixed = cupy, plan, plan.storage, fixed
        table = self._storage.table
        self._inputs = [(base, what) for base, (kind, what) in enumerate(table) if kind == "input"]
        self._made = {base: what.aval for base, (kind, what) in enumerate(table) if kind == "output"}
        self.changing = [base for base, (kind, _) in enumerate(table) if kind in ("input", "output")]
        outputs = plan.graph.outputs
        self._outputs = [(self._home(v), v) for v in outputs]
        self._updated = {self._home(outputs[k]): i for k, i in plan.updates.items()}
        self._slots: dict[int, list[Any]] = {base: [] for base in self._made}
        self._own: set[int] = set()  # the identities of arrays in slots
        self._copied: set[int] = set()  # outputs of which whoever takes them holds more than two
        self.forgotten: frozenset[int] = frozenset()  # outputs that are in new memory in each call
        self._places: dict[int, Any] = {}  # of inputs that each call brings along
        self._seen: dict[int, Any] = {}
        self._moving: set[int] = set()

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
            if self._is_fixed(i, inputs[i]):
                arrays[base] = inputs[i]
                continue
            if i not in self._places:
                self._places[i] = self._cupy.empty(inputs[i].shape, inputs[i].dtype)
            self._places[i][...] = inputs[i]
            arrays[base] = self._places[i]
        return arrays

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

    def handed(self, arrays: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        """What the caller gets of a call on these arrays."""
        input_of = dict(self._inputs)
        copies: dict[int, Any] = {}
        results = []
        for base, v in self._outputs:
            array = inputs[input_of[base]] if base in input_of else arrays[base]
            if base in self._copied:
                array = copies[base] if base in copies else copies.setdefault(base, array.copy())
            results.append(self._part(array, self._storage.located(v)) if v in self._storage.views else array)
        return results

    def _part(self, array: Any, located: Located) -> Any:
        """A view that holds the array."""
        flat = self._cupy.ascontiguousarray(array).reshape(-1)[located.offset :]
        strides = tuple(s * located.dtype.itemsize for s in located.strides)
        return self._cupy.lib.stride_tricks.as_strided(flat, located.shape, strides)

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
