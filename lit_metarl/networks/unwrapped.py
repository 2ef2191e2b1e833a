"""Networks as plain functions, for the many small evaluations of a running trial."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from lit_metarl.networks.task_linear import TaskLinear

Call = tuple[Callable[..., Tensor], tuple[Tensor | None, ...]]
"""A function of the input, and its other arguments."""


class Unwrapped:
    """Functions that are called one after the other.

    A trial evaluates small layers in every step, and there `nn.Module`'s call and its look-up of parameters take as
    long as the arithmetic.

    Args:
        calls: the functions, as `calls_of` a module gives them.
    """

    def __init__(self, *calls: Call) -> None:
        self._calls = calls

    def __call__(self, inputs: Tensor) -> Tensor:
        for function, arguments in self._calls:
            inputs = function(inputs, *arguments)
        return inputs


def calls_of(module: nn.Module) -> Iterator[Call]:
    """What `module` computes: linear layers and activations one after the other; other modules are called as they are.

    The parameters are the module's own, so the calls follow its training; hooks of its layers are left out.
    """
    if isinstance(module, nn.Sequential):
        for part in module:
            yield from calls_of(part)
    elif isinstance(module, nn.Linear) and type(module) in (nn.Linear, TaskLinear):
        yield functional.linear, (module.weight, module.bias)
    elif type(module) is nn.Tanh:
        yield torch.tanh, ()
    elif type(module) is nn.ReLU:
        yield torch.relu, ()
    elif type(module) is not nn.Identity:
        yield module, ()
