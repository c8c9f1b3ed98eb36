"""Convolutions."""

from __future__ import annotations

import numpy as np

from .case import case


def sample(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((2, 2, 3, 4))


CASES = [
    case("Conv1d", lambda n: n.Conv1d(4, 6, 3), (2, 4, 9)),
    case("Conv1d/arguments", lambda n: n.Conv1d(4, 6, 3, 2, 1, 2, 2, False), (2, 4, 9)),
    case("Conv1d/circular", lambda n: n.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), (2, 2, 6)),
    case("Conv1d/unbatched", lambda n: n.Conv1d(2, 3, 3), (2, 6)),
    case("Conv2d", lambda n: n.Conv2d(3, 4, 3, padding=1), (2, 3, 5, 6)),
    case("Conv2d/arguments", lambda n: n.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2), (2, 4, 6, 7)),
    case("Conv2d/same", lambda n: n.Conv2d(2, 3, (4, 3), padding="same", bias=False), (2, 2, 5, 6)),
    case("Conv2d/valid", lambda n: n.Conv2d(2, 3, 3, padding="valid"), (2, 2, 5, 6)),
    case("Conv2d/depthwise", lambda n: n.Conv2d(3, 6, 3, groups=3), (2, 3, 5, 5)),
    case("Conv2d/reflect", lambda n: n.Conv2d(2, 3, 3, 2, (1, 2), padding_mode="reflect"), (2, 2, 5, 6)),
    case("Conv2d/replicate-same", lambda n: n.Conv2d(2, 3, 4, padding="same", padding_mode="replicate"), (2, 2, 5, 6)),
    case("Conv2d/circular-dilated", lambda n: n.Conv2d(2, 3, 2, 1, 2, 2, padding_mode="circular"), (2, 2, 4, 5)),
    case("Conv2d/reflect-unbatched", lambda n: n.Conv2d(2, 3, 3, padding=(1, 2), padding_mode="reflect"), (2, 4, 5)),
    case("Conv3d", lambda n: n.Conv3d(2, 3, 2), (2, 2, 3, 4, 3)),
    case("Conv3d/arguments", lambda n: n.Conv3d(2, 4, (2, 1, 3), (1, 2, 1), (1, 0, 2), (2, 1, 1), 2), (2, 2, 3, 4, 3)),
    case("Conv3d/same", lambda n: n.Conv3d(2, 2, (3, 1, 3), padding="same", bias=False), (1, 2, 3, 2, 3)),
    case("Conv3d/reflect", lambda n: n.Conv3d(1, 2, 3, padding=1, padding_mode="reflect"), (2, 1, 3, 4, 3)),
    case("Conv3d/replicate", lambda n: n.Conv3d(1, 2, 3, padding=2, padding_mode="replicate"), (2, 1, 2, 3, 2)),
    case("Conv3d/circular", lambda n: n.Conv3d(1, 2, 3, padding=(1, 2, 0), padding_mode="circular"), (2, 1, 2, 3, 4)),
    case("Conv3d/unbatched", lambda n: n.Conv3d(2, 3, 2), (2, 3, 3, 2)),
    case("ConvTranspose1d", lambda n: n.ConvTranspose1d(4, 6, 3), (2, 4, 5)),
    case("ConvTranspose1d/arguments", lambda n: n.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2, False, 2), (2, 4, 5)),
    case("ConvTranspose1d/unbatched", lambda n: n.ConvTranspose1d(2, 3, 3), (2, 6)),
    case("ConvTranspose2d", lambda n: n.ConvTranspose2d(3, 4, 3), (2, 3, 3, 4)),
    case(
        "ConvTranspose2d/arguments", lambda n: n.ConvTranspose2d(4, 2, (3, 2), (2, 3), (1, 0), (0, 2), 2), (2, 4, 3, 2)
    ),
    case("ConvTranspose2d/size", lambda n: n.ConvTranspose2d(2, 3, 3, 2, 1), of=lambda rng: (sample(rng), [6, 7])),
    case("ConvTranspose3d", lambda n: n.ConvTranspose3d(2, 3, 2), (2, 2, 2, 3, 2)),
    case("ConvTranspose3d/arguments", lambda n: n.ConvTranspose3d(2, 4, 2, 2, 1, 1, 2, dilation=2), (1, 2, 3, 2, 2)),
]
