"""The first step, checked: parameters that get no gradient, are in no optimizer, or in the wrong one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..errors import ArgumentError
from ..graph import AnyNode
from ..tensor import Tensor
from .explain import described, explain_grad
from .flow import measure, named_tensors, refuse_freed
from .values import Finding, aval_text

EXPLAINED = 3  # an explanation costs a sweep; of the other parameters the names are enough


class Notice(NamedTuple):
    """kind: "no gradient", "not finite", "zero gradient", "in no optimizer", "in two optimizers", "foreign" or
    "frozen"; parameters: the names of those concerned; text: a sentence."""

    kind: str
    parameters: tuple[str, ...]
    text: str


class Audit:
    """What ``audit`` returns: ``problems`` to solve, ``notes`` to know; ``str()`` of it is the report."""

    def __init__(self, count: int, notices: Sequence[Notice]):
        self.count = count
        self.problems = [n for n in notices if n.kind not in ("zero gradient", "frozen")]
        self.notes = [n for n in notices if n.kind in ("zero gradient", "frozen")]

    @property
    def ok(self) -> bool:
        """Whether there are no problems."""
        return not self.problems

    def __str__(self) -> str:
        found = f"{len(self.problems)} problem{'s' * (len(self.problems) != 1)}" if self.problems else "no problem"
        lines = [f"audit of {self.count} parameter{'s' * (self.count != 1)}: {found}"]
        lines += [f"- {notice.text}" for notice in self.problems]
        lines += [f"- (note) {notice.text}" for notice in self.notes]
        return "\n".join(lines)

    __repr__ = __str__


def audit(parameters: Any, optimizers: Any = (), loss: Tensor | Callable[[], Tensor] | None = None) -> Audit:
    """Look at a training before its first step: does every parameter get a gradient, and does one optimizer have it?

    parameters: a module, a dict of tensors, or a list of them (or of (name, tensor) pairs).
    optimizers: one or several; left out, nothing is said about them.
    loss: a loss that was not yet differentiated: a sweep of its own finds the gradients, and ``explain_grad`` says why
    some are missing. Or a function that computes it, which knows more (see there). None: look at ``grad``, after
    backward.

    Problems are parameters that require a gradient and get none, gradients with NaN or infinity, parameters in no
    optimizer or in two, and parameters of an optimizer that are not among these (made before the model was rebuilt).
    Notes are gradients of exactly zero and frozen parameters.

    >>> import autograd_core as ag
    >>> from autograd_core import nn, optim
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1))
    >>> optimizer = optim.SGD(model[1].parameters(), lr=0.1)
    >>> ag.audit(model, optimizer, model(ag.ones((4, 2))).sum())
    audit of 4 parameters: 1 problem
    - '0.weight', '0.bias': require gradients, but are in no optimizer and will not change. Give them to one, or freeze
    them with requires_grad_(False)
    """
    named = named_tensors("audit", parameters)
    if not named:
        raise ArgumentError(
            "audit: there are no parameters. Was a generator such as model.parameters() used up before?"
        )
    notices = _of_gradients(named, loss) + _of_optimizers(named, _as_optimizers(optimizers))
    frozen = [name for name, x in named.items() if x.node is None]
    if frozen:
        notices.append(Notice("frozen", tuple(frozen), f"{_listed(frozen)}: frozen, without a gradient"))
    return Audit(len(named), notices)


# ------------------------------------------------------------------------------------ gradients


def _of_gradients(named: Mapping[str, Tensor], loss: Any) -> list[Notice]:
    wanted = {name: x for name, x in named.items() if x.node is not None}
    gradients = _gradients(wanted, loss)
    if wanted and loss is None and not any(g is not None for g in gradients.values()):
        text = (
            f"none of the {len(wanted)} parameters that require gradients has one: audit after backward() and before "
            "zero_grad(), or pass the loss: ag.audit(model, optimizer, loss)"
        )
        return [Notice("no gradient", tuple(wanted), text)]
    findings = {name: Finding(g) for name, g in gradients.items() if g is not None}
    return [
        *_explained("no gradient", [n for n, g in gradients.items() if g is None], wanted, loss),
        *_explained("not finite", [n for n, f in findings.items() if f.nan or f.infinite], wanted, loss),
        *_explained("zero gradient", [n for n in findings if not gradients[n].numpy().any()], wanted, loss),
    ]


def _gradients(wanted: Mapping[str, Tensor], loss: Any) -> dict[str, Any]:
    if loss is None:
        return {name: x.grad for name, x in wanted.items()}
    y = loss() if callable(loss) else loss
    if not isinstance(y, Tensor):
        raise ArgumentError(f"audit: loss is a tensor or a function that returns one, got {type(y).__name__}")
    if y.node is None:
        return dict.fromkeys(wanted)
    refuse_freed("audit", [y])
    nodes: dict[str, AnyNode] = {name: x.node for name, x in wanted.items() if x.node is not None}
    _, found = measure("audit", [y], None, targets=set(nodes.values()))
    return {name: found.get(node) for name, node in nodes.items()}


def _explained(kind: str, names: Sequence[str], wanted: Mapping[str, Tensor], loss: Any) -> list[Notice]:
    """A notice for each reason that the first few have, and one for all the rest."""
    told: dict[str, list[str]] = {}
    for name in names[:EXPLAINED]:
        if loss is None and kind == "no gradient":
            text = (
                "got no gradient: what backward was called on does not depend on it. "
                "ag.explain_grad(parameter, lambda: loss(...)) says why"
            )
        else:
            text = explain_grad(wanted[name], loss).text.removeprefix(described(wanted[name])).strip(" .")
        told.setdefault(text, []).append(name)
    notices = [
        Notice(
            kind,
            tuple(alike),
            f"{', '.join(f'{n!r} ({aval_text(wanted[n])})' for n in alike)}: {'each ' * (len(alike) > 1)}{text}",
        )
        for text, alike in told.items()
    ]
    rest = names[EXPLAINED:]
    if rest:
        what = {"no gradient": "no gradient", "not finite": "NaN or infinity", "zero gradient": "a gradient of zero"}
        notices.append(Notice(kind, tuple(rest), f"{_listed(rest)}: {what[kind]} either"))
    return notices


# ------------------------------------------------------------------------------------ optimizers


def _as_optimizers(given: Any) -> list[Any]:
    optimizers = [given] if hasattr(given, "param_groups") else list(given)
    for optimizer in optimizers:
        if not hasattr(optimizer, "param_groups"):
            raise ArgumentError(f"audit: {type(optimizer).__name__} is no optimizer: it has no param_groups")
    return optimizers


def _of_optimizers(named: Mapping[str, Tensor], optimizers: Sequence[Any]) -> list[Notice]:
    if not optimizers:
        return []
    holders: dict[int, list[str]] = {}
    notices = []
    known = {id(x) for x in named.values()}
    for optimizer in optimizers:
        title = type(optimizer).__name__
        foreign = []
        for i, (name, x) in enumerate(_held(optimizer)):
            holders.setdefault(id(x), []).append(title)
            if id(x) not in known:
                foreign.append(f"{name or i} {aval_text(x)}")
        if foreign:
            text = (
                f"{title}: its parameters {', '.join(foreign)} are not among those audited, and stepping them changes "
                "nothing here. Was the optimizer made before the model was rebuilt? Make it again from "
                "model.parameters()"
            )
            notices.append(Notice("foreign", tuple(foreign), text))
    missing = [name for name, x in named.items() if x.node is not None and id(x) not in holders]
    if missing:
        text = (
            f"{_listed(missing)}: require gradients, but are in no optimizer and will not change. Give them to one, or "
            "freeze them with requires_grad_(False)"
        )
        notices.append(Notice("in no optimizer", tuple(missing), text))
    twice = {name: holders[id(x)] for name, x in named.items() if len(holders.get(id(x), ())) > 1}
    if twice:
        owners = " and ".join(dict.fromkeys(title for titles in twice.values() for title in titles))
        text = f"{_listed(list(twice))}: in two optimizers ({owners}), moved twice a step. Take them out of one"
        notices.append(Notice("in two optimizers", tuple(twice), text))
    return notices


def _held(optimizer: Any) -> Iterable[tuple[str | None, Tensor]]:
    for group in optimizer.param_groups:
        names = group.get("param_names") or [None] * len(group["params"])
        for name, x in zip(names, group["params"], strict=True):
            yield name or getattr(x, "name", None), x


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(repr, names[:8]))
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")
