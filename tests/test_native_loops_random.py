"""Loop kernels put together at random: what machine code computes is what the slow evaluation does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("llvmlite", reason="loop kernels are machine code made by llvmlite")

from loop_drawings import Drawing
from native_loops import check

from autograd_core.backends.cpu.native.loops import plan as loop_plan


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.booleans())
def test_any_kernel(seed: int, cut: bool) -> None:
    drawing = Drawing(seed)
    with pytest.MonkeyPatch.context() as patched:
        if cut:  # into blocks, and shared as what is large would be
            for name, value in {"BLOCK": 64, "LONG": 16, "WIDE": 8, "MANY": 16, "NARROW": 4, "TILE": 8}.items():
                patched.setattr(loop_plan, name, value)
        compare(drawing)


def compare(drawing: Drawing) -> None:
    threads, level = int(drawing.random.integers(1, 4)), str(drawing.random.choice(["host", "avx2", "scalar"]))
    check(
        drawing.kernel,
        drawing.arrays,
        threads=threads,
        level=level,
        end=drawing.coin(),
        rtol=1e-5,
        atol=1e-3,
    )
