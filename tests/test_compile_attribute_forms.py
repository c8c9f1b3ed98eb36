"""Which attributes a method may read, told from its code: every form of code, on whichever Python runs this.

Interpreters write the same code in other instructions: comprehensions became part of their function in 3.12, loads of
two variables one instruction in 3.13. What a method turns out to read when it runs must be among what was told, or
nothing be told at all.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from typing import Any

import pytest

from autograd_core.compiler.attributes import attributes_used


def free(owner):
    return owner.f


class Base:
    inherited = 5

    def base(self):
        return self.f

    @property
    def prop(self):
        return self.f


class Forms(Base):
    """Methods that read their object's attributes in one way each."""

    __match_args__ = ("f",)

    def __init__(self):
        self.f, self.g, self.h, self.items = 1, 2, 3, [1, 2]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return False

    def __iter__(self):
        return iter([self.f])

    def __call__(self):
        return self.f

    def __bool__(self):
        return bool(self.f)

    @functools.cached_property
    def cached(self):
        return self.f

    @classmethod
    def of_class(cls):
        return 1

    def read_two(self):
        return self.f + self.g

    def read_in_order(self):
        return self.f < self.g < self.h

    def read_by_walrus(self):
        return (y := self.f) + y

    def read_renamed_by_walrus(self):
        return (s := self).f + s.g

    def read_in_list(self):
        return [self.f + x for x in self.items if self.g]

    def read_in_nested_list(self):
        return [[self.f for _ in range(1)] for _ in range(1)]

    def read_in_dict(self):
        return dict.fromkeys(range(1), self.g + self.f)

    def read_in_generator(self):
        return sum(self.f for _ in range(2))

    def read_after_shadowing(self):
        return [self for self in [1, 2]], self.f  # noqa: C416

    def read_by_the_elements(self):
        return [x for x in (self,)][0].f  # noqa: C416, RUF015

    def read_in_lambda(self):
        return (lambda: self.f)()

    def read_finally(self):
        try:
            return self.f
        finally:
            self.g  # noqa: B018

    def read_when_caught(self):
        try:
            raise ValueError(self.g)
        except ValueError:
            return self.f

    def read_before_deletion(self):
        x = self.f
        del self
        return x

    def read_unless_deleted(self):
        if self.f > 5:
            del self
        return self.g

    def read_by_another_name(self):
        s, self = self, None
        return s.f

    def read_by_string(self):
        return getattr(self, "f")  # noqa: B009

    def read_by_vars(self):
        return vars(self)["f"]

    def read_by_dict(self):
        return self.__dict__["f"]

    def read_by_match(self):
        match self:
            case Forms(f):
                return f

    def read_by_match_of_an_attribute(self):
        match self.f:
            case 1:
                return self.g

    def read_by_keyword(self):
        return free(owner=self)

    def read_by_star(self):
        return free(*(self,))

    def read_by_two_stars(self):
        return free(owner=self)

    def read_and_yield(self):
        yield self.f

    def yield_itself(self):
        yield self.f
        yield self

    async def read_later(self):
        return self.f

    def read_by_property(self):
        return self.prop

    def read_by_cached_property(self):
        return self.cached

    def read_by_class_method(self):
        return self.of_class() + self.f

    def read_by_type(self):
        return type(self).prop.fget(self)

    def read_by_super(self):
        return super().base()

    def read_by_super_attribute(self):
        return super().prop

    def read_by_inherited(self):
        return self.base() + self.inherited

    def read_in_with(self):
        with self as s:
            return s.f

    def read_as_context(self):
        with contextlib.nullcontext(self.f) as s:
            return s

    def read_by_iteration(self):
        for x in self:
            return x

    def read_by_call(self):
        return self()

    def read_by_truth(self):
        return 1 if self else 2

    def read_by_and(self):
        return self and self.f

    def read_of_either(self):
        return (self if self.g else None).f

    def read_of_other(self):
        return (None if not self.g else self).f

    def read_in_place(self):
        self.g += 0
        return self.g

    def store(self):
        self.g = self.h = self.f

    def delete(self):
        del self.h

    def read_in_text(self):
        return f"{self.f}"

    def read_of_locals(self):
        return locals()["self"].f

    def read_of_frame(self):
        return sys._getframe().f_locals["self"].f

    def read_by_eval(self):
        return eval("self.f")  # noqa: S307

    def read_swapped(self):
        a, b = self, None
        a, b = b, a
        return b.f

    def read_by_position(self, /):
        return self.f

    def read_of_arguments(*args):
        return args[0].f

    def read_in_loop(self):
        i = 0
        while i < self.f:
            i += self.g
        return i


FORMS = [name for name, member in vars(Forms).items() if callable(member) and not name.startswith("_")]


@pytest.mark.parametrize("form", [name for name in FORMS if name not in ("of_class", "cached")])
def test_no_attribute_that_is_read_is_left_out(form: str) -> None:
    told = attributes_used(getattr(Forms(), form))
    read: set[str] = set()

    class Seen(Forms):
        def __getattribute__(self, name: str) -> Any:
            read.add(name)
            return object.__getattribute__(self, name)

    result = getattr(Seen, form)(Seen())
    if hasattr(result, "__next__"):
        list(result)
    elif hasattr(result, "send"):
        with pytest.raises(StopIteration):
            result.send(None)
    assert told is None or read & {"f", "g", "h", "items"} <= told


def test_of_plain_code_it_is_told() -> None:
    plain = ("read_two", "read_finally", "read_in_loop", "read_by_property", "read_and_yield", "read_by_inherited")
    assert all(attributes_used(getattr(Forms(), form)) is not None for form in plain)
