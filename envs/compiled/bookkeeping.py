"""What every step checks and counts: a few dozen numbers, for which one whole-array call after another takes longer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from envs.compiled.compilation import compiled

Numbers = NDArray[np.float32]
Flags = NDArray[np.bool_]
Integers = NDArray[np.int64]

REFUSED, WITHIN, CLIPPED = 0, 1, 2


@compiled
def prepare(
    actions: Numbers,
    env_ids: Integers,
    running: Flags,
    lowest: Numbers,
    highest: Numbers,
    rounding: float,
    prepared: Numbers,
) -> int:
    """Bring the actions of some copies into bounds.

    Args:
        actions: `[copies, action_dim]`.
        copies: who acts, indices `[acting]`.
        running: whose episode is under way, `[copies]`.
        lowest: bounds, `[action_dim]`.
        highest: bounds, `[action_dim]`.
        rounding: share of the range by which an action may lie beyond its bounds and still count as within.
        prepared: receives the actions within the bounds, `[acting, action_dim]`.

    Returns:
        `REFUSED` unless all of them are running and act in finite numbers (`prepared` is unfinished then), else
        `CLIPPED` if one acted beyond the bounds, or `WITHIN`.
    """
    result = WITHIN
    for row, env_id in enumerate(env_ids):
        if not running[env_id]:
            return REFUSED
        for index in range(actions.shape[1]):
            action = actions[env_id, index]
            if not np.isfinite(action):
                return REFUSED
            prepared[row, index] = min(max(action, lowest[index]), highest[index])
            if abs(action - prepared[row, index]) > rounding * (highest[index] - lowest[index]):
                result = CLIPPED
    return result


@compiled
def all_finite(
    env_ids: Integers, observation: Numbers, features: Numbers, reward: Numbers, sparse_reward: Numbers
) -> bool:
    """Whether the outcome of a step of some copies consists of finite numbers.

    Args:
        copies: who acted, indices `[acting]`.
        observation: `[copies, observation_dim]`.
        features: `[copies, feature_dim]`.
        reward: `[copies]`.
        sparse_reward: `[copies]`.
    """
    for env_id in env_ids:
        finite = np.isfinite(reward[env_id]) and np.isfinite(sparse_reward[env_id])
        for number in observation[
            env_id
        ]:  # of a row, all are looked at: without a way out, they are looked at together
            finite &= number - number == 0.0
        for number in features[env_id]:
            finite &= number - number == 0.0
        if not finite:
            return False
    return True


@compiled
def count(
    env_ids: Integers, elapsed: Integers, running: Flags, terminated: Flags, horizon: int, truncated: Flags
) -> None:
    """Count a step of some copies, and stop those whose episode it ends.

    Args:
        copies: who acted, indices `[acting]`.
        elapsed: steps within the episode, `[copies]`; changed.
        running: whose episode is under way, `[copies]`; changed.
        terminated: whose episode the world ends, `[copies]`.
        horizon: steps after which an episode is cut off.
        truncated: receives whose episode is cut off, `[copies]`.
    """
    for env_id in env_ids:
        elapsed[env_id] += 1
    for env_id in range(len(elapsed)):
        truncated[env_id] = elapsed[env_id] >= horizon and not terminated[env_id]
    for env_id in env_ids:
        running[env_id] = not (terminated[env_id] or truncated[env_id])
