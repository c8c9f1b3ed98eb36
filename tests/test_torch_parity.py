"""Every public name of torch.nn and torch.nn.functional (2.13) is ours too, with its arguments, or has its reason."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import pytest

from autograd_core import nn
from autograd_core.nn import functional, init

torch = pytest.importorskip("torch")

DEPRECATED = "PyTorch itself says to use something else"
IMMUTABLE = "changes its operand; tensors are values here: y = relu(x)"
LAZY = "shapes are said when a layer is made; nothing is filled in by the first batch"
LOW_PRECISION = "a matrix product for formats of single devices, no function of networks"
NAMESPACE = "a folder of PyTorch's, not a name to use"
PLUMBING = "what PyTorch is made with, no function of networks"
ONE_PROCESS = "one process on one device; nothing is spread over several here"
RETURN_INDICES = "the function without the suffix, with return_indices=True"

NOT_IN_NN: dict[str, str] = {
    **dict.fromkeys(["Container", "NLLLoss2d"], DEPRECATED),
    **dict.fromkeys(["DataParallel", "SyncBatchNorm", "parallel"], ONE_PROCESS),
    **dict.fromkeys([f"LazyConv{transposed}{n}d" for transposed in ("", "Transpose") for n in (1, 2, 3)], LAZY),
    **dict.fromkeys([f"Lazy{kind}Norm{n}d" for kind in ("Batch", "Instance") for n in (1, 2, 3)], LAZY),
    **dict.fromkeys(["LazyLinear", "UninitializedBuffer", "UninitializedParameter"], LAZY),
    **dict.fromkeys(["intrinsic", "qat", "quantizable", "quantized"], "no quantized networks yet"),
    **dict.fromkeys(["common_types", "grad", "modules"], NAMESPACE),
    **dict.fromkeys(["RNNBase", "RNNCellBase", "factory_kwargs"], PLUMBING),
    "CrossMapLRN2d": "the same as LocalResponseNorm, which takes any number of axes",
    "LinearCrossEntropyOptions": "how PyTorch cuts the loss into chunks of memory",
}

NOT_IN_FUNCTIONAL: dict[str, str] = {
    **dict.fromkeys(
        [f"{name}_" for name in ("celu", "elu", "hardtanh", "leaky_relu", "relu", "rrelu", "selu", "threshold")],
        IMMUTABLE,
    ),
    **dict.fromkeys(
        [f"{kind}max_pool{n}d_with_indices" for kind in ("", "adaptive_") for n in (1, 2, 3)], RETURN_INDICES
    ),
    **dict.fromkeys([f"fractional_max_pool{n}d_with_indices" for n in (2, 3)], RETURN_INDICES),
    **dict.fromkeys(["upsample", "upsample_bilinear", "upsample_nearest"], DEPRECATED),
    **dict.fromkeys(["grouped_mm", "scaled_grouped_mm", "scaled_mm", "ScalingType", "SwizzleType"], LOW_PRECISION),
    **dict.fromkeys(["assert_int_or_pair", "boolean_dispatch", "handle_torch_function", "DType"], PLUMBING),
    **dict.fromkeys([f"has_torch_function{kind}" for kind in ("", "_unary", "_variadic")], PLUMBING),
    "native_channel_shuffle": "channel_shuffle, by another kernel",
    "conv_tbc": "conv1d of a transposed sequence",
}

# Arguments that PyTorch has and no layer or function here: the way they are said instead.
REPLACED = {
    "size_average": "reduction",
    "reduce": "reduction",
    "inplace": "taken where it is, without effect: tensors are values",
    "device": "by name only",
    "dtype": "by name only",
    "out": "tensors are values",
    "generator": "ours: which random numbers",
}

OTHER_ARGUMENTS: dict[str, str] = {
    "Hardtanh": "min_value and max_value are old names",
    "Embedding": "_weight and _freeze are private: from_pretrained",
    "EmbeddingBag": "_weight is private: from_pretrained",
    "LinearCrossEntropyLoss": "options cut the loss into chunks of memory",
    "linear_cross_entropy": "options cut the loss into chunks of memory",
    "RNN": "written out, where PyTorch passes everything on",
    "LSTM": "written out, where PyTorch passes everything on",
    "GRU": "written out, where PyTorch passes everything on",
    "batch_norm": "running statistics may be left out in training",
    "softmax": "dim is -1 unless given, where PyTorch guesses and warns; axis is the standard's word for it",
    "log_softmax": "dim is -1 unless given, where PyTorch guesses and warns; axis is the standard's word for it",
    "softmin": "dim is -1 unless given, where PyTorch guesses and warns",
    "multi_head_attention_forward": "batch_first, which PyTorch's layer does itself",
    "tanh": "the function of the array API standard: operands by position",
}


def public(module: ModuleType) -> set[str]:
    """Classes, functions and folders of a module, without what it imports for itself."""
    return {name for name, value in vars(module).items() if is_api(name, value, module.__name__)}


def is_api(name: str, value: Any, home: str) -> bool:
    if name.startswith("_") or name in ("Optional", "Callable", "Tensor", "TYPE_CHECKING"):
        return False
    if isinstance(value, ModuleType):
        return value.__name__.startswith(f"{home}.")
    return callable(value) and not name.startswith("Broadcasting")


@pytest.mark.parametrize(
    ("theirs", "ours", "reasons"),
    [(torch.nn, nn, NOT_IN_NN), (torch.nn.functional, functional, NOT_IN_FUNCTIONAL)],
    ids=["nn", "functional"],
)
def test_every_name_is_ours_or_has_a_reason(theirs: Any, ours: Any, reasons: dict[str, str]) -> None:
    assert {name for name in public(theirs) if not hasattr(ours, name)} - set(reasons) == set()
    assert {name for name in reasons if hasattr(ours, name)} == set()


def test_every_initialiser_is_ours() -> None:
    theirs = {name for name in public(torch.nn.init) if name.endswith("_") or name == "calculate_gain"}
    assert theirs - set(vars(init)) == set()


def arguments(f: Callable[..., Any]) -> list[tuple[str, str]]:
    """Names and defaults, without those that are said otherwise here."""
    found = [p for p in inspect.signature(f).parameters.values() if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return [
        (p.name, default(p.default)) for p in found if p.name not in REPLACED and p.name not in ("self", "_stacklevel")
    ]


def default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return "required"
    if callable(value):
        return value.__name__
    return repr(float(value)) if isinstance(value, (int, float)) and not isinstance(value, bool) else repr(value)


def layers() -> Iterable[tuple[str, Any, Any]]:
    for name, theirs in vars(torch.nn).items():
        if isinstance(theirs, type) and issubclass(theirs, torch.nn.Module) and hasattr(nn, name):
            yield name, theirs.__init__, getattr(nn, name).__init__


def functions() -> Iterable[tuple[str, Any, Any]]:
    for name, theirs in vars(torch.nn.functional).items():
        # what is written in C, or passes everything on, says nothing about its arguments
        if inspect.isfunction(theirs) and hasattr(functional, name) and arguments(theirs):
            yield name, theirs, getattr(functional, name)


@pytest.mark.parametrize(("name", "theirs", "ours"), [*layers(), *functions()])
def test_arguments_and_defaults_are_the_same(name: str, theirs: Any, ours: Any) -> None:
    same = arguments(theirs) == arguments(ours)
    if name in OTHER_ARGUMENTS:
        assert not same, f"{name} has the same arguments, although it is said to have others"
    else:
        assert same, f"{name}{arguments(ours)}, in PyTorch {arguments(theirs)}"
