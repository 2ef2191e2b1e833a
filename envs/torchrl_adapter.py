"""Worlds as torchrl environments, for torchrl's collectors and transforms."""

from __future__ import annotations

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Bounded, Composite, OneHot, Unbounded
from torchrl.envs import EnvBase

from envs.base import MetaEnv
from envs.randomness import make_generator


class TorchRLEnv(EnvBase):  # type: ignore[misc]  # torchrl ships no types
    """A batched torchrl environment around a world; its batch dimension is the world's copies.

    Beside `observation` it gives each copy's `task`, and after a step the `features` and the
    `sparse_reward` of the transition. A copy that ended is reset with the others untouched, as
    torchrl's collectors do it; a new task comes by `world.set_tasks`. Actions are in the world's own units; those of a
    `Discrete` space are one-hot vectors, whose first entry is the choice `start`.

    Args:
        world: the world. Seeding this environment seeds its generator.
    """

    batch_locked = True

    def __init__(self, env: MetaEnv) -> None:
        super().__init__(batch_size=[env.num_envs])
        self.meta_spec = env
        num_envs, spec = env.num_envs, env.meta_spec
        self.observation_spec = Composite(
            observation=Unbounded((num_envs, spec.observation_dim)),
            task=Unbounded((num_envs, spec.task_dim)),
            features=Unbounded((num_envs, spec.feature_dim)),
            sparse_reward=Unbounded((num_envs, 1)),
            shape=(num_envs,),
        )
        self.action_spec = (
            OneHot(spec.action_dim, shape=(num_envs, spec.action_dim), dtype=torch.float32)
            if spec.discrete_actions
            else Bounded(env.action_low.expand(num_envs, -1), env.action_high.expand(num_envs, -1))
        )
        self.reward_spec = Unbounded((num_envs, 1))
        flag = Binary(1, shape=(num_envs, 1), dtype=torch.bool)
        self.full_done_spec = Composite(
            done=flag.clone(), terminated=flag.clone(), truncated=flag.clone(), shape=(num_envs,)
        )

    def _reset(self, tensordict: TensorDictBase | None = None, **_: object) -> TensorDictBase:
        asked = None if tensordict is None else tensordict.get("_reset", None)
        env_ids = None if asked is None else asked.reshape(self.batch_size[0], -1).any(-1).nonzero()[:, 0]
        observation = self.meta_spec.restart(env_ids)
        flags = torch.zeros(*self.batch_size, 1, dtype=torch.bool)
        return self._step_data(
            observation,
            torch.zeros(*self.batch_size, self.meta_spec.meta_spec.feature_dim),
            torch.zeros(self.batch_size),
            done=flags,
            terminated=flags.clone(),
            truncated=flags.clone(),
        )

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        step = self.meta_spec.advance(tensordict["action"])
        terminated, truncated = step.reward.terminated[:, None], step.truncated[:, None]
        return self._step_data(
            step.observation,
            step.features,
            step.reward.sparse_reward,
            reward=step.reward.reward[:, None],
            done=terminated | truncated,
            terminated=terminated.clone(),
            truncated=truncated,
        )

    def _step_data(
        self, observation: Tensor, features: Tensor, sparse_reward: Tensor, **entries: Tensor
    ) -> TensorDictBase:
        return TensorDict(
            {
                "observation": observation,
                "task": self.meta_spec.tasks.clone(),
                "features": features,
                "sparse_reward": sparse_reward[:, None].clone(),
                **entries,
            },
            batch_size=self.batch_size,
        )

    def _set_seed(self, seed: int | None) -> None:
        self.meta_spec.generator = make_generator(seed or 0, 0, "world")
