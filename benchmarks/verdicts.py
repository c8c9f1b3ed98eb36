"""What follows from a row's times: ratios to the best peer, and shares of what the machine can do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .contenders import Contender


def judge(row: dict[str, Any], contenders: Sequence[Contender], limits: Mapping[str, float]) -> None:
    """Add to a row's figures what is derived from them.

    best_peer: whose median is least. Of each contender: flops_per_second, and share: the
    time that the machine's limits leave at least, over the time taken. Of ours also ratio: the median to that peer's.
    """
    measured = {c: row["contenders"][c.name] for c in contenders if "median" in row["contenders"][c.name]}
    peers = {c.name: figures["median"] for c, figures in measured.items() if c.is_peer}
    row["best_peer"] = min(peers, key=peers.__getitem__) if peers else None
    least = least_seconds(row, limits)
    for contender, figures in measured.items():
        figures["flops_per_second"] = row["flops"] / figures["median"]
        figures["share"] = least / figures["median"]
        if peers and not contender.is_peer:
            figures["ratio"] = figures["median"] / peers[row["best_peer"]]


def least_seconds(row: Mapping[str, Any], limits: Mapping[str, float]) -> float:
    """The roofline: products at the speed of a large one, or the least traffic at the speed of a copy."""
    return max(
        row["flops"] / limits["gemm_flops_per_second"],
        row["least_bytes"] / limits["copied_bytes_per_second"],
    )


def geometric_means(rows: Mapping[str, Any]) -> dict[str, tuple[float, int]]:
    """Of each of ours: the geometric mean of its ratios, and of how many rows."""
    ratios: dict[str, list[float]] = {}
    for row in rows.values():
        for name, figures in row["contenders"].items():
            if "ratio" in figures:
                ratios.setdefault(name, []).append(figures["ratio"])
    return {name: (math.exp(math.fsum(map(math.log, of)) / len(of)), len(of)) for name, of in ratios.items()}
