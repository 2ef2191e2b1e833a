"""A trained agent out of its checkpoint, for scripts and notebooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass
from functools import partial
from inspect import signature
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import gymnasium

from datamodules.collection import RunningTrial
from envs import MetaEnv
from envs.action_units import ActionUnits
from envs.errors import require
from envs.randomness import make_generator
from envs.registration import SingleTaskEnv
from envs.task_distributions import TaskDistribution
from lit_metarl.algorithms import MetaRLModule
from lit_metarl.algorithms.base import CURVES
from lit_metarl.checkpoints import CONFIGURATION, MADE_OF, read_checkpoint

HINT = "Give the path of a .ckpt file that a run wrote."


@dataclass(frozen=True)
class TrainedAgent:
    """An agent that is not trained any further, and the environment that it was trained in.

    In an ordinary Gymnasium loop, over the episodes of one trial:

        agent = load_trained("runs/NAME/version_0/checkpoints/best.ckpt")
        env = gymnasium.make("lit_metarl/PointRobot-v0", task=[0.5, -0.5])
        trial = agent.begin_trial(env)
        for _ in range(3):
            observation, _ = env.reset()
            trial.begin_episode(observation)
            while trial.running.any():
                trial.observe(env.step(trial.act()))

    For many tasks at once, with `Collector` and others that take the algorithm itself:

        env = agent.make_env(num_envs=8)
        tasks = env.task_distribution.sample(8, generator)
        trials = Collector(env).collect(agent.algorithm, tasks, episodes=3, generator=generator, deterministic=True)

    Attributes:
        algorithm: with the checkpoint's weights, in evaluation mode. Its own actions lie in [-1, 1], which are not the
            units of every environment.
        env: builds the environment; called with a number of sub-environments and a seed.
    """

    algorithm: MetaRLModule
    env: Callable[[int, int], MetaEnv]

    def make_env(self, num_envs: int = 1, seed: int = 0) -> MetaEnv:
        """A new batched environment of `num_envs` sub-environments, whose random generator has that `seed`."""
        return self.env(num_envs, seed)

    def begin_trial(
        self, env: MetaEnv | gymnasium.Env[Any, Any], seed: int = 0, deterministic: bool = True
    ) -> RunningTrial:
        """A new trial, in which the agent knows nothing of its task yet.

        In a single environment without a time limit, an episode is over after as many steps as in training.

        Args:
            env: where the agent acts: a batched environment, or a single Gymnasium environment, with observations and
                actions like those of the one that it was trained in.
            seed: of the agent's randomness.
            deterministic: whether it acts without exploration noise.

        Raises:
            ConfigurationError: if the environment has observations of another size, or other actions.
        """
        actor: Any = env
        space = actor.observation_space if isinstance(env, gymnasium.Env) else actor.single_observation_space
        size = (self.algorithm.meta_spec.observation_dim,)
        message = f"its observations have the shape {space.shape}, and those of the agent's own have {size}"
        name = type(actor.unwrapped).__name__
        hint = "Use the environment that it was trained in."
        require(space.shape == size, "env", name, message, hint)
        units = ActionUnits(actor.action_space if isinstance(env, gymnasium.Env) else actor.single_action_space, name)
        spec = self.algorithm.meta_spec
        own, other = (
            f"{number} {'choices' if discrete else 'numbers'}"
            for number, discrete in ((spec.action_dim, spec.discrete_actions), (units.dim, units.discrete))
        )
        require(own == other, "env", name, f"its actions are {other}, and those of the agent's own are {own}", hint)
        generator = make_generator(seed, 0, "trial")
        return RunningTrial(
            self.algorithm,
            env,
            generator,
            deterministic=deterministic,
            device=self.algorithm.device,
            horizon=None if _has_end(env) else self.algorithm.meta_spec.horizon,
        )


def _has_end(env: MetaEnv | gymnasium.Env[Any, Any]) -> bool:
    """Whether its episodes end by themselves: one of this project's, or one with a time limit of Gymnasium's."""
    return (
        not isinstance(env, gymnasium.Env)
        or isinstance(env.unwrapped, SingleTaskEnv)
        or env.has_wrapper_attr("_max_episode_steps")
    )


def load_trained(checkpoint: Path | str, env: Callable[[int, int], MetaEnv] | None = None) -> TrainedAgent:
    """The agent of a checkpoint.

    Args:
        checkpoint: a `.ckpt` of a run from the command line or of a `Trainer` in Python.
        env: builds the environment, as the argument of `RolloutDataModule`; None for the one that the checkpoint
            names. Needed where that was built from more than numbers, texts and settings, such as functions.

    Raises:
        ConfigurationError: if it is not a checkpoint of a run, contains code, or does not say enough.
    """
    path = Path(checkpoint)
    content = read_checkpoint(path)
    model, made_in = _made_of(path, content)
    if env is None:
        env = partial(_build_env, path, made_in)
    algorithm: MetaRLModule = _build(path, MetaRLModule, model, meta_spec=env(1, 0).meta_spec)
    algorithm.load_state_dict(content["state_dict"])
    if content.get(CURVES):
        algorithm.curves.load_state_dict(content[CURVES])
    return TrainedAgent(algorithm.eval(), env)


def _made_of(path: Path, content: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a checkpoint says of its algorithm and its environment: `class_path` and `init_args`."""
    configuration = content.get(CONFIGURATION)
    if configuration:
        return configuration["model"], configuration["data"]["env"]
    made_of = content.get(MADE_OF)
    message = "it does not say what was trained in which environment"
    require(bool(made_of), "checkpoint", str(path), message, HINT)
    assert made_of is not None
    return made_of["model"], made_of["env"]


