"""Module: a tree of parameters, buffers and other modules, with a ``forward``.

What a module owns lies in plain attributes: a Parameter, Buffer or Module assigned to ``self.x`` is part of the tree
because of its type. There are no registries that could disagree with the attributes, nothing to initialise, and reading
``self.weight`` costs what reading any attribute costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from autograd_core.aval import as_dtype, is_inexact
from autograd_core.backend import Device, get_device
from autograd_core.compiler import changes
from autograd_core.errors import ArgumentError, AutogradError, DTypeError
from autograd_core.tensor import Tensor

from . import hooks, state
from .parameter import Buffer, Parameter

Kind = TypeVar("Kind")
Self = TypeVar("Self", bound="Module")
Hook = Callable[..., Any]


class ForwardNotImplementedError(AutogradError, NotImplementedError):
    """A module was called that does not say what it computes."""


class Module:
    """Base of all layers and models: assign parameters and modules in ``__init__``, compute in ``forward``.

    >>> import autograd_core as ag
    >>> from autograd_core import nn
    >>> class Net(nn.Module):
    ...     def __init__(self):
    ...         self.hidden = nn.Linear(4, 8)
    ...         self.output = nn.Linear(8, 2)
    ...     def forward(self, x):
    ...         return self.output(self.hidden(x).relu())
    >>> net = Net()
    >>> net(ag.ones((3, 4))).shape
    (3, 2)
    >>> [name for name, _ in net.named_parameters()]
    ['hidden.weight', 'hidden.bias', 'output.weight', 'output.bias']
    """

    training: bool = True
    _hooks: hooks.Hooks | None = None

    # ------------------------------------------------------------------------------ calling

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The output of the module; every subclass defines it."""
        raise ForwardNotImplementedError(
            f"{type(self).__name__} defines no forward(): write `def forward(self, x): ...` in the class "
            "(is the method's name spelt right, and indented into the class?)"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        try:
            if not self._hooks:
                return self.forward(*args, **kwargs)
            return self._hooks.call(self, args, kwargs)
        except AutogradError as error:
            _say_where(error, self)
            raise

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> hooks.HookHandle:
        """Call ``hook(module, args)`` before every forward; what it returns, unless None, replaces the arguments.

        with_kwargs: call ``hook(module, args, kwargs)``, which returns None or (args, kwargs).
        """
        return self._hooks_to_add().register("forward_pre", hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> hooks.HookHandle:
        """Call ``hook(module, args, output)`` after every forward; what it returns, unless None, is the output.

        with_kwargs: call ``hook(module, args, kwargs, output)``.
        """
        return self._hooks_to_add().register("forward", hook, prepend, with_kwargs)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> hooks.HookHandle:
        """Call ``hook(module, grad_output)`` when the gradients of the outputs are known, before any inside.

        grad_output: a tuple; what the hook returns, unless None, takes its place.
        """
        return self._hooks_to_add().register("backward_pre", hook, prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> hooks.HookHandle:
        """Call ``hook(module, grad_input, grad_output)`` when the gradients of the positional arguments are known.

        grad_input, grad_output: tuples, with None for arguments that take no gradient; what the hook returns, unless
        None, goes on in place of grad_input.

        >>> import autograd_core as ag
        >>> from autograd_core import nn
        >>> layer, x = nn.Tanh(), ag.zeros(2)
        >>> handle = layer.register_full_backward_hook(lambda module, grad_input, grad_output: (grad_input[0] * 0.5,))
        >>> x = x.requires_grad_()
        >>> layer(x).sum().backward()
        >>> x.grad
        tensor([0.5, 0.5])
        """
        return self._hooks_to_add().register("backward", hook, prepend)

    def _hooks_to_add(self) -> hooks.Hooks:
        if self._hooks is None:
            self._hooks = hooks.Hooks()
        return self._hooks

    # ------------------------------------------------------------------------------ attributes

    def __setattr__(self, name: str, value: Any) -> None:
        old = self.__dict__.get(name)
        if isinstance(old, Parameter) and value is not None and not isinstance(value, Parameter):
            raise ArgumentError(
                f"{type(self).__name__}.{name} is a parameter; assigning a {type(value).__name__} would hide it from "
                f"optimizers. Write self.{name}.assign_(value) for a new value, nn.Parameter(value) for a new parameter"
            )
        if isinstance(old, Buffer) and isinstance(value, Tensor) and not isinstance(value, (Buffer, Parameter)):
            value = Buffer(value, old.persistent)
        if isinstance(value, Parameter):
            value.rename(name)
        elif isinstance(value, Module):
            for path, parameter in value.named_parameters(prefix=name):
                parameter.rename(path)
        before = old if name in self.__dict__ else getattr(type(self), name, None)
        object.__setattr__(self, name, value)
        if isinstance(before, bool) and isinstance(value, bool):
            changes.note_flag(self, name, before, value)
        else:
            changes.note()

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        changes.note()

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """``self.<name> = param``, for names that are computed."""
        self._register("register_parameter", name, param, Parameter)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """``self.<name> = nn.Buffer(tensor, persistent)``."""
        if isinstance(tensor, Tensor) and not isinstance(tensor, Buffer):
            tensor = Buffer(tensor, persistent)
        self._register("register_buffer", name, tensor, Buffer)

    def add_module(self, name: str, module: Module | None) -> None:
        """``self.<name> = module``, for names that are computed."""
        self._register("add_module", name, module, Module)

    register_module = add_module

    def _register(self, op: str, name: str, value: Any, kind: type) -> None:
        owner = type(self).__name__
        if not isinstance(name, str) or not name or "." in name:
            raise ArgumentError(f"{owner}.{op}: a name is a non-empty string without dots, got {name!r}")
        if hasattr(type(self), name) or not isinstance(self.__dict__.get(name), (kind, type(None))):
            raise ArgumentError(f"{owner}.{op}: the attribute {name!r} exists already and is something else")
        if value is not None and not isinstance(value, kind):
            raise ArgumentError(f"{owner}.{op}: {name!r} must be a {kind.__name__} or None, got {type(value).__name__}")
        setattr(self, name, value)

    def _own(self, kind: type[Kind]) -> list[tuple[str, Kind]]:
        return [(name, value) for name, value in self.__dict__.items() if isinstance(value, kind)]

    # ------------------------------------------------------------------------------ the tree

    def named_modules(self, prefix: str = "", remove_duplicate: bool = True) -> Iterator[tuple[str, Module]]:
        """(path, module) of this module (path ``prefix``) and all below it, parents first."""
        seen: set[int] = set()
        stack = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            if remove_duplicate and id(module) in seen:
                continue
            seen.add(id(module))
            yield path, module
            stack.extend((_joined(path, name), child) for name, child in reversed(module._own(Module)))

    def modules(self) -> Iterator[Module]:
        """This module and all below it, each once."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """(name, module) of the modules directly below this one, each once."""
        seen: set[int] = set()
        for name, child in self._own(Module):
            if id(child) not in seen:
                seen.add(id(child))
                yield name, child

    def children(self) -> Iterator[Module]:
        """The modules directly below this one, each once."""
        return (child for _, child in self.named_children())

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """(path, parameter) of this module and, with ``recurse``, of all below it; shared ones once."""
        return self._named(Parameter, prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters of this module and, with ``recurse``, of all below it, each once."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Buffer]]:
        """(path, buffer) of this module and, with ``recurse``, of all below it; shared ones once."""
        return self._named(Buffer, prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Buffer]:
        """The buffers of this module and, with ``recurse``, of all below it, each once."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def _named(
        self, kind: type[Kind], prefix: str, recurse: bool, remove_duplicate: bool
    ) -> Iterator[tuple[str, Kind]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix, remove_duplicate) if recurse else [(prefix, self)]:
            for name, value in module._own(kind):
                if not remove_duplicate or id(value) not in seen:
                    seen.add(id(value))
                    yield _joined(path, name), value

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as ``"encoder.layers.2"``; ``""`` is this one. ArgumentError if there is none."""
        module: Any = self
        for name in target.split(".") if target else ():
            module = module.__dict__.get(name)
            if not isinstance(module, Module):
                known = ", ".join(path for path, _ in self.named_modules() if path) or "none"
                raise ArgumentError(f"{type(self).__name__} has no submodule {target!r}; it has: {known}")
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as ``"encoder.0.weight"``. ArgumentError if there is none."""
        return self._get("parameter", target, Parameter)

    def get_buffer(self, target: str) -> Buffer:
        """The buffer at a path such as ``"encoder.1.running_mean"``. ArgumentError if there is none."""
        return self._get("buffer", target, Buffer)

    def _get(self, what: str, target: str, kind: type[Kind]) -> Kind:
        path, _, name = target.rpartition(".")
        value = self.get_submodule(path).__dict__.get(name)
        if not isinstance(value, kind):
            known = ", ".join(path for path, _ in self._named(kind, "", True, False)) or "none"
            raise ArgumentError(f"{type(self).__name__} has no {what} {target!r}; it has: {known}")
        return value

    def apply(self: Self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` on every module of the tree, children before parents; for initialisation and the like."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # ------------------------------------------------------------------------------ modes

    def train(self: Self, mode: bool = True) -> Self:
        """Training mode (dropout drops, batch norm uses its batch), or with False the same as ``eval()``."""
        if not isinstance(mode, bool):
            raise ArgumentError(f"train: mode must be True or False, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self: Self) -> Self:
        """Evaluation mode: nothing is random, and running statistics are used as they are."""
        return self.train(False)

    def requires_grad_(self: Self, requires_grad: bool = True) -> Self:
        """Whether the parameters of the tree collect gradients; False freezes them."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the tree's parameters, or with ``set_to_none=False`` fill them with zeros."""
        for parameter in self.parameters():
            if parameter.grad is not None:
                parameter.grad = None if set_to_none else parameter.grad.new_zeros(parameter.shape)

    # ------------------------------------------------------------------------------ device and dtype

    def to(self: Self, *targets: Any, device: Any = None, dtype: Any = None) -> Self:
        """Move to a device and/or a floating dtype: ``model.to("cuda")``, ``model.to(ag.float64)``.

        Parameters and buffers stay the same objects, so optimizers made before remain valid; integer buffers keep
        their dtype. DTypeError for a dtype that is not floating or complex. Nothing moves unless the device exists.
        """
        for target in targets:
            if isinstance(target, Device):
                device = target
            elif isinstance(target, str):
                device, dtype = (device, target) if _is_dtype(target) else (target, dtype)
            else:
                dtype = target
        device = None if device is None else get_device(device)
        dtype = None if dtype is None else as_dtype(dtype)
        if dtype is not None and not is_inexact(dtype):
            raise DTypeError(f"{type(self).__name__}.to: parameters are floating or complex, got dtype {dtype}")
        for variable in [*self.parameters(), *self.buffers()]:
            variable.convert_(device, dtype)
        return self

    def float(self: Self) -> Self:
        """All floating parameters and buffers as float32."""
        return self.to(dtype="float32")

    def double(self: Self) -> Self:
        """All floating parameters and buffers as float64."""
        return self.to(dtype="float64")

    def half(self: Self) -> Self:
        """All floating parameters and buffers as float16."""
        return self.to(dtype="float16")

    def bfloat16(self: Self) -> Self:
        """All floating parameters and buffers as bfloat16."""
        return self.to(dtype="bfloat16")

    def cpu(self: Self) -> Self:
        """All parameters and buffers on the cpu."""
        return self.to(device="cpu")

    # ------------------------------------------------------------------------------ state

    def state_dict(self, *, prefix: str = "") -> dict[str, Tensor]:
        """Path -> value of every parameter and persistent buffer, without history.

        >>> from autograd_core import nn
        >>> {name: value.shape for name, value in nn.Sequential(nn.Linear(2, 3)).state_dict().items()}
        {'0.weight': (3, 2), '0.bias': (3,)}
        """
        return {prefix + path: variable.detach() for path, variable in self._state()}

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True) -> state.IncompatibleKeys:
        """Take over the values of a state dict: tensors or NumPy arrays, copied to the parameters' devices.

        strict: whether missing and unexpected keys are errors; if not, they are returned.
        Raises one StateDictError that names every missing, unexpected, misshaped or wrongly typed key; then nothing has
        changed.
        """
        return state.load(type(self).__name__, dict(self._state()), state_dict, strict)

    def _state(self) -> Iterator[tuple[str, Parameter | Buffer]]:
        for path, module in self.named_modules(remove_duplicate=False):
            for name, parameter in module._own(Parameter):
                yield _joined(path, name), parameter
            for name, buffer in module._own(Buffer):
                if buffer.persistent:
                    yield _joined(path, name), buffer

    # ------------------------------------------------------------------------------ description

    def extra_repr(self) -> str:
        """The arguments that ``repr`` shows."""
        return ""

    def __repr__(self) -> str:
        children = [f"({name}): {_indented(repr(child))}" for name, child in self._own(Module)]
        name, extra = type(self).__name__, self.extra_repr()
        if not children:
            return f"{name}({extra})"
        return "\n  ".join([f"{name}(", *([extra] if extra else []), *children]) + "\n)"


def _joined(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _indented(text: str) -> str:
    return text.replace("\n", "\n  ")


def _is_dtype(name: str) -> bool:
    try:
        as_dtype(name)
    except DTypeError:
        return False
    return True


def _say_where(error: AutogradError, module: Module) -> None:
    """Begin the message with the path of the innermost module that failed, as seen from the outermost one."""
    try:
        failed, message = error.__dict__.setdefault("_failed_in", (module, str(error)))
        path = next((path for path, m in module.named_modules() if m is failed), None)
        if path is not None:
            kind = type(failed).__name__
            error.args = (f"in {path} ({kind}): {message}" if path else f"in {kind}: {message}", *error.args[1:])
    except Exception as failure:  # the error itself matters more than its address
        error.add_note(f"(the module path could not be found: {failure!r})")
