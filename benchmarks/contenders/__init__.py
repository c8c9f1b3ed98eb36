"""Who takes part: ours on every device, eager and compiled, and the peers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import NamedTuple

import autograd_core as ag

from ..workloads import Workload
from .contestant import HOSTS

HOST = "cpu"
REFERENCE_DEVICE = "numpy"  # correct rather than fast: takes part when it is named


class Contender(NamedTuple):
    """One way to run the rows. ``framework``: the module here that builds it; ``distribution``: what is installed."""

    name: str
    framework: str
    distribution: str
    device: str = "cpu"
    compiled: bool = False

    @property
    def is_peer(self) -> bool:
        return self.framework != "ours"

    @property
    def on_host(self) -> bool:
        return self.device in HOSTS

    def abstains(self, row: Workload) -> str:
        """Why it does not run a row, or an empty string."""
        if row.new_graph_every_step and self.compiled and self.framework != "ours":
            return "another graph every step: eager by nature"
        if row.for_gpus and self.on_host and not row.on_hosts_too:
            return "of a size for GPUs, seconds a step here"
        return ""

    def remark(self, row: Workload, math: str) -> str:
        """How it runs the row, where that is not what one would expect; or an empty string."""
        if self.on_host:
            return ""
        remarks = []
        if self.name.startswith("torch-compile"):
            remarks.append("CUDA graphs (mode='reduce-overhead'), Adam fused and outside")
            if row.recurrent:
                remarks.append("breaks its graph at the recurrent layer by design: cuDNN runs eagerly")
        if self.framework == "torch" and math == "bf16":
            remarks.append("bfloat16 by autocast, activations too")
        if self.framework == "jax" and math == "bf16":
            remarks.append("precision 'bfloat16' of float32 arrays; LSTM by scan, since cuDNN's has no bfloat16")
        elif self.framework == "jax" and row.recurrent == "LSTM":
            remarks.append("LSTM by jax.experimental.rnn.lstm (cuDNN)")
        return "; ".join(remarks)


PEERS = {
    "torch": Contender("torch", "torch", "torch"),
    "torch-compile": Contender("torch-compile", "torch", "torch", compiled=True),
    "jax": Contender("jax", "jax", "jax", compiled=True),
}
MODES = ("eager", "compiled")


class Absence(NamedTuple):
    """A contender that was asked for and cannot take part."""

    name: str
    reason: str


def choose(
    devices: Sequence[str] | None, modes: Iterable[str], peers: Iterable[str]
) -> tuple[list[Contender], list[Absence]]:
    """Contenders as asked for, and those that cannot be had here. ``devices`` None: all that work, but the reference.

    Peers run on the same devices; on the reference's, which is the CPU too, they run but once. ValueError for names
    that nothing has.
    """
    known = {info.name: info for info in ag.devices()}
    if devices is None:
        devices = [info.name for info in known.values() if info.name != REFERENCE_DEVICE]
    _check("device", devices, known)
    _check("mode", modes, MODES)
    _check("peer", peers, PEERS)
    chosen: list[Contender] = []
    absent: list[Absence] = []
    for device in devices:
        if not known[device].available:
            absent.append(Absence(device, known[device].reason))
            continue
        for mode in modes:
            name = f"{device} {mode}"
            if mode == "compiled" and not callable(getattr(ag, "compile", None)):
                absent.append(Absence(name, "this version of autograd_core has no ag.compile"))
            else:
                chosen.append(Contender(name, "ours", "autograd_core", device, mode == "compiled"))
    for name in peers:
        peer = PEERS[name]
        if find_spec(peer.distribution) is None:
            absent.append(Absence(name, f"not installed: pip install {peer.distribution}"))
            continue
        for device in dict.fromkeys(HOST if d in HOSTS else d for d in devices):
            if device not in known or known[device].available:
                chosen.append(peer if device == HOST else peer._replace(name=f"{name} {device}", device=device))
    return chosen, absent


def _check(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    if unknown := [name for name in names if name not in known]:
        raise ValueError(f"no {kind} is named {', '.join(unknown)}; there are {', '.join(known)}")


def versions(contenders: Iterable[Contender]) -> dict[str, str]:
    distributions = dict.fromkeys(["numpy", *(contender.distribution for contender in contenders)])
    return {name: version(name) for name in distributions}
