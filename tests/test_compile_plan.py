"""The memory plan: values that live at once never share a byte, and the arena is hardly larger than it must be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd_core.compiler.ir import GraphError
from autograd_core.compiler.plan import ALIGNMENT, Unit, plan


def chain(count: int) -> list[Unit]:
    """x -> 0 -> 1 -> ..., each value read once, by the next unit."""
    return [Unit((i - 1 if i else "x",), (i,)) for i in range(count)]


def test_a_chain_needs_two_buffers():
    found = plan(chain(10), dict.fromkeys(range(10), 1000), elsewhere={"x"})
    assert found.size == found.peak == 2 * 1024
    assert set(found.offsets.values()) == {0, 1024}


def test_a_chain_written_in_place_needs_one_buffer():
    units = [u._replace(in_place=((u.writes[0], u.reads[0]),)) for u in chain(10)]
    found = plan(units, dict.fromkeys([*range(10), "x"], 1000), elsewhere={"x"})
    assert found.size == found.peak == 1024
    assert found.reused == tuple((i, i - 1) for i in range(1, 10))  # x lives elsewhere and is not ours to overwrite


def test_nothing_is_written_over_what_is_read_later():
    units = [Unit((), ("a",)), Unit(("a",), ("b",), in_place=(("b", "a"),)), Unit(("a", "b"), ("c",))]
    found = plan(units, dict.fromkeys("abc", 64))
    assert found.offsets["a"] != found.offsets["b"]
    assert not found.reused


def test_nothing_is_written_over_what_the_unit_reads_by_another_view_too():
    units = [Unit((), ("a",)), Unit(("a", "a.T"), ("b",), in_place=(("b", "a"),))]
    found = plan(units, dict.fromkeys("ab", 64), views={"a.T": ("a", 0)})
    assert found.offsets["a"] != found.offsets["b"]


def test_one_input_is_overwritten_by_one_output():
    units = [Unit((), ("a",)), Unit(("a",), ("b", "c"), in_place=(("b", "a"), ("c", "a")))]
    found = plan(units, dict.fromkeys("abc", 64))
    assert found.offsets["b"] == found.offsets["a"] != found.offsets["c"]


def test_a_small_output_does_not_keep_a_large_input_alive():
    units = [Unit((), ("a",)), Unit(("a",), ("b",), in_place=(("b", "a"),)), Unit(("b",), ("c",)), Unit(("b", "c"), ())]
    found = plan(units, {"a": 10_000, "b": 8, "c": 9_000})
    assert found.size == found.peak < 12_000


def test_a_view_keeps_its_base_alive_and_starts_inside_it():
    units = [Unit((), ("a",)), Unit((), ("b",)), Unit(("v",), ("c",)), Unit(("w", "b"), ())]
    views = {"v": ("a", 256), "w": ("v", 128)}
    found = plan(units, {"a": 1024, "b": 64, "c": 64}, views=views)
    assert found.offsets["v"] == found.offsets["a"] + 256
    assert found.offsets["w"] == found.offsets["a"] + 384
    assert found.size == found.peak == 1024 + 2 * 64


def test_views_of_what_lives_elsewhere_are_left_to_the_caller():
    found = plan([Unit(("v",), ("y",))], {}, elsewhere={"x", "y"}, views={"v": ("x", 8)})
    assert found.size == 0
    assert not found.offsets


def test_a_value_may_be_written_by_parts():
    units = [Unit((), ("left",)), Unit((), ("t",)), Unit(("t",), ("right",)), Unit(("whole",), ())]
    found = plan(units, {"whole": 128, "t": 64}, views={"left": ("whole", 0), "right": ("whole", 64)})
    assert found.size == 192


def test_workspace_is_apart_from_what_its_unit_reads_and_writes_and_is_used_again():
    units = [u._replace(scratch=500) for u in chain(4)]
    found = plan(units, dict.fromkeys(range(4), 512), elsewhere={"x"})
    assert found.size == found.peak == 3 * 512
    assert all(place is not None for place in found.scratch)


def test_a_value_nobody_reads_has_its_place_while_it_is_written():
    found = plan([Unit((), ("a", "b"))], {"a": 64, "b": 64})
    assert found.offsets["a"] != found.offsets["b"]


def test_reading_what_was_never_written_is_a_fault_of_the_compiler():
    with pytest.raises(GraphError, match="unit 0 reads 'a'"):
        plan([Unit(("a",), ())], {"a": 64})


@st.composite
def steps(draw):
    """Units over values of all sizes; reads of values written before, some of them through views, some in place."""
    units, sizes, views = [], {}, {}
    for i in range(draw(st.integers(1, 25))):
        known = [*sizes, *views]
        reads = tuple(draw(st.lists(st.sampled_from(known), max_size=3))) if known else ()
        writes = tuple(f"t{i}.{k}" for k in range(draw(st.integers(0, 2))))
        sizes.update({w: draw(st.integers(0, 40)) * 50 for w in writes})
        in_place = tuple((w, r) for w in writes for r in reads if r not in views)
        units.append(Unit(reads, writes, draw(st.sampled_from([0, 0, 100, 1000])), in_place))
        if writes and draw(st.booleans()):
            views[f"v{i}"] = (draw(st.sampled_from([*writes, *views])), 0)
    return units, sizes, views


@given(steps())
def test_what_lives_at_once_shares_no_byte(case):
    units, sizes, views = case
    found = plan(units, sizes, views=views)

    def root(value):
        while value in views:
            value = views[value][0]
        return value

    alive: dict = {}
    for i, unit in enumerate(units):
        for value in (*unit.reads, *unit.writes):
            first, _ = alive.get(root(value), (i, i))
            alive[root(value)] = (first, i)
    spans = [(first, last, found.offsets[v], sizes[v], v) for v, (first, last) in alive.items()]
    spans += [(i, i, s, u.scratch, None) for i, (u, s) in enumerate(zip(units, found.scratch)) if s is not None]
    handed_over = {(output, root(value)) for output, value in found.reused}
    for a in spans:
        assert a[2] % ALIGNMENT == 0
        assert a[2] + a[3] <= found.size
        for b in spans:
            together = a[0] <= b[1] and b[0] <= a[1]
            disjoint = a[2] + a[3] <= b[2] or b[2] + b[3] <= a[2]
            if a is not b and together and not disjoint:
                # written in place: the one ends in the unit where the other begins
                assert ((a[4], b[4]) in handed_over and a[0] == b[1]) or ((b[4], a[4]) in handed_over and b[0] == a[1])
    assert found.peak <= found.size <= 1.5 * found.peak


def test_a_training_step_fits_in_its_peak():
    """Forward values are kept for the backward sweep and die in reverse order, among temporaries of all sizes."""
    layers = 60
    sizes: dict = {}
    units = []
    for i in range(layers):
        sizes[f"h{i}"], sizes[f"t{i}"] = 1000 + 700 * (i % 7), 400 + 900 * (i % 5)
        before = (f"h{i - 1}",) if i else ()
        units += [Unit(before, (f"t{i}",), scratch=300 * (i % 3)), Unit((f"t{i}", *before), (f"h{i}",))]
    for i in reversed(range(layers)):
        sizes[f"g{i}"] = 1000 + 700 * (i % 7)
        after = (f"g{i + 1}",) if i + 1 < layers else ()
        units.append(Unit((f"h{i}", *after), (f"g{i}",), scratch=5000))
    found = plan(units, sizes)
    assert found.size <= 1.05 * found.peak


@given(st.data())
def test_units_that_may_run_at_the_same_time_share_no_byte(data):
    count = data.draw(st.integers(1, 12))
    before = np.zeros((count, count), bool)
    for j in range(count):
        for i in data.draw(st.sets(st.integers(0, j - 1), max_size=2)) if j else ():
            before[:, j] |= before[:, i]
            before[i, j] = True
    users = {i: {i, *data.draw(st.sets(st.sampled_from(range(i, count)), max_size=3))} for i in range(count)}
    reads = [tuple(v for v in users if j in users[v] and v != j) for j in range(count)]
    units = [Unit(reads[j], (j,), scratch=data.draw(st.sampled_from([0, 100, 5000]))) for j in range(count)]
    sizes = {v: data.draw(st.sampled_from([0, 64, 1000, 4096])) for v in users}
    found = plan(units, sizes, before=before)
    spans = [(found.offsets[v], sizes[v], users[v]) for v in users]
    spans += [(s, u.scratch, {j}) for j, (u, s) in enumerate(zip(units, found.scratch)) if s is not None]
    for k, (a, size_a, users_a) in enumerate(spans):
        for b, size_b, users_b in spans[:k]:
            if a < b + size_b and b < a + size_a:
                there, back = before[np.ix_([*users_a], [*users_b])], before[np.ix_([*users_b], [*users_a])]
                assert there.all() or back.all()
    in_turn = np.triu(np.ones((count, count), bool), 1)
    assert plan(units, sizes, before=in_turn) == plan(units, sizes)
