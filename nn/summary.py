"""A model in numbers: shapes, parameters, operations and memory of every module, from one run of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from autograd_core import context, tree
from autograd_core.aval import DEFAULT_FLOAT, as_dtype, as_shape
from autograd_core.errors import ArgumentError
from autograd_core.ops import creation, random
from autograd_core.tensor import Tensor

from .flops import flops
from .module import Module


@dataclass
class Row:
    """What a summary says of one module: of its own operations and parameters, not those of modules below it."""

    path: str
    type: str
    depth: int
    output_shapes: list[tuple[int, ...]] = field(default_factory=list)
    calls: int = 0
    parameters: int = 0
    trainable: int = 0
    flops: int = 0
    activation_bytes: int = 0


@dataclass
class Summary:
    """What ``summary`` returns: ``rows``, one a module, and totals. ``print`` it for a table."""

    rows: list[Row]
    input_shapes: list[tuple[int, ...]]
    parameters: int
    trainable: int
    parameter_bytes: int
    buffer_bytes: int
    flops: int
    activation_bytes: int

    def __str__(self) -> str:
        header = ("module", "type", "output shape", "parameters", "trainable", "FLOPs")
        table = [header, *(self._cells(row) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if i < 3 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]
        rule = "-" * max(map(len, lines))
        shapes = ", ".join(map(str, self.input_shapes))
        return "\n".join(
            [
                *lines[:1],
                rule,
                *lines[1:],
                rule,
                f"input: {shapes}",
                f"parameters: {self.parameters:,} ({self.trainable:,} trainable), {_bytes(self.parameter_bytes)}"
                f" and {_bytes(self.buffer_bytes)} of buffers",
                f"forward: {self.flops:,} FLOPs (a multiply-add is 2), {_bytes(self.activation_bytes)} of activations",
            ]
        )

    def _cells(self, row: Row) -> tuple[str, ...]:
        shape = ", ".join(map(str, row.output_shapes)) or "(not used)"
        name = row.path.rpartition(".")[2] or "(model)"
        return (
            "  " * row.depth + name,
            row.type + (f" x{row.calls}" if row.calls > 1 else ""),
            shape,
            f"{row.parameters:,}",
            f"{row.trainable:,}",
            f"{row.flops:,}",
        )


def _bytes(n: int) -> str:
    power = min(max(n.bit_length() - 1, 0) // 10, 3)
    return f"{n / 1024**power:.1f} {('KiB', 'MiB', 'GiB')[power - 1]}" if power else f"{n} B"


class _Observer:
    """Stands before the interpreter and counts what passes, for the module that is running."""

    level = 0

    def __init__(self, inner: Any, root: Row):
        self.inner = inner
        self.running = [root]

    @property
    def base(self) -> Any:
        return self.inner.base

    def run(self, primitive: Any, inputs: Sequence[Tensor], params: dict[str, Any]) -> Any:
        y = self.inner.run(primitive, inputs, params)
        if inputs and inputs[0].device.kernels[primitive] is None:
            return y  # made of others, which were counted
        outputs = [x.aval for x in (y if isinstance(y, tuple) else (y,))]
        row = self.running[-1]
        row.flops += flops(primitive, [x.aval for x in inputs], outputs, params)
        return y


def summary(
    model: Module, input_shape: Any, *, batch_size: int = 1, dtype: Any = DEFAULT_FLOAT, device: Any = None
) -> Summary:
    """Run ``model`` once on zeros and count, module by module.

    input_shape: the shape of one sample, without the batch axis, or a list of shapes for a model of several inputs.
    dtype: of the inputs, or a list of dtypes ("int64" for indices). device: by default that of the model.

    FLOPs are counted as the operations run, whoever calls them: a matrix product (n, k) (k, m) and a convolution cost
    2 for each multiply-add, an elementwise operation 1 for each element of its result, a reduction 1 for each element
    that it reads; moving elements and changing their type is free. Activation memory is the sum of the outputs of the
    modules that have none below them. The run is in eval mode without recording; the model stays as it was.
    ArgumentError for shapes that are none; errors of the model's own come with the path of the module.

    >>> from autograd_core import nn
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> print(nn.summary(model, (4,), batch_size=10))
    module   type        output shape  parameters  trainable  FLOPs
    ---------------------------------------------------------------
    (model)  Sequential  (10, 2)                0          0      0
      0      Linear      (10, 8)               40         40    720
      1      ReLU        (10, 8)                0          0     80
      2      Linear      (10, 2)               18         18    340
    ---------------------------------------------------------------
    input: (10, 4)
    parameters: 58 (58 trainable), 232 B and 0 B of buffers
    forward: 1,140 FLOPs (a multiply-add is 2), 720 B of activations
    """
    if not isinstance(model, Module):
        raise ArgumentError(f"summary: model must be an nn.Module, got {type(model).__name__}")
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ArgumentError(f"summary: batch_size must be an int of at least 1, got {batch_size!r}")
    if device is None:
        device = next((v.device for v in [*model.parameters(), *model.buffers()]), None)
    several = isinstance(input_shape, list) and not all(isinstance(n, int) for n in input_shape)
    shapes = [(batch_size, *as_shape("summary", s)) for s in (input_shape if several else [input_shape])]
    dtypes = dtype if isinstance(dtype, (list, tuple)) else [dtype] * len(shapes)
    if len(dtypes) != len(shapes):
        raise ArgumentError(f"summary: {len(dtypes)} dtypes given for {len(shapes)} inputs")
    inputs = [creation.zeros(s, dtype=as_dtype(d), device=device) for s, d in zip(shapes, dtypes, strict=True)]
    rows = {id(module): _row(path, module) for path, module in model.named_modules()}
    _run(model, inputs, rows)
    trainable = sum(p.size for p in model.parameters() if p.requires_grad)
    return Summary(
        rows=list(rows.values()),
        input_shapes=shapes,
        parameters=sum(p.size for p in model.parameters()),
        trainable=trainable,
        parameter_bytes=sum(p.nbytes for p in model.parameters()),
        buffer_bytes=sum(b.nbytes for b in model.buffers()),
        flops=sum(row.flops for row in rows.values()),
        activation_bytes=sum(row.activation_bytes for row in rows.values()),
    )


def _row(path: str, module: Module) -> Row:
    own = list(module.parameters(recurse=False))
    return Row(
        path,
        type(module).__name__,
        path.count(".") + 1 if path else 0,
        parameters=sum(p.size for p in own),
        trainable=sum(p.size for p in own if p.requires_grad),
    )


def _run(model: Module, inputs: list[Tensor], rows: dict[int, Row]) -> None:
    """Fill the rows with what one run of the model does."""
    observer = _Observer(context.current().interpreter, rows[id(model)])

    def enter(module: Module, args: Any) -> None:
        observer.running.append(rows[id(module)])

    def leave(module: Module, args: Any, output: Any) -> None:
        row = observer.running.pop()
        tensors = [x for x in tree.flatten(output)[0] if isinstance(x, Tensor)]
        row.calls += 1
        row.output_shapes = [x.shape for x in tensors]
        if next(module.children(), None) is None:
            row.activation_bytes += sum(prod(x.shape) * x.dtype.itemsize for x in tensors)

    modules = list(model.modules())
    modes = [module.training for module in modules]
    hooks = [h for m in modules for h in (m.register_forward_pre_hook(enter), m.register_forward_hook(leave))]
    try:
        model.eval()
        with random.fork(0), context.no_grad(), context.scope(interpreter=observer):
            model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode
