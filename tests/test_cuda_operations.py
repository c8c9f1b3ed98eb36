"""The op table on the arrays of CUDA, over the fake CuPy: what the reference backend gives, it gives.

Left out here, and run by ``pytest --device cuda``: float64, every other dtype, layouts, second derivatives, vmap.
``--every-case`` adds float64.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import op_checks
import pytest
from cuda_tools import fake_devices
from op_table import CASES, OpCase

from autograd_core.backends import conformance


@pytest.fixture(scope="module", autouse=True)
def devices() -> Iterator[None]:
    with fake_devices() as machine:
        yield
        assert all(queue.non_blocking for queue in machine.work), "work went to a stream that is not ours"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_operations_give_what_the_reference_backend_gives(case: OpCase, request: pytest.FixtureRequest) -> None:
    every = request.config.getoption("--every-case")
    xs = op_checks.arrays(case)
    for operands in (op_checks.as_float32(xs), *([xs] if every else [])):
        same_as_reference(case, operands)


def same_as_reference(case: OpCase, xs: op_checks.Arrays) -> None:
    dtype = np.dtype(np.float64 if any(x.dtype in op_checks.SINGLE for x in xs) else np.float32)
    tolerance, what = op_checks.TOLERANCE[dtype], f"{case.name} {dtype}"
    if not case.argnums(xs):
        found, expected = (op_checks.run(case, xs, device) for device in ("cuda", "numpy"))
        op_checks.same([y.numpy() for y in found], [y.numpy() for y in expected], what, tolerance)
        return
    results, cotangents, expected = op_checks.pulled(case, xs, device="numpy")
    found, _, gradients = op_checks.pulled(case, xs, cotangents, device="cuda")
    op_checks.same(found, results, what, tolerance)
    op_checks.same(gradients, expected, f"{what}: gradient", tolerance)


def names() -> list[str]:
    with fake_devices() as machine:
        machine.reset(devices=1)
        return [check.name for check in conformance.checks("cuda")]


@pytest.fixture(scope="module")
def checks(devices: None) -> dict[str, conformance.Check]:
    return {check.name: check for check in conformance.checks("cuda")}


@pytest.mark.parametrize("name", names())
def test_conformance(name: str, checks: dict[str, conformance.Check]) -> None:
    checks[name]()
