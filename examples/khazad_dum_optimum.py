"""The best mean returns that KhazadDum allows: around the abyss, and over the narrow bridge where nothing shakes it.

    python examples/khazad_dum_optimum.py

By value iteration over the cells for many starts. Moves are of length one, so that without noise an agent meets every
cell in one place only. A policy that never takes the bridge earns at most the first number, whatever the task.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from numpy.typing import NDArray

from envs.navigation.khazad_dum import (
    ABYSS,
    GOAL,
    GOAL_BONUS,
    HEIGHT,
    HORIZON,
    MOVES,
    START,
    WIDTH,
    cells_of,
    move,
    on_narrow_bridge,
)

NEVER = -np.inf


def best_return(start: NDArray[np.float64], over_the_bridge: bool) -> float:
    """The largest return of an episode from `start` `[2]` without noise.

    Args:
        start: where the episode begins.
        over_the_bridge: whether the narrow bridge may be entered.
    """
    inside = np.stack(np.meshgrid(np.arange(1, WIDTH - 1), np.arange(1, HEIGHT - 1), indexing="ij"), -1).reshape(-1, 2)
    places = inside + (start - np.rint(start))
    number = {tuple(cell): index for index, cell in enumerate(inside)}
    after = np.stack([move(places, np.broadcast_to(step, places.shape), np.zeros_like(places))[0] for step in MOVES])
    flat = after.reshape(-1, 2)
    following = np.array([number[tuple(cell)] for cell in np.rint(flat).astype(int)]).reshape(after.shape[:2])
    at_goal = (np.rint(after) == GOAL).all(-1)
    reward = np.maximum(-np.abs(after - GOAL).sum(-1) / 5.0, -1.0) + GOAL_BONUS * at_goal
    shunned = cells_of(flat) == ABYSS
    if not over_the_bridge:
        shunned |= on_narrow_bridge(flat)
    reward[shunned.reshape(at_goal.shape)] = NEVER
    value = np.zeros(len(places))
    for _ in range(HORIZON):
        value = (reward + np.where(at_goal, 0.0, value[following])).max(0)
    return float(value[number[tuple(np.rint(start).astype(int))]]) / HORIZON


def main(arguments: list[str] | None = None) -> int:
    """Print both means with their standard errors; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=4000, help="starts to average over")
    number = parser.parse_args(arguments).starts
    starts = np.random.default_rng(0).uniform(*START, (number, 2))
    for name, over_the_bridge in (("around the abyss", False), ("over the narrow bridge, without noise", True)):
        returns = [best_return(start, over_the_bridge) for start in starts]
        print(f"{name}: {np.mean(returns):.4f} ± {np.std(returns) / number**0.5:.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
