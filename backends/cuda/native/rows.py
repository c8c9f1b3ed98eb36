"""Reductions over the inner points of rows, in stages; what is elementwise before, between and after them.

A team of threads takes a row, then one a whole grid further. Few long rows are split among blocks: each stage is then a
launch, whose blocks leave partial results for the next.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack

from autograd_core.compiler.loops import LoopKernel, Reduce, Store

from .c_types import c_type
from .expressions import rounded
from .form import Form, PerPoint, Total, shared
from .lanes import Lanes
from .row_plan import plan
from .signature import Head
from .source import Launch, Sizes, Source
from .totals import Finish, Totals, bytes_of, memory, start_value
from .writer import Writer


def rows(kernel: LoopKernel, found: Form, name: str, sizes: Sizes, misaligned: Collection[int]) -> Source:
    return _Rows(kernel, found, name, sizes, misaligned).source()


AHEAD = 8  # numbers that a thread reads before it uses the first, where registers hold no row


class _Rows:
    def __init__(self, kernel: LoopKernel, found: Form, name: str, sizes: Sizes, misaligned: Collection[int]):
        self.form, self.name, self.sizes = found, name, sizes
        self.plan = plan(found, sizes, misaligned)
        self.pairs = shared(kernel)
        self.head = Head(found, name, self.pairs)
        self.w = Writer()
        self.lanes = Lanes(self.w, found, self.plan.width, misaligned)
        self.finish = Finish(self.head, sizes)
        self.count = len(self.plan.stages.work)

    def source(self) -> Source:
        team, found = self.plan.team, self.form
        groups = -(-found.rows // team.rows)
        per_point = [p for p, s in enumerate(found.body) if isinstance(s, PerPoint)]
        totals = [p for p, s in enumerate(found.body) if isinstance(s, Total)]
        if self.plan.splits > 1:
            launches = self._split(groups)
        else:
            grid = min(groups, self.sizes.partial if totals or per_point else self.sizes.blocks)
            room = self.sizes.workspace // max(1, found.points * bytes_of(found, per_point))
            grid = min(grid, max(1, room)) if per_point else grid
            launches = self._whole(max(1, grid) if totals or per_point else grid, per_point)
        launches += self.finish.emit(self.w)
        memory_ = self.head.workspace.size
        return Source(self.w.text, tuple(launches), self.lanes.alignment(), memory_, self.pairs)

    # ------------------------------------------------------------------------------------ launches

    def _whole(self, grid: int, per_point: Sequence[int]) -> list[Launch]:
        """All stages in one launch."""
        w, team, found = self.w, self.plan.team, self.form
        sums = self._totals(range(self.count), grid)
        for p in per_point:
            self.head.workspace.region(f"partial{p}", found.dtype(p), grid * found.points)
            self.finish.columns.append((p, grid if found.rows else 0))
        with self.head.entry(w, self.name, team.threads, regions=[*sums.regions, *(f"partial{p}" for p in per_point)]):
            self._start(sums)
            self._declare_columns(per_point)
            with w.block(
                f"for ({self.head.index} first = ({self.head.index})blockIdx.x * {team.rows}; first < {found.rows}; "
                f"first += ({self.head.index})gridDim.x * {team.rows})"
            ):
                self._row()
                for stage in range(self.count):
                    self._stage(stage, per_point)
            self._finish_columns(per_point)
            sums.finish(w)
        return [Launch(self.name, grid, team.threads)] if grid else []

    def _split(self, groups: int) -> list[Launch]:
        """A launch for each stage, of parts of rows."""
        w, team, found, plan_ = self.w, self.plan.team, self.form, self.plan
        launches: list[Launch] = []
        for p, s in enumerate(found.body):
            if isinstance(s, Reduce):
                self.head.workspace.region(f"part{p}", found.dtype(p), found.rows * plan_.splits)
        reductions = [p for p, s in enumerate(found.body) if isinstance(s, Reduce)]
        for stage in range(self.count):
            splits = plan_.splits if plan_.stages.work[stage] else 1
            sums = self._totals([stage], groups * splits)
            name = f"{self.name}_{stage}"
            before = [p for p in reductions if plan_.stages.of[p] < stage]
            now = [p for p in reductions if plan_.stages.of[p] == stage]
            with self.head.entry(w, name, team.threads, regions=[*sums.regions, *(f"part{p}" for p in before + now)]):
                self._start(sums)
                w.line(f"const int split = blockIdx.x % {splits};")
                w.line(f"const {self.head.index} first = ({self.head.index})(blockIdx.x / {splits}) * {team.rows};")
                self._row()
                for p in before:
                    self._combine_parts(p)
                for earlier in range(stage):
                    self._outside(earlier, acts=False)
                self._stage(stage, (), part=True)
                sums.finish(w)
            launches.append(Launch(name, groups * splits, team.threads))
        return launches

    def _totals(self, stages_: Sequence[int], grid: int) -> Totals:
        of = self.plan.stages.of
        positions = [p for p, s in enumerate(self.form.body) if isinstance(s, Total) and of[p] in stages_]
        sums = Totals(self.head, positions, grid, self.plan.team.threads)
        self.finish.add(sums)
        return sums

    def _start(self, sums: Totals) -> None:
        team = self.plan.team
        if sums.positions or team.uses_memory:
            memory(self.w, team.threads)
        self.w.line(f"const int lane = {team.lane}, team = {team.team};")
        sums.declare(self.w)

    # ------------------------------------------------------------------------------------ a row

    @property
    def _partly(self) -> bool:
        """Whether the last group has fewer rows than teams."""
        return self.form.rows % self.plan.team.rows != 0

    def _row(self) -> None:
        w, found, index = self.w, self.form, self.head.index
        if self._partly:  # a team without a row reads what the last one reads, and writes nothing
            w.line(f"const bool active = first + team < {found.rows};")
            w.line(f"const {index} row = active ? first + team : {found.rows - 1};")
        else:
            w.line(f"const {index} row = first + team;")
        self.head.coordinates(w, "row", range(len(found.outer)), self.head.used)

    def _combine_parts(self, position: int) -> None:
        w, found, splits = self.w, self.form, self.plan.splits
        kind = c_type(found.dtype(position))
        w.line(f"{kind} sum{position} = {start_value(found, position)};")
        part = f"part{position}[({self.head.index})i * {found.rows} + row]"
        with w.block(f"for (int i = lane; i < {splits}; i += {self.plan.team.lanes})"):
            w.line(f"sum{position} = {self.lanes.combined(position, f'sum{position}', part)};")
        whole = self.plan.team.reduced(found, position, f"sum{position}")
        w.line(f"const {kind} x{position} = {rounded(whole, found.dtype(position))};")

    def _outside(self, stage: int, *, acts: bool = True) -> None:
        """What happens once a row."""
        one = "lane == 0" + (" && active" if self._partly else "") + (" && split == 0" if self.plan.splits > 1 else "")
        for p in self.plan.stages.outside(self.form, stage):
            s = self.form.body[p]
            scalar = Lanes(self.w, self.form)
            if isinstance(s, Store):
                if acts:
                    scalar.store(p, one)
            elif isinstance(s, Total):
                if acts:
                    with self.w.block(f"if ({one})"):
                        self.w.line(f"total{p} = {scalar.combined(p, f'total{p}', scalar.argument(p))};")
            else:
                scalar.value(p)

    def _stage(self, stage: int, per_point: Sequence[int], *, part: bool = False) -> None:
        w, found, plan_ = self.w, self.form, self.plan
        work = plan_.stages.work[stage]
        self._outside(stage)
        if not work:
            return
        of, kept = plan_.stages.of, plan_.stages.kept
        for p in work:
            if isinstance(found.body[p], Reduce):
                w.line(f"{c_type(found.dtype(p))} sum{p} = {start_value(found, p)};")
            elif p in kept and of[p] == stage:
                w.line(f"{c_type(found.dtype(p))} kept{p}[{plan_.rounds}][{plan_.width}];")
        self._points(work, stage, per_point, part)
        for p in work:
            if not isinstance(found.body[p], Reduce):
                continue
            kind, whole = c_type(found.dtype(p)), plan_.team.reduced(found, p, f"sum{p}")
            if not part:
                w.line(f"const {kind} x{p} = {rounded(whole, found.dtype(p))};")
                continue
            w.line(f"const {kind} all{p} = {whole};")
            active = " && active" if self._partly else ""
            w.line(f"if (lane == 0{active}) part{p}[({self.head.index})split * {found.rows} + row] = all{p};")

    def _points(self, work: Sequence[int], stage: int, per_point: Sequence[int], part: bool) -> None:
        w, found, plan_ = self.w, self.form, self.plan
        of, kept, index = plan_.stages.of, plan_.stages.kept, self.head.index
        lanes, width, points = plan_.team.lanes, plan_.width, found.points
        exact = plan_.splits == 1 and plan_.rounds * lanes * width == -(-points // width) * width
        conditions = [] if exact else [f"point < {points}"]
        conditions += ["active"] if self._partly else []
        with ExitStack() as inside:
            unroll = plan_.rounds if plan_.unrolled else min(max(1, AHEAD // plan_.width), plan_.rounds)
            inside.enter_context(w.loop("k", plan_.rounds, unroll=unroll))
            start = f"split * ({index}){plan_.chunk} + " if plan_.splits > 1 else ""
            k = "k" if index == "int" else f"({index})k"
            at = f"{k} * {lanes} + lane" if lanes > 1 else k
            at = f"({at}) * {width}" if width > 1 else at
            w.line(f"const {index} point = {start}{at};")
            inside.enter_context(w.block(f"if ({' && '.join(conditions)})" if conditions else ""))
            dims = range(len(found.outer), len(found.sizes))
            last = {dims[-1]} if width > 1 else set()
            self.head.coordinates(w, "point", list(dims), self.head.used | last)
            self.lanes.run(
                work,
                kept=[p for p in work if p in kept and of[p] < stage],
                made=[p for p in work if p in kept and of[p] == stage],
                reduced=self._take_up,
            )

    def _take_up(self, p: int, value: str) -> None:
        s = self.form.body[p]
        if isinstance(s, Reduce):
            self.w.line(f"sum{p} = {self.lanes.combined(p, f'sum{p}', value)};")
        elif isinstance(s, Total):
            self.w.line(f"total{p} = {self.lanes.combined(p, f'total{p}', value)};")
        else:
            lane = "v" if self.plan.width > 1 else "0"
            if self.plan.columns:
                self.w.line(f"column{p}[k][{lane}] = {self.lanes.combined(p, f'column{p}[k][{lane}]', value)};")
                return
            # a row of partial results that is this team's alone
            at = f"column{p}[point + {lane}]"
            self.w.line(f"{at} = first == blockIdx.x ? {value} : {self.lanes.combined(p, at, value)};")

    # ------------------------------------------------------------------------------------ one number an inner point

    def _declare_columns(self, per_point: Sequence[int]) -> None:
        w, found, plan_ = self.w, self.form, self.plan
        for p in per_point:
            kind = c_type(found.dtype(p))
            if not plan_.columns:
                w.line(f"{kind} *const column{p} = partial{p} + ({self.head.index})blockIdx.x * {found.points};")
                continue
            w.line(f"{kind} column{p}[{plan_.rounds}][{plan_.width}];")
            with w.loop("k", plan_.rounds, unroll=plan_.rounds), w.loop("v", plan_.width, unroll=plan_.width):
                w.line(f"column{p}[k][v] = {start_value(found, p)};")

    def _finish_columns(self, per_point: Sequence[int]) -> None:
        """The partial results of a block: those of its teams one after the other, or its only team's."""
        if not self.plan.columns:
            return
        for p in per_point:
            if self.plan.team.rows > 1:
                self._teams_columns(p)
            else:
                self._one_teams_columns(p)

    def _teams_columns(self, p: int) -> None:
        """A thread adds a pack at a time, so that lanes meet different banks."""
        w, found, plan_ = self.w, self.form, self.plan
        kind, points, width = c_type(found.dtype(p)), found.points, plan_.width
        packs = -(-points // width)
        w.line(f"__shared__ Pack<{kind}, {width}> columns{p}[{packs}];")
        with w.loop("i", plan_.team.rows):
            w.line("__syncthreads();")
            with w.block("if (team == i)"), w.loop("k", plan_.rounds, unroll=plan_.rounds):
                w.line(f"const int at = k * {plan_.team.lanes} + lane;")
                with w.block(f"if (at < {packs})"):
                    w.line(f"Pack<{kind}, {width}> sums;")
                    with w.loop("v", width, unroll=width):
                        w.line(f"sums.at[v] = column{p}[k][v];")
                    with w.block("if (i)"):
                        w.line(f"const Pack<{kind}, {width}> before = columns{p}[at];")
                        with w.loop("v", width, unroll=width):
                            w.line(f"sums.at[v] = {self.lanes.combined(p, 'before.at[v]', 'sums.at[v]')};")
                    w.line(f"columns{p}[at] = sums;")
        w.line("__syncthreads();")
        with w.block(f"for (int i = threadIdx.x; i < {points}; i += {plan_.team.threads})"):
            w.line(f"{self._partial(p)} + i] = columns{p}[i / {width}].at[i % {width}];")

    def _one_teams_columns(self, p: int) -> None:
        w, plan_, points = self.w, self.plan, self.form.points
        kind, width = c_type(self.form.dtype(p)), plan_.width
        with w.loop("k", plan_.rounds, unroll=plan_.rounds):
            w.line(f"const int at = (k * {plan_.team.lanes} + lane) * {width};")
            if points % width == 0:
                with w.block(f"if (at < {points})"):
                    w.line(f"Pack<{kind}, {width}> sums;")
                    with w.loop("v", width, unroll=width):
                        w.line(f"sums.at[v] = column{p}[k][v];")
                    w.line(f"store<{width}>(&{self._partial(p)} + at], sums);")
                return
            with w.loop("v", width, unroll=width), w.block(f"if (at + v < {points})"):
                w.line(f"{self._partial(p)} + at + v] = column{p}[k][v];")

    def _partial(self, p: int) -> str:
        """The beginning of a place among the block's partial results."""
        return f"partial{p}[({self.head.index})blockIdx.x * {self.form.points}"