def _build_env(path: Path, made_of: dict[str, Any], num_envs: int, seed: int) -> MetaEnv:
    """The environment that a checkpoint names."""
    env: MetaEnv = _build(path, MetaEnv, made_of, num_envs=num_envs, seed=seed)
    return env


def _build(path: Path, base: type, made_of: dict[str, Any], **more: Any) -> Any:
    """The object of a `class_path` and `init_args`; `more` takes precedence.

    Only a subclass of `base`, task distributions, and the dataclasses of its arguments' default values, are called: a
    checkpoint must not be able to run anything else.
    """
    name, unknown = made_of["class_path"], made_of.get("unknown")
    message = f"it cannot hold what {name} was built with: {', '.join(unknown or [])}"
    hint = "Give it to load_trained(…, env=…)." if base is MetaEnv else "Build it yourself, and load the state_dict."
    require(not unknown, "checkpoint", str(path), message, hint)
    try:
        part = resolve_name(name)
    except (ImportError, AttributeError, ValueError):
        part = None
    right = isinstance(part, type) and issubclass(part, base)
    hint = "Run where that class can be imported."
    require(right, "checkpoint", str(path), f"it names {name}, which is no {base.__name__} here", hint)
    given = {**(made_of.get("init_args") or {}), **more}
    for owner in part.__mro__:  # each passes on the arguments it does not know
        for argument in signature(owner.__init__).parameters.values():
            value = given.get(argument.name)
            if isinstance(value, dict) and "class_path" in value:
                given[argument.name] = _build(path, TaskDistribution, value)
            elif isinstance(value, dict):
                given[argument.name] = _settings(argument.default, value)
    return part(**given)


def _settings(default: Any, given: dict[str, Any]) -> Any:
    """Settings of the class of an argument's `default`, if that is a dataclass; the same in their fields."""
    if not is_dataclass(default) or isinstance(default, type):
        return given
    inner = {field.name: getattr(default, field.name) for field in fields(default)}
    nested = {name: _settings(inner.get(name), value) for name, value in given.items() if isinstance(value, dict)}
    return type(default)(**{**given, **nested})
