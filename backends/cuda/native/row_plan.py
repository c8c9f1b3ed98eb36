"""How rows are shared among threads: teams, packs, and parts where few rows are long."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from autograd_core.compiler.loops import Load, Store

from .form import Form, PerPoint
from .lanes import width_of
from .source import Sizes
from .stages import Stages, stages
from .teams import WARP, Team
from .totals import bytes_of

PACKS = 4  # that a thread should take of a row
LARGE = 512  # threads of a block, from which each has few registers
SERIAL = 4  # points that each lane should have, before there are more lanes
TEXT = 3000  # statements of unrolled loops beyond which loops stay loops


class Plan(NamedTuple):
    """width: neighbours of a pack. splits: parts of a row, of ``chunk`` points. rounds: packs of a thread in one.
    columns: whether registers hold what is summed for each inner point."""

    team: Team
    width: int
    splits: int
    chunk: int
    rounds: int
    stages: Stages
    columns: bool

    @property
    def unrolled(self) -> bool:
        """Whether what registers hold needs loops without a counter; others would read ahead more than fits."""
        return self.columns or bool(self.stages.kept)


def plan(found: Form, sizes: Sizes, misaligned: Collection[int]) -> Plan:
    per_point = [p for p, s in enumerate(found.body) if isinstance(s, PerPoint)]
    across = not per_point and _across(found)
    width = 1 if across else width_of(found, sizes.vector, misaligned)
    packs = -(-found.points // width)
    team = _across_team(found.rows, packs, sizes) if across else _row_team(found.rows, packs, sizes)
    groups = -(-found.rows // team.rows)
    splits, chunk = 1, packs * width
    long = sizes.long // 4 if across else sizes.long  # a column is read in smaller pieces, and seldom in stages
    if not per_point and 0 < groups < sizes.few and found.points >= long:
        if not across:
            team, groups = Team("block", sizes.threads, 1), found.rows
        step = team.lanes * width
        splits = max(1, min(sizes.threads, sizes.partial // groups, packs * width // (PACKS * step)))
        chunk = -(-packs * width // (splits * step)) * step
        splits = -(-packs * width // chunk)
    made = _made(found, team, width, splits, chunk, sizes.kept)
    if per_point and not made.columns and team.rows > 1:  # sums in memory are those of a block's only team
        made = _made(found, Team("block", sizes.threads, 1), width, splits, chunk, sizes.kept)
    return made


def _made(found: Form, team: Team, width: int, splits: int, chunk: int, kept: int) -> Plan:
    rounds = -(-chunk // (team.lanes * width))
    held = rounds * width
    short = 0 < held * len(found.body) <= TEXT
    sums = bytes_of(found, [p for p, s in enumerate(found.body) if isinstance(s, PerPoint)])
    kept = kept // 4 if sums and team.threads > LARGE else kept
    columns = short and 0 < held * sums <= kept
    room = kept // held - sums * columns if short and splits == 1 else 0
    return Plan(team, width, splits, chunk, rounds, stages(found, max(0, room)), columns)


def _across(found: Form) -> bool:
    """Whether neighbours in memory are rows."""
    if not found.outer or found.outer[-1] < 2:
        return False
    steps = [s.access.strides for s in found.body if isinstance(s, Load | Store)]
    last = len(found.sizes) - 1
    inner = [s for s in steps if any(s[len(found.outer) :])]
    rows, points = (sum(s[d] == 1 for s in inner) for d in (len(found.outer) - 1, last))
    return rows > points or (rows == points and found.points < WARP // 2 <= found.outer[-1])


def _across_team(rows: int, points: int, sizes: Sizes) -> Team:
    """Of as many warps as a block has, and of more where few blocks have long ways to go."""
    lanes = min(sizes.threads // WARP, _power(points))
    while 2 * lanes * WARP <= sizes.row_threads and points >= 2 * SERIAL * lanes and rows < WARP * 2 * sizes.few:
        lanes *= 2
    return Team("across", lanes, WARP)


def _row_team(rows: int, packs: int, sizes: Sizes) -> Team:
    if packs <= PACKS * WARP:
        lanes, threads = min(WARP, _power(packs)), sizes.threads
        while threads > 2 * WARP and rows * lanes < threads * 128:
            threads //= 2
        return Team("warp", lanes, threads // lanes)
    threads = min(sizes.row_threads, max(2 * WARP, _power(-(-packs // PACKS))))
    return Team("block", threads, 1)


def _power(n: int) -> int:
    """The power of two that is ``n`` or next above."""
    return 1 << max(0, n - 1).bit_length()
