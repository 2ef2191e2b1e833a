"""The environments as torchrl's, for its collectors and transforms."""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict, TensorDictBase
from torch import Tensor
from torchrl.data import Binary, Bounded, Composite, OneHot, Unbounded
from torchrl.envs import EnvBase

from envs.base import MetaEnv
from envs.randomness import make_generator


class TorchRLEnv(EnvBase):  # type: ignore[misc]  # torchrl ships no types
    """A batched torchrl environment around a `MetaEnv`; its batch dimension is that of the sub-environments.

    Beside `observation` there are each sub-environment's `task` and, after a step, the `features` and the
    `sparse_reward` of the transition. A sub-environment whose episode has ended is reset while the others go on, as
    torchrl's collectors do it, and keeps its task. New tasks come with a reset of this environment, or of a collector
    that runs it, as in `envs.MetaEnv`: `reset(options={"tasks": tasks})`. Actions are in the environment's own units;
    those of a `Discrete` space are one-hot vectors, whose first entry is the choice `start`.

    Args:
        env: the environment. Seeding this one seeds its generator.

    Attributes:
        env: the environment.
    """

    batch_locked = True

    def __init__(self, env: MetaEnv) -> None:
        super().__init__(batch_size=[env.num_envs])
        self.env = env
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

    def _reset(self, tensordict: TensorDictBase | None = None, options: dict[str, Any] | None = None) -> TensorDictBase:
        asked = None if tensordict is None else tensordict.get("_reset", None)
        mask = None if asked is None else asked.reshape(self.batch_size[0], -1).any(-1)
        observation, _ = self.env.reset(options={**(options or {}), "reset_mask": mask})
        flags = torch.zeros(*self.batch_size, 1, dtype=torch.bool)
        return self._step_data(
            observation,
            torch.zeros(*self.batch_size, self.env.meta_spec.feature_dim),
            torch.zeros(self.batch_size),
            done=flags,
            terminated=flags.clone(),
            truncated=flags.clone(),
        )

    def _step(self, tensordict: TensorDictBase) -> TensorDictBase:
        observation, reward, terminated, truncated, info = self.env.step(tensordict["action"])
        return self._step_data(
            observation,
            info["features"],
            info["sparse_reward"],
            reward=reward[:, None],
            done=(terminated | truncated)[:, None],
            terminated=terminated[:, None],
            truncated=truncated[:, None],
        )

    def _step_data(
        self, observation: Tensor, features: Tensor, sparse_reward: Tensor, **entries: Tensor
    ) -> TensorDictBase:
        return TensorDict(
            {
                "observation": observation,
                "task": self.env.tasks.clone(),
                "features": features,
                "sparse_reward": sparse_reward[:, None],
                **entries,
            },
            batch_size=self.batch_size,
        )

    def _set_seed(self, seed: int | None) -> None:
        self.env.generator = make_generator(seed or 0, 0, "world")
