"""Activation functions as layers."""

from __future__ import annotations

from .case import case

PLAIN = [
    "ReLU",
    "ReLU6",
    "GLU",
    "LeakyReLU",
    "PReLU",
    "ELU",
    "CELU",
    "SELU",
    "GELU",
    "SiLU",
    "Mish",
    "Softplus",
    "Softsign",
    "Sigmoid",
    "LogSigmoid",
    "Tanh",
    "Tanhshrink",
    "Hardtanh",
    "Hardsigmoid",
    "Hardswish",
    "Hardshrink",
    "Softshrink",
]

CASES = [
    *[case(name, None, (4, 3, 6)) for name in PLAIN],
    case("LeakyReLU/slope", lambda n: n.LeakyReLU(0.3, inplace=False), (4, 3)),
    case("PReLU/channels", lambda n: n.PReLU(3, 0.1), (4, 3, 5)),
    case("ELU/alpha", lambda n: n.ELU(0.5), (4, 3)),
    case("CELU/alpha", lambda n: n.CELU(0.5), (4, 3)),
    case("GELU/tanh", lambda n: n.GELU("tanh"), (4, 3)),
    case("Softplus/arguments", lambda n: n.Softplus(2.0, 1.0), (4, 3)),
    case("Hardtanh/limits", lambda n: n.Hardtanh(-0.5, 0.2), (4, 3)),
    case("Threshold", lambda n: n.Threshold(0.1, 0.7), (4, 3)),
    case("Hardshrink/lambd", lambda n: n.Hardshrink(0.8), (4, 3)),
    case("Softmax", lambda n: n.Softmax(dim=1), (4, 3, 2)),
    case("LogSoftmax", lambda n: n.LogSoftmax(dim=-1), (4, 3)),
    case("GLU/axis", lambda n: n.GLU(1), (2, 4, 3)),
    case("RReLU/no-choice", lambda n: n.RReLU(0.2, 0.2), (4, 3)),
    case("RReLU", lambda n: n.RReLU(0.1, 0.5), (4, 3), draws=True),
    case("Softmin", lambda n: n.Softmin(dim=1), (4, 3, 2)),
    case("Softmax2d", None, (2, 3, 2, 2)),
    case("Softmax2d/one image", None, (3, 2, 2)),
]
