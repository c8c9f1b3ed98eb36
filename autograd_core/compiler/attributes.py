"""Which attributes of its object a method may read, by its code: what a trainer keeps beside them is not watched."""

from __future__ import annotations

import dis
import inspect
from itertools import pairwise
from types import CodeType, FunctionType, MethodType
from typing import Any

# They find the object where no instruction names it: by the frame, or by what was written in a string.
FINDING = frozenset({"super", "locals", "vars", "dir", "eval", "exec", "_getframe", "currentframe", "stack"})
OF_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR", "DELETE_ATTR")


def attributes_used(method: MethodType) -> set[str] | None:
    """Names of attributes that ``method`` may read or set on its object, other methods that it names included.

    None if that cannot be told: the object is passed on, or kept by an inner function, or answers for attributes by
    code of its own. Properties and methods of the class count; what else stands in the class is itself read by name.
    """
    owner = type(method.__self__)
    if any("__getattr__" in vars(c) or "__getattribute__" in vars(c) for c in owner.__mro__ if c is not object):
        return None
    names: set[str] = set()
    waiting: list[Any] = [method.__func__]
    while waiting:
        function = waiting.pop()
        if not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
            return None
        found = _used_of_first_argument(function.__code__)
        if found is None:
            return None
        for name in found - names:
            names.add(name)
            member = inspect.getattr_static(owner, name, None)
            if isinstance(member, FunctionType):
                waiting.append(member)
            elif isinstance(member, property):
                waiting += [f for f in (member.fget, member.fset, member.fdel) if f is not None]
            elif hasattr(type(member), "__get__") and not isinstance(member, staticmethod):
                return None
    return names


def _used_of_first_argument(code: CodeType) -> set[str] | None:
    """Names of its attributes that the code names; None if it does anything else with it."""
    if not code.co_argcount:
        return None
    first = code.co_varnames[0]
    if first in code.co_cellvars or not FINDING.isdisjoint(code.co_names):
        return None
    names = set()
    for at, after in pairwise([*dis.get_instructions(code), None]):
        is_local = at is not None and (at.opcode in dis.haslocal or "FAST" in at.opname)
        if at is None or not is_local or not _names(at.argval, first):
            continue
        loads = at.opname.rpartition("STORE_FAST_")[2].startswith("LOAD_FAST")
        last = at.argval[-1] if isinstance(at.argval, tuple) else at.argval
        alone = not isinstance(at.argval, tuple) or at.argval.count(first) == 1
        if not (loads and last == first and alone and after is not None and after.opname in OF_ATTRIBUTES):
            return None
        names.add(after.argval)
    return names


def _names(argument: Any, first: str) -> bool:
    return argument == first or (isinstance(argument, tuple) and first in argument)
