"""How far to go along a direction: a step length that satisfies the strong Wolfe conditions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from autograd_core.tensor import Tensor


class Point(NamedTuple):
    """What is known of the loss where ``step`` leads to; ``slope``: its derivative along the direction."""

    step: float
    loss: float
    slope: float
    gradient: Tensor


def strong_wolfe(
    evaluate: Callable[[float], Point],
    start: Point,
    step: float,
    *,
    size: float,
    most: int,
    smallest: float = 1e-9,
    decrease: float = 1e-4,
    curvature: float = 0.9,
) -> tuple[Point, int]:
    """A point where the loss has fallen enough and its slope is flat enough, and how often the loss was evaluated.

    loss <= start.loss + decrease * step * start.slope  and  |slope| <= curvature * |start.slope|.

    First steps grow until such a point lies between two of them, then the bracket shrinks; both by the minimum of the
    cubic through two points. start: at step 0, of negative slope. step: the first to try. size: the largest element of
    the direction; a bracket of less than ``smallest`` in it is given up. most: evaluations after the first. Where they
    are used up the best point is returned. A loss that is not finite counts as too high.

    Source: Nocedal and Wright, Numerical optimization, 2006, algorithms 3.5 and 3.6; Schmidt, minFunc, 2005.
    """

    def is_too_high(point: Point) -> bool:
        return point.loss > start.loss + decrease * point.step * start.slope

    def is_flat(point: Point) -> bool:
        return abs(point.slope) <= -curvature * start.slope

    before, point, tried = start, evaluate(step), 0
    while tried < most and not is_too_high(point) and not (tried > 1 and point.loss >= before.loss):
        if is_flat(point):
            return point, tried + 1
        if point.slope >= 0:
            break
        reach = point.step - before.step
        step = cubic_minimum(before, point, point.step + 0.01 * reach, point.step * 10)
        before, point, tried = point, evaluate(step), tried + 1
    bracket = [start if tried == most else before, point]

    low = _lower(bracket)
    was_near_the_edge = False
    while tried < most and not abs(bracket[1].step - bracket[0].step) * size < smallest:
        first, last = sorted((bracket[0].step, bracket[1].step))
        step = cubic_minimum(bracket[0], bracket[1], first, last)
        margin = 0.1 * (last - first)
        is_near_the_edge = min(last - step, step - first) < margin
        if is_near_the_edge and (was_near_the_edge or not first < step < last):
            step = last - margin if abs(step - last) < abs(step - first) else first + margin
            is_near_the_edge = False
        was_near_the_edge = is_near_the_edge
        point, tried = evaluate(step), tried + 1
        if is_too_high(point) or point.loss >= bracket[low].loss:
            bracket[1 - low] = point
            low = _lower(bracket)
            continue
        done = is_flat(point)
        if not done and point.slope * (bracket[1 - low].step - bracket[low].step) >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = point
        if done:
            break
    return bracket[low], tried + 1


def _lower(bracket: list[Point]) -> int:
    return 0 if bracket[0].loss <= bracket[1].loss else 1


def cubic_minimum(a: Point, b: Point, least: float, largest: float) -> float:
    """Where the cubic of the losses and slopes at two points is lowest, within bounds; their middle if nowhere.

    >>> from autograd_core import zeros
    >>> g = zeros(1)
    >>> cubic_minimum(Point(0.0, 1.0, -2.0, g), Point(3.0, 4.0, 4.0, g), 0.0, 3.0)  # of (x - 1)^2
    1.0
    """
    if a.step > b.step:
        a, b = b, a
    width = b.step - a.step
    if width > 0 and math.isfinite(a.loss) and math.isfinite(b.loss):
        bend = a.slope + b.slope - 3.0 * (b.loss - a.loss) / width
        square = bend * bend - a.slope * b.slope
        if square >= 0:
            root = math.sqrt(square)
            over = b.slope - a.slope + 2.0 * root
            if over != 0:
                return min(max(b.step - width * (b.slope + root - bend) / over, least), largest)
    return (least + largest) / 2.0
