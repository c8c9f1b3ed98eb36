"""The machine that runs PTX, by itself: instructions against exact arithmetic, and what it must refuse."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import ptx_warps
import pytest
from ptx_arithmetic import operation
from ptx_machine import Machine, MachineError
from ptx_memory import Global
from ptx_parser import Immediate, Module, Vector, parse
from ptx_rounding import fma_double, fma_single, tf32

HEAD = """.version 9.0
.target sm_90
.address_size 64
.extern .shared .align 16 .b8 room[];
.visible .entry k(.param .u64 k_0, .param .u64 k_1)
.maxntid 64, 1, 1
{
    .reg .pred %p<9>; .reg .b16 %h<9>; .reg .b32 %r<40>; .reg .f32 %f<40>; .reg .b64 %d<9>; .reg .f64 %e<9>;
    ld.param.u64 %d1, [k_0];
    ld.param.u64 %d2, [k_1];
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, %ctaid.x;
    mul.wide.u32 %d3, %r1, 4;
    add.s64 %d4, %d1, %d3;
    add.s64 %d5, %d2, %d3;
    shl.b32 %r3, %r1, 2;
    mov.u32 %r4, room;
    add.s32 %r5, %r4, %r3;
"""


def kernel(body: str) -> Module:
    return parse(f"{HEAD}{body}\nret;\n}}")


def run(
    body: str, x: np.ndarray, y: np.ndarray, *, grid: int = 1, block: int = 64, shared: int = 256, **options: Any
) -> tuple[np.ndarray, np.ndarray]:
    memory = Global()
    places = [memory.add(a) for a in (x, y)]
    Machine(kernel(body), "k", memory, places, grid=grid, block=block, shared=shared, **options)
    a, b = (memory.array(p, a) for p, a in zip(places, (x, y), strict=True))
    return a, b


WORDS = np.arange(64, dtype=np.uint32)
NOTHING = np.zeros(64, np.uint32)

# ------------------------------------------------------------------------------------------------ arithmetic


def exact(x: Any) -> Fraction:
    return Fraction(float(x))


def nearest(value: Fraction, kind: type) -> float:
    """The nearest number of the type, ties to even, of one that is in its ordinary range."""
    bits = 24 if kind is np.float32 else 53
    if not value:
        return 0.0
    exponent = value.numerator.bit_length() - value.denominator.bit_length()
    exponent -= abs(value) < Fraction(2) ** exponent
    unit = Fraction(2) ** (exponent - bits + 1)
    return float(round(value / unit) * unit)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_multiply_adds_are_rounded_once(kind: type) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(500).astype(kind) for _ in range(2))
    c = (-a.astype(np.float64) * b).astype(kind) * rng.choice([1, 1 + 1e-3, 2.0**20, 2.0**-20], 500).astype(kind)
    found = fma_single(a, b, c, "rn") if kind is np.float32 else fma_double(a, b, c)
    expected = [nearest(exact(x) * exact(y) + exact(z), kind) for x, y, z in zip(a, b, c, strict=True)]
    np.testing.assert_array_equal(found, np.array(expected, kind))


def test_sums_are_rounded_in_the_direction_that_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    a, b, c = (rng.standard_normal(500).astype(np.float32) for _ in range(3))
    values = [exact(x) * exact(y) + exact(z) for x, y, z in zip(a, b, c, strict=True)]
    cut, below = (fma_single(a, b, c, rounding) for rounding in ("rz", "rm"))
    for x, y, value in zip(cut, below, values, strict=True):
        assert abs(exact(x)) <= abs(value) < abs(exact(np.nextafter(x, np.float32(np.copysign(np.inf, float(value))))))
        assert exact(y) <= value < exact(np.nextafter(y, np.float32(np.inf)))


def test_tf32_is_rounded_to_the_nearest_with_ties_away_from_zero() -> None:
    bits = np.array([0x3F800FFF, 0x3F801000, 0x3F801001, 0xBF801000, 0x3FFFF000, 0x00001000, 0x7F800000], np.uint32)
    expected = np.array([0x3F800000, 0x3F802000, 0x3F802000, 0xBF802000, 0x40000000, 0x00002000, 0x7F800000], np.uint32)
    np.testing.assert_array_equal(tf32(bits.view(np.float32)).view(np.uint32), expected)
    assert tf32(np.array([np.nan], np.float32)).view(np.uint32)[0] == 0x7FFFFFFF


def computed(opcode: str, *values: Any) -> Any:
    found = operation(opcode)
    given = [np.array([v]).astype(t) for v, t in zip(values, found.operands, strict=True)]
    with np.errstate(all="ignore"):
        return found.function(*given)[0]


@pytest.mark.parametrize(
    ("opcode", "values", "expected"),
    [
        ("div.s32", (-7, 2), -3),
        ("rem.s32", (-7, 2), -1),
        ("mul.hi.u64", (2**63, 6), 3),
        ("mul.hi.s32", (-(2**30), 8), -2),
        ("mul.wide.s32", (-(2**30), 8), -(2**33)),
        ("shl.b32", (1, 32), 0),
        ("shr.s32", (-8, 40), -1),
        ("prmt.b32", (0x33221100, 0x77665544, 0x7531), 0x77553311),
        ("shf.l.wrap.b32", (0x80000000, 1, 33), 3),
        ("cvt.rzi.s32.f32", (-1.5,), -1),
        ("cvt.rni.s32.f32", (2.5,), 2),
        ("cvt.rzi.s32.f32", (1e20,), 2**31 - 1),
        ("cvt.rzi.s64.f64", (np.nan,), -(2**63)),
        ("cvt.rzi.s32.f32", (np.nan,), 0),
        ("cvt.rn.bf16x2.f32", (2.0, 1.0), 0x40003F80),  # the first comes into the upper half
        ("copysign.f32", (-1.0, 3.0), -3.0),  # the sign is the first one's
        ("max.f32", (np.nan, 3.0), 3.0),
        ("mul.ftz.f32", (1e-30, 1e-9), 0.0),
        ("cvt.sat.f32.f32", (np.nan,), 0.0),
        ("setp.ltu.f32", (np.nan, 1.0), True),
        ("setp.ne.f32", (np.nan, 1.0), False),
        ("setp.neu.f32", (np.nan, 1.0), True),
        ("clz.b64", (1,), 63),
    ],
)
def test_instructions(opcode: str, values: tuple[float, ...], expected: float) -> None:
    assert computed(opcode, *values) == expected


@pytest.mark.parametrize("opcode", ["frobnicate.f32", "add.rp.f32", "cvt.rp.f32.s32", "prmt.b32.f4e"])
def test_what_is_unknown_is_refused(opcode: str) -> None:
    with pytest.raises(NotImplementedError, match="no instruction"):
        operation(opcode)


def test_long_numbers_are_added_with_a_carry() -> None:
    body = "mov.u32 %r6, -1; add.cc.u32 %r7, %r6, %r1; addc.u32 %r8, 5, 0; st.global.u32 [%d5], %r8;"
    np.testing.assert_array_equal(run(body, WORDS, NOTHING)[1], 5 + (WORDS > 0))


# ---------------------------------------------------------------------------------------- warps, tensor cores


@pytest.mark.parametrize(
    ("shape", "half", "terms"),
    [
        ("m16n8k8.row.col.f32.tf32.tf32.f32", None, 8),
        ("m16n8k16.row.col.f32.f16.f16.f32", np.float16, 16),
        ("m16n8k16.row.col.f32.bf16.bf16.f32", ml_dtypes.bfloat16, 16),
    ],
)
def test_fragments_are_those_of_the_specification(shape: str, half: Any, terms: int) -> None:
    """Drawn lane by lane from the figures: 0:{a0,a1} beside 1:{a0,a1}, the rows below by 8, the columns behind."""
    rng = np.random.default_rng(0)
    a, b, c = (rng.integers(-8, 9, s).astype(np.float64) for s in ((16, terms), (terms, 8), (16, 8)))
    left, right, sums = ([np.zeros((1, 32), np.uint32) for _ in range(n)] for n in (4, 2, 4))
    for lane in range(32):
        row, four = divmod(lane, 4)
        for i in range(4):
            below, behind = 8 * (i % 2), i // 2 * terms // 2
            if half is None:
                left[i][0, lane] = np.float32(a[row + below, four + behind]).view(np.uint32)
            else:
                left[i][0, lane] = a[row + below, 2 * four + behind :][:2].astype(half).view(np.uint32)[0]
            sums[i][0, lane] = np.float32(c[row + 8 * (i // 2), 2 * four + i % 2]).view(np.uint32)
        for i in range(2):
            behind = i * terms // 2
            if half is None:
                right[i][0, lane] = np.float32(b[four + behind, row]).view(np.uint32)
            else:
                right[i][0, lane] = b[2 * four + behind :, row][:2].astype(half).view(np.uint32)[0]
    found = ptx_warps.multiplied(shape, left, right, [s.view(np.float32) for s in sums])
    expected = a @ b + c
    for lane in range(32):
        row, four = divmod(lane, 4)
        for i in range(4):
            assert found[i][0, lane] == expected[row + 8 * (i // 2), 2 * four + i % 2]


def test_shuffles() -> None:
    body = "shfl.sync.bfly.b32 %r6|%p1, %r1, 1, 31, -1; st.global.u32 [%d5], %r6;"
    np.testing.assert_array_equal(run(body, WORDS, NOTHING)[1], WORDS ^ 1)
    body = "shfl.sync.down.b32 %r6|%p1, %r1, 4, 6175, -1; selp.u32 %r7, %r6, 99, %p1; st.global.u32 [%d5], %r7;"
    np.testing.assert_array_equal(run(body, WORDS, NOTHING)[1], np.where(WORDS % 8 < 4, WORDS + 4, 99))


def test_a_shuffle_takes_all_lanes_that_it_names() -> None:
    body = "setp.lt.u32 %p1, %r1, 40; @%p1 shfl.sync.bfly.b32 %r6, %r1, 1, 31, -1; st.global.u32 [%d5], %r6;"
    with pytest.raises(MachineError, match="lanes of a warp"):
        run(body, WORDS, NOTHING)


# ------------------------------------------------------------------------------------------ threads that differ


def test_threads_that_differ_meet_again() -> None:
    """Each counts to its own number; all exchange what they have afterwards."""
    body = """
    mov.u32 %r6, 0;
$L_1:
    add.s32 %r6, %r6, 1;
    setp.lt.u32 %p1, %r6, %r1;
    @%p1 bra $L_1;
    shfl.sync.bfly.b32 %r7, %r6, 1, 31, -1;
    st.global.u32 [%d5], %r7;"""
    np.testing.assert_array_equal(run(body, WORDS, NOTHING)[1], np.maximum(WORDS, 1)[WORDS ^ 1])


def test_functions_are_called_by_some_threads() -> None:
    text = """.func (.param .b32 f_r) f(.param .b32 f_0) { .reg .b32 %r<3>; ld.param.u32 %r1, [f_0];
    add.s32 %r2, %r1, 100; st.param.b32 [f_r+0], %r2; ret; }
    """
    body = """mov.u32 %r7, %r1; setp.lt.u32 %p1, %r1, 10; @%p1 bra $L_1;
    { .param .b32 param0; st.param.b32 [param0+0], %r1; .param .b32 retval0; call.uni (retval0), f, (param0);
    ld.param.b32 %r7, [retval0+0]; }
$L_1:
    st.global.u32 [%d5], %r7;"""
    memory = Global()
    places = [memory.add(a) for a in (WORDS, NOTHING)]
    Machine(parse(f"{text}{HEAD}{body}\nret;\n}}"), "k", memory, places, grid=1, block=64)
    np.testing.assert_array_equal(memory.array(places[1], NOTHING), np.where(WORDS < 10, WORDS, WORDS + 100))


ARRIVE = """
    bar.sync 0;
    setp.ne.s32 %p1, %r1, 0;
    @%p1 bra $L_2;
    atom.global.add.u32 %r6, [%d2], 1;
$L_1:
    ld.acquire.gpu.global.u32 %r7, [%d2];
    setp.lt.u32 %p2, %r7, {};
    @%p2 bra $L_1;
$L_2:
    bar.sync 0;
"""


def test_blocks_wait_for_each_other() -> None:
    _, y = run(ARRIVE.format(3), WORDS, NOTHING, grid=3, together=True)
    assert y[0] == 3


def test_a_block_that_waits_for_what_never_comes_is_told() -> None:
    with pytest.raises(MachineError, match="never arrive"):
        run(ARRIVE.format(4), WORDS, NOTHING, grid=3, together=True)


def test_a_barrier_that_some_threads_do_not_reach_is_told() -> None:
    with pytest.raises(MachineError, match="different"):
        run("setp.lt.u32 %p1, %r1, 32; @%p1 bra $L_1; bar.sync 0; bar.sync 0; ret;\n$L_1: bar.sync 0;", WORDS, NOTHING)


# ------------------------------------------------------------------------------------------------------ memory

SHARED_ROUND = "st.shared.u32 [%r5], %r1; {} xor.b32 %r6, %r3, {}; add.s32 %r6, %r4, %r6; ld.shared.u32 %r7, [%r6];"


def test_shared_memory_is_shared() -> None:
    body = SHARED_ROUND.format("bar.sync 0;", 128) + "st.global.u32 [%d5], %r7;"
    np.testing.assert_array_equal(run(body, WORDS, NOTHING)[1], WORDS ^ 32)


REFUSED = {
    "no barrier between warps": (SHARED_ROUND.format("", 128), "meet in shared memory"),
    "beside shared memory": ("st.shared.u32 [%r5+4], %r1;", "beside the 256 bytes of shared"),
    "beside an array": ("ld.global.u32 %r6, [%d4+4];", "beside the arrays"),
    "nowhere": ("ld.global.u32 %r6, [%d3];", "in no array"),
    "misaligned": ("ld.global.v2.u32 {%r6, %r7}, [%d4];", "no multiple of 8"),
    "two blocks at one place": ("st.global.u32 [%d5], %r2; ld.global.u32 %r6, [%d5];", "two blocks meet"),
    "constants that were written": ("st.global.u32 [%d5], %r1; ld.global.nc.u32 %r6, [%d5];", "a load of constants"),
    "before the launch before": ("ld.global.u32 %r6, [%d4]; griddepcontrol.wait;", "before griddepcontrol.wait"),
    "a copy that lies askew": ("cp.async.ca.shared.global [%r5], [%d4+2], 4;", "no multiple of 4"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_hardware_refuses_or_leaves_undefined_is_refused(what: str) -> None:
    body, message = REFUSED[what]
    with pytest.raises(MachineError, match=message):
        run(body, WORDS, NOTHING, grid=2)


COPY = "setp.lt.u32 %p1, %r1, 48; selp.u32 %r8, 4, 0, %p1; cp.async.ca.shared.global [%r5], [%d4], 4, %r8;"
READ = "ld.shared.u32 %r7, [%r5]; st.global.u32 [%d5], %r7;"


@pytest.mark.parametrize(
    ("between", "is_there"),
    [
        ("cp.async.commit_group; cp.async.wait_group 0;", True),
        ("cp.async.commit_group; cp.async.commit_group; cp.async.wait_group 1;", True),
        ("cp.async.commit_group; cp.async.wait_group 1;", False),
        ("cp.async.wait_group 0;", False),
        ("", False),
    ],
)
def test_copies_are_there_when_their_group_has_been_waited_for(between: str, is_there: bool) -> None:
    """Where nothing is to be copied there are zeros then, and nonsense before."""
    _, y = run(f"{COPY} {between} {READ}", WORDS, NOTHING)
    np.testing.assert_array_equal(y, np.where(WORDS < 48, WORDS, 0) if is_there else np.uint32(0xFFFFFFFF))


# ------------------------------------------------------------------------------------------------------ the text


def test_names_of_inner_scopes_are_their_own() -> None:
    body = "mov.u32 %r6, 7; { .reg .b32 %r6; mov.u32 %r6, 1; } st.global.u32 [%d5], %r6;"
    assert (run(body, WORDS, NOTHING)[1] == 7).all()


def test_operands_and_directives_are_read() -> None:
    f = kernel("mov.b64 {%r6, _}, %d1; @!%p1 st.global.v2.u32 [%d4+8], {%r1, 0};").functions["k"]
    assert f.directives["maxntid"] == (64, 1, 1)
    assert [p.size for p in f.parameters] == [8, 8]
    *_, store, _ = f.instructions
    assert store.guard is not None
    assert store.guard[1]
    assert store.operands[0].offset == 8  # type: ignore[union-attr]
    assert isinstance(store.operands[1], Vector)
    assert store.operands[1].parts[1] == Immediate("0")


def test_an_instruction_that_is_not_known_is_named() -> None:
    with pytest.raises(NotImplementedError, match=r"wgmma\.fence"):
        run("wgmma.fence.sync.aligned;", WORDS, NOTHING)
