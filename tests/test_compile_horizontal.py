"""Elementwise work at the end of a step: what may be written in place, and independent kernels of one form as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core import nn

CALLS = 6  # two are captured, the others run machine code, at last in place


def buffers(*values: float, size: int = 37) -> list[nn.Buffer]:
    return [nn.Buffer(ag.full((size,), float(value))) for value in values]


def same_as_eager(make: Callable[[], tuple[list[nn.Buffer], Callable[[], Any]]]) -> Any:
    """Each call of a step compared with the eager one's, to the bit; the compiled function."""
    expected, eager = make()
    found, function = make()
    step = ag.compile(function)
    for _ in range(CALLS):
        eager()
        step()
        for i, (a, b) in enumerate(zip(found, expected, strict=True)):
            np.testing.assert_array_equal(a.data, b.data, err_msg=f"buffer {i}")
    return step


def test_what_is_read_after_the_place_of_its_successor_is_written_is_not_overwritten() -> None:
    def make() -> tuple[list[nn.Buffer], Callable[[], Any]]:
        a, b, c = buffers(1, 2, 3)

        def step() -> None:
            a_new, c_new, b_new = b * 2 + 1, a * b, b + 1
            a.assign_(a_new)
            c.assign_(c_new)
            b.assign_(b_new)

        return [a, b, c], step

    same_as_eager(make)


def test_two_variables_that_take_each_others_values() -> None:
    def make() -> tuple[list[nn.Buffer], Callable[[], Any]]:
        a, b = buffers(1, 2)

        def step() -> None:
            a_new, b_new = b + 1, a * 2
            a.assign_(a_new)
            b.assign_(b_new)

        return [a, b], step

    same_as_eager(make)
