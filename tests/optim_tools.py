"""Every variant of every optimizer, and parameters and gradients to try them on."""

from __future__ import annotations

from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core import optim
from autograd_core.nn import Parameter

SHAPES = [(3, 4), (5,), (), (0, 2)]
MATRICES = [(3, 4), (5, 2), (1, 1), (0, 2)]  # for an optimizer that takes no others
COUNTS = {"step", "mu_product", "eta", "mu"}  # state of every parameter that is one number, in float32

# (name, options); every option of every optimizer appears, alone and with those it acts upon
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.05, "maximize": True}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    ("Adam", {}),
    ("Adam", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True}),
    ("Adam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.1, "weight_decay": 0.3, "amsgrad": True}),
    ("AdamW", {"lr": 0.1, "betas": (0.0, 0.5), "maximize": True}),
    ("Adagrad", {}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.01, "weight_decay": 0.1, "initial_accumulator_value": 0.1, "eps": 1e-4}),
    ("Adagrad", {"lr": 0.1, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "rho": 0.8, "eps": 1e-4, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"alpha": 0.9, "eps": 1e-4, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {"lr": 1e-3, "momentum": 0.9}),
    ("RMSprop", {"lr": 1e-3, "momentum": 0.5, "centered": True, "eps": 1e-2, "weight_decay": 0.1}),
    ("NAdam", {}),
    ("NAdam", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1, "momentum_decay": 0.1}),
    ("NAdam", {"lr": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True, "maximize": True}),
    ("RAdam", {}),
    ("RAdam", {"lr": 0.05, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    ("RAdam", {"lr": 0.05, "betas": (0.5, 0.6), "decoupled_weight_decay": True, "weight_decay": 0.1, "maximize": True}),
    ("Adamax", {}),
    ("Adamax", {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("Lion", {}),
    ("Lion", {"lr": 1e-2, "betas": (0.8, 0.95), "weight_decay": 0.3, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.1, "etas": (0.4, 1.5), "step_sizes": (0.05, 0.5), "maximize": True}),
    ("ASGD", {}),
    ("ASGD", {"lr": 0.1, "lambd": 0.01, "alpha": 0.5, "t0": 10, "weight_decay": 0.1, "maximize": True}),
    ("Muon", {}),
    ("Muon", {"lr": 0.01, "momentum": 0.8, "nesterov": False, "weight_decay": 0.3, "adjust_lr_fn": "original"}),
    ("Muon", {"ns_coefficients": (2.0, -1.5, 0.5), "ns_steps": 3, "eps": 0.1, "adjust_lr_fn": "match_rms_adamw"}),
]
IDS = [f"{name}-{'-'.join(options) or 'defaults'}" for name, options in VARIANTS]


def make(name: str, params: Any, options: dict[str, Any]) -> optim.Optimizer:
    return getattr(optim, name)(params, **options)


def shapes_for(name: str) -> list[tuple[int, ...]]:
    return MATRICES if name == "Muon" else SHAPES


def parameters(seed: int = 0, dtype: str = "float64", shapes: list[tuple[int, ...]] = SHAPES) -> list[Parameter]:
    rng = np.random.default_rng(seed)
    return [Parameter(np.asarray(rng.standard_normal(shape), dtype)) for shape in shapes]


def give_gradients(params: list[Parameter], step: int) -> list[np.ndarray]:
    rng = np.random.default_rng([step, 7])
    gradients = [np.asarray(rng.standard_normal(p.shape), p.dtype) for p in params]
    for p, g in zip(params, gradients, strict=True):
        p.grad = ag.asarray(g, copy=True, device=p.device)
    return gradients


def values(params: list[Parameter]) -> list[np.ndarray]:
    return [p.numpy().copy() for p in params]


def assert_same(a: list[np.ndarray], b: list[np.ndarray]) -> None:
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)
