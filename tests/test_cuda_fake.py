"""The fake CuPy refuses what CuPy and CUDA refuse: without that, what runs on it would prove nothing."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import ModuleType

import cuda_code
import fake_cupy
import numpy as np
import pytest
from fake_cupy import arrays, facts, functions, runtime


@pytest.fixture
def machine() -> Iterator[fake_cupy.Machine]:
    with fake_cupy.installed() as machine:
        yield machine


@pytest.fixture
def cp(machine: fake_cupy.Machine) -> ModuleType:
    import cupy

    return cupy


# Names and arguments ---------------------------------------------------------------------------------------------


def test_names_are_those_of_a_release() -> None:
    assert int(facts.VERSION.partition(".")[0]) >= 14
    assert {"add", "matmul", "where"} <= set(facts.NAMESPACES["cupy"])


@pytest.mark.parametrize("name", ["vecdot", "unstack", "geomspace", "emath", "errstate", "nditer"])
def test_what_numpy_has_and_cupy_lacks_is_refused(cp: ModuleType, name: str) -> None:
    assert hasattr(np, name)
    with pytest.raises(AttributeError, match=f"no attribute '{name}'"):
        getattr(cp, name)


@pytest.mark.parametrize(
    "call",
    [
        lambda cp, x: cp.sum(x, where=x > 0),
        lambda cp, x: x.max(initial=0.0),
        lambda cp, x: cp.add(x, x, where=x > 0),
        lambda cp, x: cp.take(x, x, mode="clip"),
        lambda cp, x: cp.lib.stride_tricks.as_strided(x, (2,), (4,), writeable=False),
    ],
)
def test_arguments_that_cupy_lacks_are_refused(cp: ModuleType, call) -> None:
    with pytest.raises(TypeError):
        call(cp, cp.ones(3))


def test_methods_and_functions_of_its_own_have_cupys_parameters() -> None:
    for name, entry in facts.CLASSES["cupy.ndarray"].items():
        own = inspect.getattr_static(arrays.ndarray, name, None)
        if (
            name != "__init__"
            and isinstance(entry, dict)
            and inspect.isfunction(own)
            and own.__module__ == arrays.__name__
        ):
            theirs = facts.signature("cupy.ndarray", name)
            if own.__qualname__.startswith("ndarray.") and theirs is not None:
                mine = [n for n in inspect.signature(own).parameters if n != "self"]
                assert mine == list(theirs.parameters), name
    for (where, name), own in functions.OWN.items():
        theirs = facts.signature(where, name)
        mine = inspect.signature(own)
        if theirs is not None and not any(p.kind is p.VAR_POSITIONAL for p in mine.parameters.values()):
            options = [n for n in mine.parameters if n not in ("_name", "options")]
            assert options == list(theirs.parameters)[: len(options)], name


@pytest.mark.parametrize("name", ["Device", "Stream", "Event", "Graph"])
def test_classes_have_only_what_cupys_have(name: str) -> None:
    known = set(facts.CLASSES[f"cupy.cuda.{name}"])
    own = {n for n in vars(getattr(runtime, name)) if not n.startswith("_")}
    assert own - known <= {"queue", "queue_of", "point"}  # how the machine is reached


# The host and the device -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda cp, x: np.asarray(x),
        lambda cp, x: np.add(np.ones(3), x),
        lambda cp, x: x + np.ones(3),
        lambda cp, x: cp.maximum(x, np.ones(3)),
        lambda cp, x: cp.stack([x, np.ones(3)]),
        lambda cp, x: cp.sum([1.0, 2.0]),
        lambda cp, x: x.__setitem__(slice(None), np.ones(3)),
        lambda cp, x: cp.where([True, False, True], x, x),
    ],
)
def test_nothing_goes_between_host_and_device_by_itself(cp: ModuleType, call) -> None:
    with pytest.raises((TypeError, AttributeError)):
        call(cp, cp.ones(3))


def test_numpys_functions_of_its_arrays_are_cupys(cp: ModuleType, machine: fake_cupy.Machine) -> None:
    x = cp.ones(3)
    assert type(np.exp(x)) is cp.ndarray
    assert type(np.concatenate([x, x])) is cp.ndarray
    assert machine.launches["exp"] == 1


def test_what_the_host_waits_for_is_counted(cp: ModuleType, machine: fake_cupy.Machine) -> None:
    x = cp.ones(3)
    y = (x * 2).sum()
    assert not machine.synchronizations
    assert float(y) == 6.0
    assert bool(y > 5)
    assert y.item() == 6.0
    assert [v.shape for v in cp.nonzero(x)] == [(3,)]
    assert x[x > 0].shape == (3,)
    assert machine.synchronizations == {"get": 3, "nonzero": 1, "an index by a mask": 1}


def test_a_copy_that_is_not_waited_for_has_not_arrived(cp: ModuleType) -> None:
    stream = cp.cuda.Stream(non_blocking=True)
    with stream:
        host = (cp.ones(3) * 2).get(blocking=False)
        assert np.isnan(host).all()
        stream.synchronize()
    assert host.tolist() == [2, 2, 2]


def test_memory_that_nobody_wrote_holds_no_numbers(cp: ModuleType) -> None:
    assert np.isnan(cp.empty(3).get()).all()


def test_another_fake_inside_leaves_the_machine_as_it_was(cp: ModuleType, machine: fake_cupy.Machine) -> None:
    machine.bodies["kernel"] = print
    x = cp.ones(3)
    with fake_cupy.installed() as inner:
        assert inner is machine
        assert (machine.bodies, machine.allocations) == ({}, 0)
    assert (list(machine.bodies), machine.allocations) == (["kernel"], 1)
    assert x.tolist() == [1, 1, 1]


# Streams and devices ---------------------------------------------------------------------------------------------


def test_streams_must_wait_for_each_other(cp: ModuleType) -> None:
    first, second = cp.cuda.Stream(non_blocking=True), cp.cuda.Stream(non_blocking=True)
    with first:
        x = cp.ones(3)
    with second, pytest.raises(RuntimeError, match="nobody waited for"):
        x + 1
    with pytest.raises(RuntimeError, match="the null stream"):
        x + 1
    second.wait_event(first.record())
    with second:
        y = x + 1
    first.wait_event(second.record())
    with first:
        y += 1  # after what the other stream has done with it
    assert y.device == cp.cuda.Device(0)


def test_memory_is_not_overwritten_while_another_stream_reads_it(cp: ModuleType) -> None:
    first, second = cp.cuda.Stream(non_blocking=True), cp.cuda.Stream(non_blocking=True)
    with first:
        x = cp.ones(3)
    second.wait_event(first.record())
    with second:
        x.sum()
    with first, pytest.raises(RuntimeError, match="nobody waited for"):
        x += 1


def test_arrays_of_two_devices_do_not_meet(cp: ModuleType) -> None:
    x = cp.ones(3)
    with cp.cuda.Device(1):
        y = cp.ones(3)
        assert y.device.id == 1
        with pytest.raises(ValueError, match="Peer access is unavailable"):
            x + y
    with pytest.raises(ValueError, match="Peer access is unavailable"):
        y * 2
    with pytest.raises(fake_cupy.CUDARuntimeError, match="invalid device ordinal"):
        cp.cuda.Device(2).use()


def test_memory_has_a_limit(cp: ModuleType, machine: fake_cupy.Machine) -> None:
    pool = cp.get_default_memory_pool()
    pool.set_limit(size=8192)
    x = cp.zeros(512)
    assert pool.used_bytes() == 4096
    with pytest.raises(cp.cuda.memory.OutOfMemoryError, match="Out of memory allocating 8,192 bytes"):
        cp.zeros(1024)
    del x
    assert (pool.used_bytes(), pool.free_bytes()) == (0, 4096)


# Capture ---------------------------------------------------------------------------------------------------------


def test_a_graph_runs_again_on_the_same_memory(cp: ModuleType, machine: fake_cupy.Machine) -> None:
    stream = cp.cuda.Stream(non_blocking=True)
    with stream:
        x, total = cp.ones(3), cp.zeros(3)
        stream.begin_capture()
        y = x * 2
        total += y
        graph = stream.end_capture()
        assert np.isnan(y.get()).all()  # captured, not run
        graph.launch()
        graph.launch()
        assert total.get().tolist() == [4, 4, 4]
    assert machine.launches["graph"] == 2


def test_a_graph_keeps_no_memory_alive(cp: ModuleType) -> None:
    stream = cp.cuda.Stream(non_blocking=True)
    with stream:
        x = cp.ones(3)
        stream.begin_capture()
        y = x * 2 + 1
        graph = stream.end_capture()
        with pytest.raises(RuntimeError, match="memory that was freed"):
            graph.launch()
    assert y.shape == (3,)  # alive; what it was made from is not


@pytest.mark.parametrize(
    "call",
    [
        lambda cp, s, x: x @ x,
        lambda cp, s, x: cp.linalg.inv(x),
        lambda cp, s, x: cp.sort(x),
        lambda cp, s, x: x.get(),
        lambda cp, s, x: float(x[0, 0]),
        lambda cp, s, x: x[x > 0],
        lambda cp, s, x: cp.where(x > 0),
        lambda cp, s, x: s.synchronize(),
        lambda cp, s, x: s.done,
        lambda cp, s, x: cp.cuda.Device().synchronize(),
        lambda cp, s, x: cp.asarray(np.ones(3)),
    ],
)
def test_what_cannot_be_captured_is_refused(cp: ModuleType, call) -> None:
    stream = cp.cuda.Stream(non_blocking=True)
    with stream:
        x = cp.ones((2, 2))
        stream.begin_capture()
        with pytest.raises((NotImplementedError, fake_cupy.CUDARuntimeError), match="captur|not permitted"):
            call(cp, stream, x)
    with pytest.raises(RuntimeError, match="default"):
        cp.cuda.Stream.null.begin_capture()


# What CuPy computes otherwise ------------------------------------------------------------------------------------


def test_types_are_found_as_cupy_finds_them(cp: ModuleType) -> None:
    x = cp.ones(3, "float32")
    assert [y.dtype.name for y in (x * 2.0, x * np.float64(2), x + 1j, cp.exp(cp.ones(3, "int8")))] == [
        "float32",
        "float64",
        "complex64",
        "float16",
    ]
    assert cp.ones(3, "int32").sum().dtype == "int64"
    assert (cp.ones(3, "uint8") + 0.5).dtype == "float64"
    with pytest.raises(TypeError, match="Wrong type"):
        cp.bitwise_and(x, x)
    with pytest.raises(ValueError, match="Unsupported dtype"):
        cp.asarray(np.array([object()]))


def test_results_differ_from_numpys_where_cupys_do(cp: ModuleType) -> None:
    x = cp.arange(3)
    assert cp.take(x, cp.asarray([4, -5])).tolist() == [1, 1]
    assert x[cp.asarray([4])].tolist() == [1]
    assert x.sum().shape == ()
    assert type(x.sum()) is cp.ndarray
    assert cp.ascontiguousarray(cp.zeros(())).shape == (1,)
    one, infinity = cp.asarray([1.0]), cp.asarray([np.inf])
    assert np.isnan(cp.remainder(one, infinity).get()).all()
    assert cp.power(cp.asarray([2]), cp.asarray([-1])).tolist() == [0]
    assert cp.nextafter(cp.zeros(1, "float32"), cp.ones(1, "float32")).tolist() == [0.0]
    assert np.isnan(cp.linalg.inv(cp.zeros((2, 2))).get()).all()
    with pytest.raises(ValueError, match="a must have"):
        cp.linalg.solve(cp.ones((3, 2, 2)), cp.ones((2, 1)))
    with pytest.raises(TypeError, match="does not support"):
        cp.add.at(cp.zeros(2, "complex64"), cp.asarray([0]), cp.ones(1, "complex64"))
    with pytest.raises(NotImplementedError, match=r"cupy_multiply.at"):
        cp.multiply.at(x, x, x)


def test_linear_algebra_tells_what_went_wrong_if_it_is_asked_to(cp: ModuleType, machine: fake_cupy.Machine) -> None:
    import cupyx

    with cupyx.errstate(linalg="raise"), pytest.raises(np.linalg.LinAlgError):
        cp.linalg.inv(cp.zeros((2, 2)))
    with cupyx.errstate(linalg="raise"):
        cp.linalg.inv(cp.eye(2))
    assert machine.synchronizations == {"linalg.inv": 1}


def test_raw_kernels_run_as_compiled_for_the_host(cp: ModuleType, machine: fake_cupy.Machine) -> None:
    code = """
        extern "C" __global__ void doubled(const float *x, float *y)
        {
            y[blockIdx.x * 32 + threadIdx.x] = 2 * x[blockIdx.x * 32 + threadIdx.x];
        }
    """
    machine.host_code = cuda_code.body
    x, y = cp.arange(64, dtype="float32"), cp.empty(64, "float32")
    cp.RawModule(code=code).get_function("doubled")((2,), (32,), (x, y))
    assert y.tolist() == list(range(0, 128, 2))


def test_raw_kernels_run_what_is_put_in_their_place(cp: ModuleType, machine: fake_cupy.Machine) -> None:
    kernel = cp.RawModule(code="...").get_function("doubled")
    x, y = cp.ones(4, "float32"), cp.empty(4, "float32")
    with pytest.raises(NotImplementedError, match="'doubled'"):
        kernel((1,), (4,), (x, y, 4))
    machine.bodies["doubled"] = lambda grid, block, args: np.multiply(args[0], 2, out=args[1])
    kernel((1,), (4,), (x, y, 4))
    assert y.tolist() == [2, 2, 2, 2]
    assert machine.launches["doubled"] == 1
    with pytest.raises(TypeError, match="Unsupported type"):
        kernel((1,), (4,), (x, np.ones(4), 4))


def test_an_array_over_memory_that_is_there(cp: ModuleType) -> None:
    x = cp.arange(12.0)
    y = cp.ndarray((2, 3), "float64", x.data + 8, (48, 16))
    assert y.base is None
    np.testing.assert_array_equal(y.get(), [[1, 3, 5], [7, 9, 11]])
    y[...] = 0
    assert x.get().sum() == 0 + 2 + 4 + 6 + 8 + 10


def test_a_pool_of_its_own_keeps_what_a_graph_works_on(cp: ModuleType) -> None:
    pool, x = cp.cuda.MemoryPool(), cp.arange(3.0)
    result = cp.empty(3)
    stream = cp.cuda.Stream(non_blocking=True)
    cp.cuda.Device().synchronize()
    with stream, cp.cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        result[...] = (x * 2) + 1
        graph = stream.end_capture()
        graph.launch(stream)
        stream.synchronize()
    np.testing.assert_array_equal(result.get(), [1, 3, 5])


def test_time_between_events_is_known_when_the_host_has_waited(cp: ModuleType) -> None:
    stream = cp.cuda.Stream(non_blocking=True)
    start, end = cp.cuda.Event(), cp.cuda.Event()
    with stream:
        start.record()
        cp.zeros(3)
        end.record()
        with pytest.raises(RuntimeError, match="cudaErrorNotReady"):
            cp.cuda.get_elapsed_time(start, end)
        stream.synchronize()
        assert cp.cuda.get_elapsed_time(start, end) > 0


CODE = """
extern "C" __global__ void __launch_bounds__(64) kernel(const float *__restrict__ x, long long *y, long long n, float f)
{
}
"""


@pytest.mark.parametrize(
    ("grid", "block", "change", "settings", "message"),
    [
        (1, 65, {}, {}, "65 threads, compiled for 64"),
        (2**31, 64, {}, {}, "no launch of"),
        (1, 64, {}, {"shared_mem": 50_000}, "50000 bytes of shared memory were not asked for"),
        (1, 64, {0: 1}, {}, "1 for 'float \\*'; null is 0"),
        (1, 64, {0: "y"}, {}, "an array of int64 for 'float \\*'"),
        (1, 64, {2: np.int32(3)}, {}, "int32 for 'long long'"),
        (1, 64, {3: 1.0}, {}, "float64 for 'float'"),
        (1, 64, {2: 1.0}, {}, "float64 for 'long long'"),
    ],
)
def test_launches_that_do_not_fit_their_kernel_are_refused(
    cp: ModuleType, machine: fake_cupy.Machine, grid: int, block: int, change: dict, settings: dict, message: str
) -> None:
    machine.bodies["kernel"] = lambda grid, block, args: None
    kernel = cp.RawModule(code=CODE).get_function("kernel")
    x, y = cp.ones(4, "float32"), cp.ones(4, "int64")
    args = {0: x, 1: y, 2: 4, 3: np.float32(1)}
    kernel((1,), (64,), tuple(args.values()))
    kernel((1,), (64,), (0, 0, 4, np.float32(1)))
    args |= {k: y if v == "y" else v for k, v in change.items()}
    with pytest.raises((ValueError, TypeError), match=message):
        kernel((grid,), (block,), tuple(args.values()), **settings)
    with pytest.raises(TypeError, match="3 arguments for"):
        kernel((1,), (64,), (x, y, 4))
