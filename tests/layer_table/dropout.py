"""Dropout: in training only where nothing is left to chance."""

from __future__ import annotations

from .case import case

CASES = [
    case("Dropout/0", lambda n: n.Dropout(0.0), (4, 3)),
    case("Dropout/1", lambda n: n.Dropout(1.0), (4, 3)),
    case("Dropout2d/0", lambda n: n.Dropout2d(0.0), (4, 3, 2, 2)),
    case("Dropout", None, (4, 3), draws=True),
    case("Dropout1d/0", lambda n: n.Dropout1d(0.0), (4, 3, 2)),
    case("Dropout3d/1", lambda n: n.Dropout3d(1.0), (2, 3, 2, 1, 2)),
    case("AlphaDropout", None, (4, 3), draws=True),
    case("AlphaDropout/0", lambda n: n.AlphaDropout(0.0), (4, 3)),
    case("AlphaDropout/1", lambda n: n.AlphaDropout(1.0), (4, 3)),
    case("FeatureAlphaDropout", None, (4, 3, 2), draws=True),
    case("FeatureAlphaDropout/1", lambda n: n.FeatureAlphaDropout(1.0), (4, 3, 2)),
]
