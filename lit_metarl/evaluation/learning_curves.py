"""The learning curves of a run, kept with its algorithm whatever the logger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:  # pandas is imported where it is needed: the command line answers sooner
    import pandas as pd

STEPS = "environment_steps"


class LearningCurves:
    """Scalars by name and environment step. Of values at one step, the last counts."""

    def __init__(self) -> None:
        self._values: dict[str, dict[int, float]] = {}

    def add(self, environment_steps: int, scalars: Mapping[str, float | Tensor]) -> None:
        """Add `scalars` measured after so many environment steps."""
        for name, value in scalars.items():
            self._values.setdefault(name, {})[environment_steps] = float(value)

    def frame(self) -> pd.DataFrame:
        """One row for each number of environment steps: `environment_steps`, and a column for every scalar.

        NaN where a scalar was not measured then.
        """
        import pandas as pd

        columns = {name: pd.Series(values) for name, values in sorted(self._values.items())}
        return pd.DataFrame(columns).sort_index().rename_axis(STEPS).reset_index()

    def state_dict(self) -> dict[str, Tensor]:
        """Environment steps and values of every scalar, `[n, 2]`."""
        return {name: torch.tensor(list(values.items()), dtype=torch.float64) for name, values in self._values.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what `state_dict` returned."""
        self._values = {name: {int(step): value for step, value in rows.tolist()} for name, rows in state.items()}
