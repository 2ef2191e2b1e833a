"""What a robot's step costs beside its physics."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compilation import compiled

Numbers = NDArray[np.float64]


@compiled
def sums_of_squares(rows: Numbers, bound: float) -> Numbers:
    """‖row‖² of every row of `rows` `[copies, numbers]`, each number brought within ±`bound` first, `[copies]`."""
    sums = np.zeros(len(rows))
    for env_id in range(len(rows)):
        for number in rows[env_id]:
            within = min(max(number, -bound), bound)
            sums[env_id] += within * within
    return sums
