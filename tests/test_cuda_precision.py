"""Training in halves on CUDA devices, over the fake CuPy: with scale and masters a step is still one graph that nothing
waits for. Not yet run on hardware.
"""

from __future__ import annotations

from typing import Any

import cuda_host
import numpy as np
import pytest
from cuda_tools import fake_devices
from fake_cublaslt import FakeCublasLt

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.backends.cuda import product_kernels
from autograd_core.backends.cuda.cublaslt import CublasLt


class Training:
    """A line fitted in float16, whose first steps overflow."""

    def __init__(self, *, compiled: bool):
        self.slope = nn.Parameter(ag.zeros(3, dtype="float16"))
        self.optimizer = optim.MasterWeights(optim.SGD([self.slope], lr=0.1, momentum=0.5))
        self.scaler = optim.GradScaler(init_scale=2.0**17, growth_interval=4)
        rng = np.random.default_rng(0)
        self.x, self.y = (ag.tensor(rng.standard_normal(3), dtype="float16") for _ in range(2))
        self.run = ag.compile(self.step) if compiled else self.step

    def step(self) -> Any:
        self.optimizer.zero_grad()
        loss = (self.x * self.slope - self.y).square().sum()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return loss


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_products_of_halves_can_be_captured(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product_kernels, "load", lambda: CublasLt(FakeCublasLt()))
    a, b = (np.random.default_rng(n).standard_normal((4, 3, 5)).astype(dtype) for n in range(2))
    with fake_devices() as machine:
        product = ag.compile(lambda x, y: x @ y.mT)
        x, y = ag.asarray(a, device="cuda"), ag.asarray(b, device="cuda")
        for _ in range(5):
            found = product(x, y)
        assert product.report().remarks == ("replayed as one CUDA graph",)
        assert found.dtype == dtype
        transposed = y.mT
        machine.forget()
        np.testing.assert_array_equal((x @ transposed).numpy(), found.numpy())
        assert "astype" not in machine.launches  # eagerly it is the same product, of the same halves
        wide = a.astype(np.float64) @ b.astype(np.float64).swapaxes(-1, -2)
        np.testing.assert_allclose(found.numpy().astype(np.float64), wide, rtol=8e-3, atol=1e-3)


def test_a_step_with_scale_and_masters_is_one_graph() -> None:
    cuda_host.needs_compiler()
    with np.errstate(all="ignore"):
        with ag.default_device("numpy"):
            eager = Training(compiled=False)
            expected = [eager.run().item() for _ in range(12)]
        with fake_devices() as machine, ag.default_device("cuda"):
            training, found = Training(compiled=True), []
            for _ in range(12):
                machine.forget()
                loss = training.run()
                launches, waits = dict(machine.launches), sum(machine.synchronizations.values())
                allocations = machine.allocations
                found.append(loss.item())
            assert (launches, waits, allocations) == ({"graph": 1}, 0, 0)
            assert training.scaler.get_scale() == eager.scaler.get_scale() != 2.0**17
            assert training.optimizer.steps.item() == eager.optimizer.steps.item() < 12
    assert expected[-1] < expected[0] * 0.75
    np.testing.assert_allclose(found, expected, rtol=2e-2)  # a sum in another order may round a half the other way
