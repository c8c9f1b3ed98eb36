"""Hooks on modules: functions that see, and may replace, what goes into a module, what comes out, and its gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from autograd_core import tree
from autograd_core.compiler import changes
from autograd_core.errors import ArgumentError
from autograd_core.tensor import Tensor
from autograd_core.transforms.custom import custom_vjp

if TYPE_CHECKING:
    from .module import Module

Function = Callable[..., Any]


class Hook(NamedTuple):
    """A function, and whether it takes keyword arguments too."""

    function: Function
    with_kwargs: bool = False


class HookHandle:
    """What registering a hook returns: ``remove()`` takes the hook away again, as does the end of a ``with``."""

    def __init__(self, hooks: list[Hook], hook: Hook):
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        self._hooks[:] = [hook for hook in self._hooks if hook is not self._hook]
        changes.note()

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *error: Any) -> None:
        self.remove()


class Hooks:
    """The hooks of one module, by when they are called."""

    def __init__(self) -> None:
        self.forward_pre: list[Hook] = []
        self.forward: list[Hook] = []
        self.backward_pre: list[Hook] = []
        self.backward: list[Hook] = []

    def __bool__(self) -> bool:
        return bool(self.forward_pre or self.forward or self.backward_pre or self.backward)

    def register(self, when: str, function: Function, prepend: bool, with_kwargs: bool = False) -> HookHandle:
        if not callable(function):
            raise ArgumentError(f"register_{when}_hook: a hook is a function, got {type(function).__name__}")
        hooks, hook = getattr(self, when), Hook(function, with_kwargs)
        hooks.insert(0 if prepend else len(hooks), hook)
        changes.note()
        return HookHandle(hooks, hook)

    def call(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``module.forward`` with everything around it."""
        for hook in list(self.forward_pre):
            args, kwargs = _before(hook, module, args, kwargs)
        passage = _Passage(module, self) if self.backward or self.backward_pre else None
        if passage is not None:
            args = passage.enter(args)
        output = module.forward(*args, **kwargs)
        for hook in list(self.forward):
            given = (args, kwargs, output) if hook.with_kwargs else (args, output)
            changed = hook.function(module, *given)
            output = output if changed is None else changed
        return output if passage is None else passage.leave(output)


def _before(hook: Hook, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
    if not hook.with_kwargs:
        changed = hook.function(module, args)
        if changed is None:
            return args, kwargs
        return (changed if isinstance(changed, tuple) else (changed,)), kwargs
    changed = hook.function(module, args, kwargs)
    if changed is None:
        return args, kwargs
    if not (isinstance(changed, tuple) and len(changed) == 2 and isinstance(changed[1], dict)):
        raise ArgumentError("a forward pre-hook with kwargs returns None or the pair (args, kwargs)")
    return changed


class _Passage:
    """One call of a module on the way back: gradients pass through identities before and behind it."""

    def __init__(self, module: Module, hooks: Hooks):
        self.module, self.hooks = module, hooks
        self.n_inputs = 0
        self.places: list[int] = []
        self.grad_output: tuple[Any, ...] = ()

    def enter(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.n_inputs = len(args)
        self.places = [i for i, x in enumerate(args) if isinstance(x, Tensor) and x.requires_grad]
        passed = dict(zip(self.places, _identity([args[i] for i in self.places], self._out_of), strict=True))
        return tuple(passed.get(i, x) for i, x in enumerate(args))

    def leave(self, output: Any) -> Any:
        leaves, structure = tree.flatten(output)
        places = [i for i, y in enumerate(leaves) if isinstance(y, Tensor) and y.requires_grad]
        for i, y in zip(places, _identity([leaves[i] for i in places], self._into), strict=True):
            leaves[i] = y
        return tree.unflatten(structure, leaves)

    def _into(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        """The gradients of the outputs arrive."""
        for hook in list(self.hooks.backward_pre):
            gradients = _replaced("pre-hook", gradients, hook.function(self.module, gradients))
        self.grad_output = gradients
        if not self.places:  # nothing is left to wait for
            self._out_of(())
        return gradients

    def _out_of(self, gradients: tuple[Any, ...]) -> tuple[Any, ...]:
        """The gradients of the inputs are known."""
        at = dict(zip(self.places, gradients, strict=True))
        gradients = tuple(at.get(i) for i in range(self.n_inputs))
        for hook in list(self.hooks.backward):
            gradients = _replaced("hook", gradients, hook.function(self.module, gradients, self.grad_output))
        return tuple(gradients[i] for i in self.places)


def _replaced(kind: str, gradients: tuple[Any, ...], changed: Any) -> tuple[Any, ...]:
    if changed is None:
        return gradients
    changed = changed if isinstance(changed, tuple) else (changed,)
    if len(changed) != len(gradients):
        raise ArgumentError(
            f"a full backward {kind} returns None or {len(gradients)} gradient(s), one for each; "
            f"it returned {len(changed)}"
        )
    return changed


def _identity(xs: Sequence[Tensor], backward: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> Sequence[Tensor]:
    """The same tensors; ``backward`` sees their gradients together, and says what they are before."""
    if not xs:
        return xs

    def identity(*xs: Tensor) -> tuple[Tensor, ...]:
        return xs

    passed = custom_vjp(identity)
    passed.defvjp(lambda *xs: (xs, None), lambda _, gradients: tuple(backward(tuple(gradients))))
    return passed(*xs)
