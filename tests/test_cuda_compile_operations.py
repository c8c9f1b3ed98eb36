"""Operations compiled on CUDA devices, over the fake CuPy, give what they give eagerly, captured and replayed too.

A few of the lists that test_compile_operations.py compiles; all of them with ``--every-case``, in ten minutes.
"""

from __future__ import annotations

import cuda_host
import pytest
from compile_cases import OpCase, assert_close, chunks, program, together
from cuda_tools import fake_devices
from fake_cublaslt import FakeCublasLt

import autograd_core as ag
from autograd_core.backends.cuda import product_kernels
from autograd_core.backends.cuda.cublaslt import CublasLt

EACH = 90  # one list of so many


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cases" in metafunc.fixturenames:
        every = metafunc.config.getoption("--every-case")
        found = dict([*chunks(every=True)][:: 1 if every else EACH])
        metafunc.parametrize("cases", found.values(), ids=found)


def test_compiled_is_eager(cases: list[OpCase], monkeypatch: pytest.MonkeyPatch) -> None:
    cuda_host.needs_compiler()
    monkeypatch.setattr(product_kernels, "load", lambda: CublasLt(FakeCublasLt()))
    with fake_devices(), ag.default_device("cuda"):
        programs = [program(case, single=bool(i % 2)) for i, case in enumerate(cases)]
        f = together(programs)
        tensors = [ag.tensor(x) for p in programs for x in p.inputs]
        expected = f(*tensors)
        compiled = ag.compile(f)
        for call in range(6):
            for p, found, known in zip(programs, compiled(*tensors), expected, strict=True):
                for k, (y, z) in enumerate(zip(found, known, strict=True)):
                    assert_close(y, z, f"{p.case.name}, call {call}, output {k}")
        assert "replayed as" in str(compiled.report())
