"""A picture of adapting: what an agent does in every episode of a trial, on several tasks.

    python examples/adaptation_picture.py runs/NAME/version_0/checkpoints/best.ckpt out.png --tasks "[[0.5], [2.5]]"

In velocity environments it plots the velocity over time and the hidden target; in goal environments, the paths and the
hidden goal.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from datamodules.collection import Collector, Trials
from envs import ConfigurationError, MetaEnvSpec
from envs.errors import require, require_writable
from lit_metarl.prediction import checked_tasks
from lit_metarl.trained import load_trained

FORMATS = (".png", ".svg")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")


def run_trials(
    checkpoint: Path, tasks: list[list[float]], episodes: int | None, seed: int
) -> tuple[Trials, MetaEnvSpec]:
    """One deterministic trial on every task, and the environment in which they ran.

    Raises:
        ConfigurationError: if the tasks do not fit the environment.
    """
    trained = load_trained(checkpoint)
    agent, env = trained.algorithm, trained.make_env(len(tasks), seed)
    wanted = checked_tasks(tasks, env)
    generator = torch.Generator().manual_seed(seed)
    number = episodes or agent.exploration_episodes + 1
    trials = Collector(env).collect(agent, wanted, number, generator, deterministic=True)
    return trials, env.meta_spec


def plot(trials: Trials, meta_spec: MetaEnvSpec) -> Figure:
    """One panel an episode; every task in a color of its own."""
    names = meta_spec.feature_names
    paths = {"x", "y"} <= set(names) and len(meta_spec.task_names) == 2
    hidden_velocity = "velocity" in names and meta_spec.task_names == ("velocity",)
    hint = "Give a checkpoint of an environment with a hidden goal or velocity."
    require(paths or hidden_velocity, "checkpoint", meta_spec.name, "there is no such picture of its tasks", hint)
    episodes = trials.steps.shape[1]
    figure = Figure(figsize=(3.1 * episodes, 3.2), layout="constrained")
    panels = figure.subplots(1, episodes, sharex=True, sharey=True, squeeze=False)[0]
    for episode, axes in enumerate(panels):
        for number, task in enumerate(trials.tasks):
            steps = trials.steps[number, episode]
            features = steps["features"][steps["valid"]]
            color = COLOURS[number % len(COLOURS)]
            if paths:
                _plot_path(axes, features[:, [names.index("x"), names.index("y")]], task, color)
            else:
                axes.axhline(float(task[0]), color=color, linestyle="--", linewidth=1)
                axes.plot(features[:, names.index("velocity")], color=color, linewidth=1.2)
        explores = episode < trials.exploration_episodes
        mean = float(trials.episode_returns[:, episode].mean())
        axes.set_title(
            f"episode {episode + 1}{' (exploring)' if explores else ''}\nmean return {mean:.0f}", fontsize=10
        )
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xlabel("x" if paths else "step")
    panels[0].set_ylabel("y" if paths else "velocity; dashed: hidden target")
    return figure


def _plot_path(axes: Axes, path: Tensor, task: Tensor, color: str) -> None:
    axes.plot(path[:, 0], path[:, 1], color=color, marker=".", markersize=4, linewidth=1)
    axes.plot(float(task[0]), float(task[1]), color=color, marker="*", markersize=13, linestyle="")
    axes.set_aspect("equal")


def main(args: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(description="Draws what an agent does in every episode of a trial.")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("picture", type=Path, help="file to write, .png or .svg")
    parser.add_argument("--tasks", type=json.loads, required=True, help='such as "[[0.5], [1.5]]"')
    parser.add_argument("--episodes", type=int, help="default: those of exploration and one more")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(args)
    try:
        known, fine = options.picture.suffix in FORMATS, options.episodes is None or options.episodes >= 1
        require(known, "picture", str(options.picture), "its name must end in .png or .svg", "Rename it.")
        require_writable("picture", options.picture.parent)
        listed = isinstance(options.tasks, list) and all(isinstance(task, list) for task in options.tasks)
        require(listed, "tasks", options.tasks, "it must be a list of tasks, each a list of numbers", "Add brackets.")
        require(fine, "episodes", options.episodes, "it must be at least 1", "Leave it out for the usual number.")
        figure = plot(*run_trials(options.checkpoint, options.tasks, options.episodes, options.seed))
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    figure.savefig(options.picture, dpi=130)
    return 0


if __name__ == "__main__":
    sys.exit(main())
