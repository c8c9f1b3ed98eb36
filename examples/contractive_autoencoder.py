"""A contractive autoencoder of Fashion-MNIST beside a plain one: whose codes serve a linear classifier better?

    python examples/contractive_autoencoder.py [--strength 0.1] [--runs 3]

The loss has a penalty, the squared Frobenius norm of the encoder's Jacobian at each image: codes should change little
with what is of no use for giving the image back. Its gradient goes through the backward pass of the encoder. The norm
is estimated by one random direction an image. Otherwise as denoising_autoencoder.py. Rifai et al., 2011.
"""

from __future__ import annotations

from collections.abc import Callable

import common
import numpy as np
import pictures
from denoising_autoencoder import compared, reconstruction, report, trained

import autograd_core as ag
from autograd_core.nn.models import Autoencoder, jacobian_penalty


def contractive(strength: float) -> Callable[[Autoencoder], Callable[[ag.Tensor, ag.Tensor], ag.Tensor]]:
    """The reconstruction's loss and the penalty; the targets of an autoencoder are its inputs."""

    def loss_of(model: Autoencoder) -> Callable[[ag.Tensor, ag.Tensor], ag.Tensor]:
        def loss(outputs: ag.Tensor, images: ag.Tensor) -> ag.Tensor:
            penalty = jacobian_penalty(model.encode, images, projections=1)
            return reconstruction(outputs, images) + strength * penalty

        return loss

    return loss_of


def main() -> None:
    parser = common.arguments(__doc__, epochs=150, quick_epochs=2)
    parser.add_argument("--strength", type=float, default=0.1, help="what the penalty is multiplied by")
    parser.add_argument("--runs", type=int, default=3, help="seeds, from --seed on")
    args = parser.parse_args()
    kinds = {
        "plain": lambda images, seed: trained(args, images, seed),
        "contractive": lambda images, seed: trained(args, images, seed, loss_of=contractive(args.strength)),
    }
    found, models, test = compared(args, kinds)

    images = ag.asarray(test[:500], device=args.device)
    for name, model in models.items():
        singular = np.sqrt(float(jacobian_penalty(model.encode, images).detach()))
        print(f"{name}: root mean squared Frobenius norm of the Jacobian at test images {singular:.3f}")
    with ag.no_grad():
        rows = {f"{name} gives back": ag.special.expit(model(images[:10])).numpy() for name, model in models.items()}
    path = args.out / "contractive_autoencoder.png"
    rows = {"test images": test[:10], **rows}
    pictures.grid({name: row.reshape(-1, 28, 28) for name, row in rows.items()}, path)
    print(f"{path}: test images and what the autoencoders give back")
    report(args, "contractive", f"penalty times {args.strength:g}", found)


if __name__ == "__main__":
    main()
