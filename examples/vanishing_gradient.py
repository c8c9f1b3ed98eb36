"""Why deep networks of sigmoids do not learn, and what lets them: ReLU, batch normalization, residual connections.

    python examples/vanishing_gradient.py [--depth 20] [--units 64]

Four networks of the same depth on Fashion-MNIST. ``nn.gradient_flow`` measures the gradient that arrives at each layer
before the first step; then all are trained alike. A sigmoid's slope is 1/4 at most, so that a gradient on its way
down is multiplied by less than 1 at every layer. A ReLU's slope is 1 where it is open; batch normalization
keeps what enters the sigmoids where they are steep, and scales gradients up; a sum passes gradients as they are. The
picture shows the size by layer. Hochreiter, 1991; Glorot and Bengio, 2010; Ioffe and Szegedy, 2015; He et al., 2016.
"""

from __future__ import annotations

import argparse

import pictures
from common import Row, arguments, clothes

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn.data import ArrayDataset, DataLoader
from autograd_core.nn.training import accuracy, evaluate, fit

VANISHED, ARRIVES = 1e-4, 1e-2  # the first layer's gradient over the last one's
LEARNT = 0.8
KINDS = ("sigmoid", "ReLU", "sigmoid, batch norm", "sigmoid, residual")


class Residual(nn.Module):
    """y = x + part(x)."""

    def __init__(self, part: nn.Module):
        self.part = part

    def forward(self, x: ag.Tensor) -> ag.Tensor:
        return x + self.part(x)


def build_model(kind: str, depth: int, units: int) -> nn.Sequential:
    """784 -> ``depth`` hidden layers of ``units`` -> 10, with weights that begin as suits the activation."""
    layers: list[nn.Module] = [nn.Linear(784, units)]
    for _ in range(depth - 1):
        linear = nn.Linear(units, units)
        if kind == "ReLU":
            layers += [nn.ReLU(), linear]
        elif kind == "sigmoid, batch norm":
            layers += [nn.BatchNorm1d(units), nn.Sigmoid(), linear]
        elif kind == "sigmoid, residual":
            layers += [Residual(nn.Sequential(nn.Sigmoid(), linear))]
        else:
            layers += [nn.Sigmoid(), linear]
    model = nn.Sequential(*layers, nn.ReLU() if kind == "ReLU" else nn.Sigmoid(), nn.Linear(units, 10))
    for module in model.modules():
        if isinstance(module, nn.Linear):
            (nn.init.kaiming_normal_ if kind == "ReLU" else nn.init.xavier_normal_)(module.weight)
    return model


def gradient_norms(model: nn.Module, images: ag.Tensor, labels: ag.Tensor) -> list[float]:
    """The norm of the gradient at each linear layer, from the input to the scores, on one batch."""
    nn.functional.cross_entropy(model(images), labels).backward()
    flow = nn.gradient_flow(model)
    model.zero_grad()
    return [layer.norm for layer in flow.layers if layer.type == "Linear"]


def train(args: argparse.Namespace, model: nn.Module, data: ArrayDataset, test: ArrayDataset) -> float:
    """The share of test images that the network gets right after the training."""
    loader = DataLoader(data, min(128, len(data) // 4), shuffle=True, seed=args.seed, drop_last=True)
    rate = optim.schedules.cosine(1e-3, args.epochs * len(loader))
    fit(
        model,
        loader,
        loss=nn.functional.cross_entropy,
        optimizer=optim.Adam(model.parameters(), lr=rate),
        epochs=args.epochs,
        metrics={"accuracy": accuracy},
        compile=args.compile,
    )
    testing = DataLoader(test, batch_size=500)
    return evaluate(model, testing, nn.functional.cross_entropy, {"accuracy": accuracy}, compile=args.compile)[
        "accuracy"
    ]


def main() -> None:
    parser = arguments(__doc__, epochs=3)
    parser.add_argument("--depth", type=int, default=20, help="hidden layers")
    parser.add_argument("--units", type=int, default=64, help="units of each")
    args = parser.parse_args()
    data, test = clothes(args, flat=True)
    depth = 4 if args.quick else args.depth
    images, labels = (ag.asarray(part, device=args.device) for part in data[range(256)])

    norms: dict[str, list[float]] = {}
    shares: dict[str, float] = {}
    for kind in KINDS:
        ag.random.seed(args.seed)
        model = build_model(kind, depth, args.units).to(args.device)
        norms[kind] = gradient_norms(model, images, labels)
        print(
            f"{kind}: the gradient's norm is {norms[kind][0]:.1e} at the first layer, {norms[kind][-1]:.1e} at the last"
        )
        shares[kind] = train(args, model, data, test)
    pictures.curves(norms, args.out / "vanishing_gradient.png", x="layer", y="norm of the gradient", log=True)

    ratios = {kind: sizes[0] / sizes[-1] for kind, sizes in norms.items()}
    arrives = all(ratios[kind] > ARRIVES and shares[kind] > LEARNT for kind in KINDS[1:])
    found = "; ".join(f"{kind} {ratios[kind]:.0e}, {shares[kind]:.1%}" for kind in KINDS)
    Row(
        network=f"Vanishing gradient: {depth} layers of {args.units}",
        data="Fashion-MNIST",
        result=f"gradient of the first layer over the last's, test images right after {args.epochs} epochs: {found}",
        target=f"sigmoid below {VANISHED:g} and others above {ARRIVES:g}; others learn ({LEARNT:.0%})",
        met=ratios["sigmoid"] < VANISHED and arrives,
    ).report(args, "vanishing_gradient")


if __name__ == "__main__":
    main()
