"""Which operations the ordinary kernels compute between native programs: those that docs/compile.md names, no other."""

from __future__ import annotations

from functools import partial

import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

from compile_cases import program, refusal
from compile_tools import captured
from op_checks import arrays
from op_table import CASES

from autograd_core.backend import get_device
from autograd_core.backends.cpu.native.lowerings import is_native
from autograd_core.compiler.capture import trace
from autograd_core.compiler.expand import expand
from autograd_core.compiler.fuse import OpaqueUnit, schedule
from autograd_core.compiler.simplify import simplify

# Primitives with real operands that have no kernel of their own, at least for some shapes.
LINEAR_ALGEBRA = """cholesky cofactor_change cofactors complement det eigh eigvalsh eliminated inv matrix_exp pinv
    pivots qr require_small slogdet solve solve_triangular svd svdvals"""
CONVOLUTION = "convolution convolution_bias convolution_input convolution_weight"
WHOLE_NUMBERS = "power floor_divide gcd lcm"
PARTS = "exponent ldexp nextafter"
RANGES = "arange linspace"  # of constants
WITHOUT_ROWS = "softmax log_softmax"
HOST = " ".join([LINEAR_ALGEBRA, CONVOLUTION, WHOLE_NUMBERS, PARTS, RANGES, WITHOUT_ROWS]).split()


def test_they_are_the_ones_that_are_stated() -> None:
    found: dict[str, str] = {}
    tracer = partial(trace, device=get_device("numpy"))
    for case in CASES:
        if refusal(case) or any(x.dtype.kind == "c" for x in arrays(case)):
            continue
        p = program(case, single=True)
        graph = simplify(expand(simplify(captured(p.run, *p.inputs).graph), trace=tracer, is_native=is_native))
        for unit in schedule(graph, trace=tracer, is_native=is_native).units:
            e = unit.equation if isinstance(unit, OpaqueUnit) else None
            if e is not None and not is_native(e) and not any(v.dtype.kind == "c" for v in (*e.inputs, *e.outputs)):
                found.setdefault(e.primitive.name, case.name)
    assert set(found) == set(HOST), {name: case for name, case in found.items() if name not in HOST}
