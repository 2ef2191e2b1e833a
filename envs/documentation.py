"""Writes docs/environments.md from the environments' docstrings: `python -m envs.documentation` (some minutes).

The page's table lists the returns of a zero and a uniformly random policy, measured anew; with names of environments
as arguments, only theirs.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from envs import ENVIRONMENTS, MetaEnv
from envs.manipulation.meta_world import MetaWorld
from envs.randomness import make_generator

PAGE = Path(__file__).parent.parent / "docs" / "environments.md"
TASKS, FEWER_TASKS = 100, 20
COMMON_ARGUMENTS = {"num_envs", "seed", "threads", "horizon", "processes"}
INTRODUCTION = f"""# Environments

Written by `python -m envs.documentation` from the docstrings of `envs`; edit those, not this page.

Every environment is a batch of sub-environments, each with its own task (`envs.MetaEnv`). All are built as
`PointRobot(num_envs, seed, **arguments)`: `num_envs` sub-environments, and the `seed` of the environment's own random
generator. `horizon` changes the steps of an episode (by default those of the table). MuJoCo environments also take
`threads`, the number of native physics threads, by default one per core and at most one for each sub-environment;
those of Meta-World (ML1 to ML45) take `processes` instead ([more](metaworld.md)). Gymnasium knows them as
`lit_metarl/<name>-v0`:
`gymnasium.make("lit_metarl/HalfCheetahVel-v0", task=[1.5])` gives a single one, `gymnasium.make_vec` the batch;
`envs.torchrl_adapter.TorchRLEnv` makes them torchrl's ([both](python.md#environments-in-gymnasium-and-torchrl)).
A configuration for each is in `configs/env`.

The last two columns are mean returns (of the sparse reward) of one episode over {TASKS} tasks of the reference
distribution (Meta-World: {FEWER_TASKS}): for the action 0 (the first choice, where actions are discrete)
and for uniformly random actions. Tasks change the reward alone (relabeling works), the dynamics, or
both.

| environment | tasks change | observation | action | task | features | horizon | zero | random |
|---|---|---|---|---|---|---|---|---|
"""


class Returns(NamedTuple):
    """Mean returns of the two policies."""

    zero: float
    random: float


def mean_return(env: MetaEnv, random: bool) -> float:
    """Mean return of one episode in every sub-environment, with new tasks of the reference distribution."""
    generator = make_generator(0, 0, "documentation")
    env.reset(options={"tasks": env.task_distribution.sample(env.num_envs, generator)})
    total = torch.zeros(env.num_envs)
    while bool(env.running.any()):
        actions: Tensor = torch.zeros(env.num_envs, env.meta_spec.action_dim)
        if random:
            unit = torch.rand(actions.shape, generator=generator)
            actions = env.action_low + (env.action_high - env.action_low) * unit
        *_, info = env.step(actions)
        total += info["sparse_reward"]
    return float(total.mean())


def measure(env_class: type[MetaEnv]) -> Returns:
    """Returns of both policies over `TASKS` reference tasks; fewer where every task is a scene in memory."""
    tasks = FEWER_TASKS if issubclass(env_class, MetaWorld) else TASKS
    return Returns(mean_return(env_class(tasks), random=False), mean_return(env_class(tasks), random=True))


def _row(env_class: type[MetaEnv], returns: Returns) -> str:
    spec = env_class.meta_spec
    action = f"{spec.action_dim} choices" if spec.discrete_actions else str(spec.action_dim)
    cells = [
        f"[{spec.name}](#{spec.name.lower()})",
        spec.task_changes.value,
        str(spec.observation_dim),
        action,
        str(spec.task_dim),
        str(spec.feature_dim),
        str(spec.horizon),
        f"{returns.zero:.2f}",
        f"{returns.random:.2f}",
    ]
    return f"| {' | '.join(cells)} |\n"


def _section(env_class: type[MetaEnv]) -> str:
    description, _, arguments = inspect.cleandoc(env_class.__doc__ or "").partition("\nArgs:\n")
    entries = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", arguments, re.MULTILINE)
    items = [f"- `{name}`: {' '.join(text.split())}\n" for name, text in entries if name not in COMMON_ARGUMENTS]
    listing = f"\nArguments:\n\n{''.join(items)}" if items else ""
    return f"\n## {env_class.meta_spec.name}\n\n{description.strip()}\n{listing}"


def page(returns: Mapping[str, Returns]) -> str:
    """The page's text, given the returns by the environments' names."""
    rows = "".join(_row(env_class, returns[env_class.meta_spec.name]) for env_class in ENVIRONMENTS)
    return INTRODUCTION + rows + "".join(_section(env_class) for env_class in ENVIRONMENTS)


def returns_of(text: str) -> dict[str, Returns]:
    """The returns by the environments' names, as a page's text has them."""
    rows = re.findall(r"^\| \[(\w+)\]\(.*\| (\S+) \| (\S+) \|$", text, re.MULTILINE)
    return {name: Returns(float(zero), float(random)) for name, zero, random in rows}


def main(arguments: list[str]) -> int:
    """Measure the environments that are named (none: all of them), write the page; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m envs.documentation", description="Writes docs/environments.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="Environments to measure anew; by default all.")
    names = parser.parse_args(arguments).names
    by_name = {env_class.meta_spec.name: env_class for env_class in ENVIRONMENTS}
    for name in names:
        if name not in by_name:
            parser.error(f"there is no environment {name}; there are {', '.join(by_name)}")
    known = returns_of(PAGE.read_text(encoding="utf-8")) if names else {}
    PAGE.write_text(page({**known, **{name: measure(by_name[name]) for name in names or by_name}}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
