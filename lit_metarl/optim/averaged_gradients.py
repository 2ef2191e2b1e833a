"""The Lightning strategy for several ranks: DDP's launch and set-up, without its wrapper."""

from __future__ import annotations

from typing import Any

import torch
from lightning_fabric.utilities.types import _PATH
from pytorch_lightning.strategies import DDPStrategy, StrategyRegistry
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from datamodules import ranks
from envs.errors import ContractError


class AveragedGradients(DDPStrategy):
    """Averages gradients over the ranks after every backward pass, in one all-reduce.

    Algorithms take several optimizer steps on different losses, each of which depends on some of the parameters;
    DDP's wrapper expects one loss per forward pass. Only the gradients that a backward pass has changed are
    averaged, before clipping and the optimizer see them, so that parameters that start equal stay equal.

    Args:
        **ddp: what `DDPStrategy` takes.
    """

    def __init__(self, **ddp: Any) -> None:
        super().__init__(**ddp)
        self._touched: list[nn.Parameter] = []
        self._hooks: list[RemovableHandle] = []

    def configure_ddp(self) -> None:
        """Make the parameters equal on all ranks, and record which of them get gradients."""
        assert self.model is not None
        with torch.no_grad():
            for tensor in (*self.model.parameters(), *self.model.buffers()):
                torch.distributed.broadcast(tensor, 0)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self._hooks = [parameter.register_post_accumulate_grad_hook(self._touched.append) for parameter in trained]

    def post_backward(self, closure_loss: Tensor) -> None:
        """Average the gradients that the backward pass has changed."""
        assert self.model is not None
        touched = set(map(id, self._touched))
        self._touched.clear()
        gradients = [p.grad for p in self.model.parameters() if id(p) in touched and p.grad is not None]
        ranks.average_(gradients)

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: _PATH, storage_options: Any | None = None) -> None:
        """Let rank 0 write a checkpoint; if it fails, all ranks stop."""
        with ranks.failing_together():
            super().save_checkpoint(checkpoint, filepath, storage_options)

    def teardown(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        super().teardown()


def require_equal_parameters(module: nn.Module) -> None:
    """Raise a `ContractError` if the parameters of an algorithm are no longer equal on all ranks."""
    if ranks.world_size() == 1:
        return
    sums = torch.stack([parameter.detach().double().sum() for parameter in module.parameters()]).tolist()
    for of_rank in ranks.gather_objects(sums):
        if of_rank != sums:
            raise ContractError(
                f"{type(module).__name__}.update",
                "parameters that are no longer equal on all ranks",
                "the same on all of them: use manual_backward, which averages gradients, or datamodules.ranks.average_",
            )


def register() -> None:
    """Register this strategy as `ddp`, which is also Lightning's default for several devices or machines."""
    StrategyRegistry.register(
        "ddp", AveragedGradients, "DDP without a wrapper: gradients are averaged after every backward pass", True
    )
