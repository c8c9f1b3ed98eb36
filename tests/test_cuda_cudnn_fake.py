"""The fake of cuDNN's front end refuses what the real one only assumes, and has its names; the library has plans."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fake_cudnn
import numpy as np
import pytest
from cuda_tools import fake_devices
from fake_cudnn import ENUMERATIONS, FACTS, FrontEnd, cudnnGraphNotSupportedError

from autograd_core.backends.cuda import cudnn
from autograd_core.ops._windows import windows


@pytest.fixture
def front_end() -> Iterator[FrontEnd]:
    with fake_devices(), fake_cudnn.installed() as made:
        yield made


def graph_of(front_end: FrontEnd, **changes: Any) -> Any:
    front = front_end
    kinds = front.data_type
    how = {"dim": [1, 2, 5, 5], "output": [1, 3, 3, 3], "uid": 2, "types": kinds.FLOAT, "set_output": True, **changes}
    graph = front.pygraph(
        io_data_type=kinds.FLOAT,
        intermediate_data_type=how["types"],
        compute_data_type=how["types"],
        handle=front.create_handle(),
    )
    size = how["dim"]
    x = graph.tensor(dim=size, stride=[50, 25, 5, 1], data_type=kinds.FLOAT, uid=1)
    w = graph.tensor(dim=[3, 2, 3, 3], stride=[18, 9, 3, 1], data_type=kinds.FLOAT, uid=how["uid"])
    y = graph.conv_fprop(image=x, weight=w, pre_padding=[0, 0], post_padding=[0, 0], stride=[1, 1], dilation=[1, 1])
    y.set_output(how["set_output"]).set_data_type(kinds.FLOAT).set_dim(how["output"])
    y.set_stride([27, 9, 3, 1]).set_uid(3)
    return graph


@pytest.mark.parametrize(
    ("wrong", "kind"),
    [
        (lambda front: front.get_error_string(), AttributeError),
        (lambda front: front.set_stream(1000, "0"), TypeError),
        (lambda front: graph_of(front).conv_fprop(image=1, weight=2), TypeError),
        (lambda front: graph_of(front).matmuls(), AttributeError),
        (lambda front: graph_of(front).deselect_numeric_notes(["FFT"]), TypeError),
        (lambda front: graph_of(front, uid=1), RuntimeError),
        (lambda front: graph_of(front, set_output=False).validate(), RuntimeError),
        (lambda front: graph_of(front, dim=[1, 2, 5, 6]).validate(), RuntimeError),
        (lambda front: graph_of(front, types=front.data_type.HALF).validate(), cudnnGraphNotSupportedError),
        (lambda front: graph_of(front).build_operation_graph(), cudnnGraphNotSupportedError),
        (lambda front: graph_of(front).get_workspace_size(), RuntimeError),
        (lambda front: graph_of(front).execute({1: 16, 2: 16, 3: 16}, 0), TypeError),
        (lambda front: graph_of(front).execute({1: 16, 2: 16, 3: 16}, 0, handle=1000), RuntimeError),
    ],
    ids=range(13),
)
def test_the_fake_refuses(front_end: FrontEnd, wrong: Callable[[FrontEnd], Any], kind: type[Exception]) -> None:
    with pytest.raises(kind):
        wrong(front_end)


@pytest.mark.parametrize("wrong", ["stream", "address", "arrays", "workspace"])
def test_the_fake_refuses_to_run(front_end: FrontEnd, wrong: str) -> None:
    import cupy

    operands = [np.ones((2, 3, 6, 7), np.float32), np.ones((5, 3, 3, 2), np.float32)]
    seen = windows("conv", (6, 7), (3, 2), (1, 2), ((1, 1), (0, 0)), (2, 1))
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        arrays = [cupy.asarray(a) for a in operands]
        found = cudnn.problem_of("forward", arrays, seen, 1, bias=False, mode="fp32")
        plan = cudnn.ConvolutionPlan(cudnn.Cudnn(front_end), found)
        y, workspace = cupy.empty(found.output, "float32"), cupy.empty(plan.workspace, "uint8")
        pointers = [a.data.ptr for a in arrays]
        plan.run(pointers, y.data.ptr, workspace=workspace.data.ptr, stream=stream.ptr)
        with pytest.raises(RuntimeError):
            plan.run(
                pointers[:1] if wrong == "arrays" else pointers,
                y.data.ptr + (4 if wrong == "address" else 0),
                workspace=0 if wrong == "workspace" else workspace.data.ptr,
                stream=stream.ptr + (1 if wrong == "stream" else 0),
            )


def test_the_names_are_those_of_a_release_that_has_what_is_used() -> None:
    major, minor = (int(part) for part in FACTS["version"].split(".")[:2])
    assert (major, minor) >= cudnn.OLDEST_FRONT_END
    notes = {*cudnn.NEVER, *cudnn.NOT_IN_HALF, *cudnn.NOT_EXACT}
    assert notes <= set(ENUMERATIONS["numerical_note"].__members__)
    assert {*cudnn.DTYPES.values()} <= set(ENUMERATIONS["data_type"].__members__)


@pytest.mark.skipif(find_spec("cudnn") is None, reason="nvidia-cudnn-frontend is not installed")
def test_the_real_library_has_plans() -> None:
    script = Path(__file__).with_name("cudnn_plans.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
