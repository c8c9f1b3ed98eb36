"""Gradients with respect to the input: pictures of classes, deep dreams, and style by Gram matrices.

    python examples/convolutional_net.py; python examples/input_optimisation.py

The weights of a trained network stay as they are, and an image is changed until the network sees in it what is asked
for. Needs the checkpoint of examples/convolutional_net.py in --out, or else trains that network for --epochs first.

- Classes: from noise, the log-probability of each class is raised. Simonyan, Vedaldi and Zisserman, 2014.
- Dream: what the second layer of convolutions responds to in real images is strengthened. Mordvintsev et al., 2015.
- Style: what the second layer sees of a piece of clothing stays, and the products of channels (Gram matrices), which
  say what occurs together, but not where, become those of a pattern. Gatys, Ecker and Bethge, 2016.

An image is sigmoid(z), so that pixels stay in [0, 1]; differences between neighbours cost (total variation).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import pictures
from common import Row, arguments, clothes
from convolutional_net import build_model

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.interop.checkpoint import load_checkpoint
from autograd_core.nn.data import ArrayDataset, DataLoader
from autograd_core.nn.training import accuracy, fit

F = nn.functional
SHIFTS = ((0, 0), (3, 0), (-3, 0), (0, 3), (0, -3), (1, 1), (-1, -1), (1, -1), (-1, 1))
Y, X = np.mgrid[:28, :28]
DOTS = (X % 6 - 2.5) ** 2 + (Y % 6 - 2.5) ** 2 < 4
PATTERNS = {"stripes": (X + Y) % 6 < 3, "checks": (X // 4 + Y // 4) % 2 == 0, "dots": DOTS}
RELUS = (2, 6)  # where in the network the outputs of the two convolutions are


def trained(args: argparse.Namespace, data: ArrayDataset) -> nn.Sequential:
    """The convolutional network, from its checkpoint if there is one, in eval mode and with frozen weights."""
    model = (build_model(channels=8, hidden=32) if args.quick else build_model()).to(args.device)
    path = args.out / "convolutional_net.safetensors"
    if path.exists() and not args.quick:
        model.load_state_dict(load_checkpoint(path)["model"])
    else:
        loader = DataLoader(data, min(128, len(data) // 4), shuffle=True, seed=args.seed, drop_last=True)
        optimizer = optim.AdamW(model.parameters(), lr=optim.schedules.cosine(2e-3, args.epochs * len(loader)))
        loss, metrics = F.cross_entropy, {"accuracy": accuracy}
        fit(model, loader, loss=loss, optimizer=optimizer, epochs=args.epochs, metrics=metrics, compile=args.compile)
    return model.eval().requires_grad_(False)


def seen(model: nn.Sequential, x: ag.Tensor) -> list[ag.Tensor]:
    """What both layers of convolutions make of images: (N, 64, 28, 28) and (N, 128, 14, 14)."""
    outputs = []
    for i in range(RELUS[-1] + 1):
        x = model[i](x)
        if i in RELUS:
            outputs.append(x)
    return outputs


def gram(features: ag.Tensor) -> ag.Tensor:
    """(N, C, H, W) -> (N, C, C): means of the products of any two channels over the image."""
    n, c, h, w = features.shape
    flat = features.reshape((n, c, h * w))
    return flat @ flat.mT / (h * w)


def roughness(x: ag.Tensor) -> ag.Tensor:
    """Total variation: the mean absolute difference between neighbours."""
    return ag.abs(x[..., 1:] - x[..., :-1]).mean() + ag.abs(x[..., 1:, :] - x[..., :-1, :]).mean()


def optimised(args: argparse.Namespace, start: np.ndarray, loss: Callable[[ag.Tensor], ag.Tensor]) -> ag.Tensor:
    """The images (N, 1, 28, 28) to which gradient descent on the loss leads from ``start``."""
    inside = np.clip(start, 0.02, 0.98)
    z = nn.Parameter(ag.asarray(np.log(inside / (1 - inside)).astype(np.float32), device=args.device))
    optimizer = optim.Adam([z], lr=0.05)

    def step() -> ag.Tensor:
        optimizer.zero_grad()
        value = loss(F.sigmoid(z))
        value.backward()
        optimizer.step()
        return value

    take = ag.compile(step) if args.compile else step
    for i in range(2 if args.quick else args.steps):
        value = take()
        if i % 100 == 0:
            print(f"  step {i}: {float(value):.4f}")
    return F.sigmoid(z.detach())


def main() -> None:
    parser = arguments(__doc__, epochs=2)
    parser.add_argument("--steps", type=int, default=300, help="of gradient descent on each set of images")
    args = parser.parse_args()
    data, test = clothes(args)
    model = trained(args, data)
    labels = ag.arange(10, device=args.device)
    real = np.stack([test.arrays[0][np.flatnonzero(test.arrays[1] == k)[0]] for k in range(10)])
    real_images = ag.asarray(real, device=args.device)

    def surprise(x: ag.Tensor) -> ag.Tensor:
        """The mean of -log p(class), also where the images are shifted: what matters is not one pixel's place."""
        shifted = ag.concat([ag.roll(x, shift, axis=(2, 3)) for shift in SHIFTS])
        return F.cross_entropy(model(shifted), ag.tile(labels, (len(SHIFTS),)))

    print("classes:")
    noise = (0.2 + 0.05 * np.random.default_rng(args.seed).standard_normal(real.shape)).astype(np.float32)
    drawn = optimised(args, noise, lambda x: surprise(x) + 2.0 * roughness(x))
    scores = [F.softmax(model(x), axis=1) for x in (ag.asarray(noise, device=args.device), drawn)]
    chances = [float(x[labels, labels].mean()) for x in scores]

    print("dream:")
    dreamt = optimised(args, real, lambda x: 5.0 * roughness(x) - ag.log(seen(model, x)[1].square().mean()))
    responses = [float(seen(model, x)[1].square().mean()) for x in (real_images, dreamt)]

    rows = {"clothes": real, "classes, drawn from noise": drawn.numpy(), "dreamt into the clothes": dreamt.numpy()}
    distances = np.zeros(2)
    content = seen(model, real_images)[1]
    weight, styles = 0.15 / content.square().mean(), list(PATTERNS)[: 1 if args.quick else None]
    for name in styles:
        pattern = PATTERNS[name][None, None].astype(np.float32)
        print(f"style of {name}:")
        style = [gram(features) for features in seen(model, ag.asarray(pattern, device=args.device))]

        def distance(x: ag.Tensor, style=style) -> ag.Tensor:
            parts = ((gram(f) - g).square().sum() / g.square().sum() for f, g in zip(seen(model, x), style))
            return sum(parts) / len(real)

        styled = optimised(args, real, lambda x, d=distance: d(x) + weight * F.mse_loss(seen(model, x)[1], content))
        distances += [float(distance(x)) / len(styles) for x in (real_images, styled)]
        rows[f"in the style of {name}"] = np.concatenate([styled.numpy(), pattern])
    pictures.grid({name: x[:, 0] for name, x in rows.items()}, args.out / "input_optimisation.png")
    Row(
        network="Input optimisation: classes, dreams, style",
        data="the convolutional net above",
        result=f"probability of the class drawn {chances[0]:.3f} -> {chances[1]:.3f}; response of the second layer "
        f"{responses[0]:.2f} -> {responses[1]:.2f}; Gram distance {distances[0]:.2f} -> {distances[1]:.2f}",
        target="pictures; the numbers say how far the inputs have moved",
        met=chances[1] > chances[0] and responses[1] > responses[0] and distances[1] < distances[0],
    ).report(args, "input_optimisation")


if __name__ == "__main__":
    main()
