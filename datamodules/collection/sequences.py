"""Trials as sequences: all episodes of a trial one after the other, for models that remember across them."""

from __future__ import annotations

import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.collection.trials import Trials


def as_sequences(trials: Trials) -> TensorDict:
    """The steps of every trial in order, with padding (zeros) only at the end.

    Args:
        trials: the trials.

    Returns:
        Batch shape `[tasks, time]`, time running over all episodes. To the keys of `trials.steps` come
        `begins` (the first step of an episode other than the trial's first), `ends` (the last step of
        an episode) and `truncated` (a last step that was no end for good, so the time limit came).
    """
    steps = trials.steps
    valid = steps["valid"]
    ends = valid & ~torch.nn.functional.pad(valid[:, :, 1:], (0, 1))
    begins = torch.zeros_like(valid)
    begins[:, 1:, 0] = valid[:, 1:, 0]
    marks = {"begins": begins, "ends": ends, "truncated": ends & ~steps["terminated"]}
    columns = {key: values.flatten(1, 2) for key, values in (*steps.items(), *marks.items())}
    if not bool(valid.all()):
        columns = {key: _moved_up(values, columns["valid"]) for key, values in columns.items()}
    return TensorDict(columns, list(columns["valid"].shape))


def _moved_up(values: Tensor, valid: Tensor) -> Tensor:
    """The `valid` `[tasks, time]` of `values` `[tasks, time, ...]` in order, then zeros, `[tasks, longest, ...]`."""
    lengths = valid.sum(1)
    places = torch.arange(int(lengths.max()), device=values.device) < lengths[:, None]
    moved = values.new_zeros(*places.shape, *values.shape[2:])
    moved[places] = values[valid]
    return moved
