"""What a half-cheetah's step computes beside its physics, which take so little time that array calls would show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compilation import compiled

Numbers = NDArray[np.float64]
Row = NDArray[np.float32]


@compiled
def write_velocity_and_cost(
    before: Numbers, after: Numbers, duration: float, controls: Numbers, control_cost: float, features: Row
) -> None:
    """Forward velocity (m/s) and control cost of every copy.

    Args:
        before: positions before the step, x first (m), `[copies, nq]`.
        after: positions after it, `[copies, nq]`.
        duration: of the step, s.
        controls: `[copies, action_dim]`.
        control_cost: weight of ‖controls‖².
        features: receives both in its first columns, `[copies, feature_dim]`.
    """
    for env_id in range(len(features)):
        squares = 0.0
        for control in controls[env_id]:
            squares += control * control
        features[env_id, 0] = (after[env_id, 0] - before[env_id, 0]) / duration
        features[env_id, 1] = control_cost * squares


@compiled
def write_observation(motion: Numbers, torso_height: float, observation: Row) -> None:
    """PEARL's observation: all but x of the motion, then the torso's place.

    Args:
        motion: positions, x and height first (m), and velocities, `[copies, nq + nv]`.
        torso_height: of the torso's frame where the position's height is 0, m.
        observation: receives it, `[copies, nq + nv + 2]`.
    """
    last = motion.shape[1] - 1
    for env_id in range(len(motion)):
        for index in range(last):
            observation[env_id, index] = motion[env_id, index + 1]
        observation[env_id, last] = motion[env_id, 0]
        observation[env_id, last + 1] = 0.0
        observation[env_id, last + 2] = motion[env_id, 1] + torso_height
