"""Meta-World's own evaluation of meta-learning, applied to our agents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules import RolloutDataModule
from datamodules.contracts import Agent, Transition
from envs.errors import ConfigurationError, require, require_positive
from envs.manipulation.meta_world import MetaWorld
from envs.randomness import make_generator
from lit_metarl.rollout_data import rollout_data

Numbers = NDArray[Any]


def _tensor(values: Numbers, device: torch.device) -> Tensor:
    return torch.from_numpy(np.asarray(values, np.float32)).to(device)


class ProtocolAgent:
    """One of our agents with the interface of Meta-World's protocol (`metaworld.evaluation.MetaLearningAgent`).

    A trial is one row of the belief. Adaptation episodes act as in training, evaluation episodes without
    action noise. The protocol shows the agent no rewards while it evaluates; `WatchedEnvironments` does, so that
    an agent with a recurrent belief keeps observing, as the benchmark's own recurrent agents do.

    Args:
        agent: the agent.
        device: of its parameters.
        num_envs: sub-environments.
        generator: source of its randomness.
    """

    def __init__(self, agent: Agent, device: torch.device, num_envs: int, generator: torch.Generator) -> None:
        self._agent, self._device, self._num_envs, self._generator = agent, device, num_envs, generator
        self.init()

    def init(self) -> None:
        """Begin new trials."""
        self._belief = self._agent.start_trial(self._num_envs, self._generator)
        self._extras: dict[str, Tensor] = {}  # of the last decision

    def adapt_action(self, observations: Numbers) -> tuple[Numbers, dict[str, Numbers]]:
        """Actions `[num_envs, action_dim]` of an adaptation episode."""
        return self._act(observations, deterministic=False), {}

    def eval_action(self, observations: Numbers) -> Numbers:
        """Actions `[num_envs, action_dim]` of an evaluation episode."""
        return self._act(observations, deterministic=True)

    def _act(self, observations: Numbers, deterministic: bool) -> Numbers:
        with torch.no_grad():
            observation = _tensor(observations, self._device)
            decision = self._agent.act(observation, self._belief, deterministic, self._generator)
        self._extras = decision.extras
        actions: Numbers = decision.action.cpu().numpy()
        return actions

    def observe(self, before: Numbers, actions: Numbers, after: Numbers, rewards: Numbers, ends: list[Numbers]) -> None:
        """Observe a step of every sub-environment; `ends` says which terminated and which were truncated."""
        terminated, truncated = (torch.from_numpy(np.asarray(end, np.bool_)).to(self._device) for end in ends)
        transition = Transition(
            observation=_tensor(before, self._device),
            action=_tensor(actions, self._device),
            reward=_tensor(rewards, self._device),
            next_observation=_tensor(after, self._device),
            terminated=terminated,
            truncated=truncated,
            active=torch.ones_like(terminated),
            extras=self._extras,
        )
        with torch.no_grad():
            self._belief = self._agent.observe(self._belief, transition)

    def step(self, timestep: Any) -> None:
        """A step of an adaptation episode was made; all of these episodes are equally long."""
        if np.logical_or(timestep.terminated, timestep.truncated).all():
            with torch.no_grad():
                self._belief = self._agent.end_episode(self._belief, self._generator)

    def adapt(self) -> None:
        """Adaptation is over. Does nothing: our agents adapt after every step or episode."""

    def reset(self, env_mask: NDArray[np.bool_]) -> None:
        """Evaluation episodes begin. They continue the same trial, with the belief so far."""


class WatchedEnvironments:
    """Meta-World's vector environments; the agent observes every step.

    Args:
        environments: Meta-World's, which reset themselves in the step that ends an episode.
        agent: the agent that observes.
    """

    def __init__(self, environments: Any, agent: ProtocolAgent) -> None:
        self._environments, self._agent = environments, agent
        self._observation: Numbers = np.empty(0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._environments, name)

    def reset(self) -> Any:
        """Meta-World's reset."""
        self._observation, info = self._environments.reset()
        return self._observation, info

    def step(self, actions: Numbers) -> Any:
        """Meta-World's step; the agent sees the observation that an episode ended with, not that of the next start."""
        observation, rewards, terminated, truncated, info = self._environments.step(actions)
        after = observation.copy()
        for env_id in np.flatnonzero(np.logical_or(terminated, truncated)):
            after[env_id] = info["final_obs"][env_id]
        self._agent.observe(self._observation, actions, after, rewards, [terminated, truncated])
        self._observation = observation
        return observation, rewards, terminated, truncated, info


