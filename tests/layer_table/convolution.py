"""Convolutions."""

from __future__ import annotations

from .case import case

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
]
