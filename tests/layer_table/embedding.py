"""Embeddings and bags of embeddings."""

from __future__ import annotations

import numpy as np

from .case import case

CASES = [
    case("Embedding", lambda n: n.Embedding(7, 3), of=lambda rng: (rng.integers(0, 7, (4, 5)),)),
    case("Embedding/padding", lambda n: n.Embedding(5, 3, padding_idx=-2), of=lambda rng: (np.arange(10) % 5,)),
    case("Embedding/max-norm", lambda n: n.Embedding(6, 3, max_norm=0.9), of=lambda rng: (rng.integers(0, 6, 8),)),
    case(
        "Embedding/norm-type",
        lambda n: n.Embedding(6, 3, max_norm=0.9, norm_type=1.0),
        of=lambda rng: (rng.integers(0, 6, 8),),
    ),
    case(
        "Embedding/by-frequency",
        lambda n: n.Embedding(6, 3, scale_grad_by_freq=True),
        of=lambda rng: (rng.integers(0, 6, (2, 5)),),
    ),
    *[
        case(
            f"EmbeddingBag/{mode}",
            lambda n, mode=mode: n.EmbeddingBag(7, 3, mode=mode),
            of=lambda rng: (rng.integers(0, 7, 6), np.array([0, 2, 2])),
        )
        for mode in ("mean", "sum", "max")
    ],
    case("EmbeddingBag/rows", lambda n: n.EmbeddingBag(7, 3), of=lambda rng: (rng.integers(0, 7, (2, 5)),)),
    case(
        "EmbeddingBag/arguments",
        lambda n: n.EmbeddingBag(5, 3, max_norm=1.0, scale_grad_by_freq=True, include_last_offset=True, padding_idx=-1),
        of=lambda rng: (np.arange(10) % 5, np.array([0, 3, 3, 10])),
    ),
    case(
        "EmbeddingBag/weights",
        lambda n: n.EmbeddingBag(7, 3, mode="sum"),
        of=lambda rng: (rng.integers(0, 7, 6), np.array([0, 2, 5]), rng.uniform(0.5, 2.0, 6)),
        wrt=(2,),
    ),
]