class MetaWorldProtocol(pl.Callback):
    """After the test, evaluates the agent as Meta-World does (`metaworld.evaluation.metalearning_evaluation`).

    Logs `test/metaworld_success` and `test/metaworld_return`, means over the test scenes, and the success of each
    scene. docs/metaworld.md says what they count; they are not the metrics of our own trials.

    Args:
        evaluations: rounds, each on the next test task of every environment.
        meta_batch_size: environments at a time, a multiple of the number of test scenes.
        tasks_per_scene: test tasks used of every scene's 50; the environments of a scene share them evenly.
        adaptation_episodes: episodes in which the agent adapts.
        evaluation_episodes: episodes counted after that, in every scene (not in every environment).
        seed: seed of the agent's randomness.
    """

    def __init__(
        self,
        evaluations: int = 10,
        meta_batch_size: int = 20,
        tasks_per_scene: int = 40,
        adaptation_episodes: int = 10,
        evaluation_episodes: int = 3,
        seed: int = 20_230_111,
    ) -> None:
        for name in ("evaluations", "meta_batch_size", "tasks_per_scene", "adaptation_episodes", "evaluation_episodes"):
            require_positive(name, locals()[name], of=self)
        self.evaluations = evaluations
        self.meta_batch_size = meta_batch_size
        self.tasks_per_scene = tasks_per_scene
        self.adaptation_episodes = adaptation_episodes
        self.evaluation_episodes = evaluation_episodes
        self.seed = seed

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse another environment, numbers that do not divide its test tasks, or too few adaptation episodes."""
        self._check(self._env(trainer))
        agent: Any = pl_module
        require(
            agent.exploration_episodes <= self.adaptation_episodes,
            "adaptation_episodes",
            self.adaptation_episodes,
            f"the agent has adapted after its {agent.exploration_episodes} exploration episodes, not before",
            "Raise it, or evaluate an agent that explores for fewer episodes.",
            of=self,
        )

    def _env(self, trainer: pl.Trainer) -> MetaWorld:
        env = rollout_data(trainer).env
        if not isinstance(env, MetaWorld):
            raise ConfigurationError(
                "env",
                type(env).__name__,
                "Meta-World's protocol evaluates its benchmarks only",
                "Use ML1, ML10, ML25 or ML45, or leave the protocol out.",
                of=RolloutDataModule,
            )
        return env

    def _check(self, env: MetaWorld) -> None:
        scenes = len(env.test_scenes)
        require(
            self.meta_batch_size % scenes == 0,
            "meta_batch_size",
            self.meta_batch_size,
            f"it must be a multiple of the {scenes} test scenes",
            "Meta-World uses 20.",
            of=self,
        )
        share = self.meta_batch_size // scenes
        require(
            self.tasks_per_scene <= 50 and self.tasks_per_scene % share == 0,
            "tasks_per_scene",
            self.tasks_per_scene,
            f"it must be at most 50 and a multiple of the {share} environments of a scene",
            "Meta-World uses 40.",
            of=self,
        )

    @torch.no_grad()
    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Run the protocol and log what it counts."""
        from metaworld.evaluation import metalearning_evaluation  # imported only when it is used

        environments = self._env(trainer).own_test_environments(self.meta_batch_size, self.tasks_per_scene)
        agent: Any = pl_module
        generator = make_generator(self.seed, 0, "Meta-World's protocol")
        protocol_agent = ProtocolAgent(agent, pl_module.device, self.meta_batch_size, generator)
        watched: Any = WatchedEnvironments(environments, protocol_agent)
        success, mean_return, by_scene = metalearning_evaluation(
            protocol_agent,
            watched,
            self.evaluations,
            adaptation_episodes=self.adaptation_episodes,
            evaluation_episodes=self.evaluation_episodes,
        )
        environments.close()
        pl_module.log_dict(
            {
                "test/metaworld_success": success,
                "test/metaworld_return": mean_return,
                **{f"test/metaworld_success_{scene}": float(rate) for scene, rate in by_scene.items()},
            }
        )
