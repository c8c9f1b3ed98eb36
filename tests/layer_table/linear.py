"""Layers that are a matrix product, or only arrange their input; distances."""

from __future__ import annotations

from .case import case

CASES = [
    case("Flatten/middle", lambda n: n.Flatten(1, 2), (2, 3, 4, 5)),
    case("Unflatten", lambda n: n.Unflatten(1, (2, 3)), (4, 6, 2)),
    case("Unflatten/last", lambda n: n.Unflatten(-1, (3, -1)), (4, 6)),
    case("Linear", lambda n: n.Linear(3, 5), (4, 3)),
    case("Linear/no-bias", lambda n: n.Linear(3, 5, bias=False), (4, 3)),
    case("Linear/sequence", lambda n: n.Linear(3, 5), (2, 4, 3)),
    case("Linear/one", lambda n: n.Linear(3, 5), (3,)),
    case("Identity", None, (4, 3)),
    case("Flatten", None, (4, 3, 5)),
    case("Bilinear", lambda n: n.Bilinear(2, 3, 4), (5, 2), (5, 3), wrt=(0, 1)),
    case("Bilinear/no-bias", lambda n: n.Bilinear(2, 3, 1, bias=False), (2, 5, 2), (2, 5, 3), wrt=(0, 1)),
    case("CosineSimilarity", None, (4, 3), (4, 3), wrt=(0, 1)),
    case("CosineSimilarity/arguments", lambda n: n.CosineSimilarity(0, 0.1), (4, 3), (4, 3), wrt=(0, 1)),
    case("PairwiseDistance", None, (4, 3), (4, 3), wrt=(0, 1)),
    case("PairwiseDistance/arguments", lambda n: n.PairwiseDistance(1.0, 0.1, True), (4, 3), (4, 3), wrt=(0, 1)),
]
