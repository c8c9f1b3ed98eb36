"""What follows from a row's times: ratios to the best peer, and shares of what the machine can do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from .contenders import HOST, Contender


def judge(row: dict[str, Any], contenders: Sequence[Contender], limits: Mapping[str, Mapping[str, float]]) -> None:
    """Add to a row's figures what is derived from them.

    best_peers: by device, whose median is least there. Of each contender: flops_per_second, and share: the time that
    the limits of its device leave at least, over the time taken; on a GPU also times_faster: our compiled step's median
    on the CPU, over its own. Of ours also ratio: the median to that of the best peer on the same kind of device.
    """
    measured = {c: row["contenders"][c.name] for c in contenders if "median" in row["contenders"][c.name]}
    peers: dict[str, dict[str, float]] = {}
    for c, figures in measured.items():
        if c.is_peer:
            peers.setdefault(_kind(c), {})[c.name] = figures["median"]
    row["best_peers"] = {device: min(of, key=of.__getitem__) for device, of in peers.items()}
    on_cpu = next((f["median"] for c, f in measured.items() if c.device == HOST and c.compiled and not c.is_peer), None)
    for contender, figures in measured.items():
        kind = _kind(contender)
        figures["flops_per_second"] = row["flops"] / figures["median"]
        figures["share"] = least_seconds(row, limits[kind]) / figures["median"]
        if on_cpu is not None and kind != HOST:
            figures["times_faster"] = on_cpu / figures["median"]
        if not contender.is_peer and kind in peers:
            figures["ratio"] = figures["median"] / peers[kind][row["best_peers"][kind]]


def _kind(contender: Contender) -> str:
    """What it is compared on: the CPU is one, by whatever name."""
    return HOST if contender.on_host else contender.device


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
