"""Trials as sequences: all episodes of a trial one after the other, for models that remember across them."""

from __future__ import annotations

import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.collection.trials import Trials


def as_sequences(trials: Trials) -> TensorDict:
    """The steps of every trial in order, with padding only at the end.

    Args:
        trials: the trials.

    Returns:
        Batch shape `[tasks, time]`, time running over all episodes. To the keys of `trials.steps` come
        `begins` (the first step of an episode other than the trial's first), `ends` (the last step of
        an episode) and `truncated` (a last step that was no end for good, so the time limit came).
    """
    steps = trials.steps
    tasks, episodes, horizon = steps.batch_size
    valid = steps["valid"]
    ends = valid & ~torch.nn.functional.pad(valid[:, :, 1:], (0, 1))
    begins = torch.zeros_like(valid)
    begins[:, 1:, 0] = valid[:, 1:, 0]
    marks = {"begins": begins, "ends": ends, "truncated": ends & ~steps["terminated"]}
    columns = {key: values.flatten(1, 2) for key, values in (*steps.items(), *marks.items())}
    if not bool(valid.all()):
        order = (~columns["valid"]).to(torch.uint8).argsort(stable=True, dim=1)
        columns = {key: _reorder(values, order) for key, values in columns.items()}
        longest = max(1, int(columns["valid"].sum(1).max()))
        columns = {key: values[:, :longest] for key, values in columns.items()}
        length = longest
    else:
        length = episodes * horizon
    return TensorDict(columns, [tasks, length])


def _reorder(values: Tensor, order: Tensor) -> Tensor:
    """`values` `[tasks, time, ...]` with time in the `order` `[tasks, time]`."""
    return values[torch.arange(len(values), device=values.device)[:, None], order]
