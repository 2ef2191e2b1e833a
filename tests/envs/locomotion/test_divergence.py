"""A simulation that breaks down ends its episode, is counted, and leaves nothing that is not finite."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from envs import AntVel, HalfCheetahVel, HumanoidVel, Reward, WalkerRandParams
from envs.errors import NonFiniteError
from envs.locomotion.mujoco_env import MujocoEnv


@pytest.mark.parametrize("env_class", [HalfCheetahVel, AntVel, HumanoidVel, WalkerRandParams])
@pytest.mark.parametrize("fault", [np.nan, 1e11])
def test_a_diverging_sub_environment_terminates_alone_in_its_last_finite_state(
    env_class: type[MujocoEnv], fault: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)  # MuJoCo writes a log file into the working directory
    env, healthy = env_class(3, seed=2), env_class(3, seed=2)
    observation, _ = env.reset()
    healthy.reset()
    advance = env._physics.advance

    def break_second_env(models, state, controls):  # type: ignore[no-untyped-def]
        state = state.copy()
        env._physics.velocities(state)[1] = fault
        return advance(models, state, controls)

    monkeypatch.setattr(env._physics, "advance", break_second_env)
    actions = torch.zeros(3, env.meta_spec.action_dim)
    after, reward, terminated, _, info = env.step(actions)
    expected, *_, expected_info = healthy.step(actions)
    assert env.diverged == 1
    assert terminated.tolist() == [False, True, False]
    assert env._running.tolist() == [True, False, True]
    assert torch.equal(after[1], observation[1])
    for mine, other in ((after, expected), (info["features"], expected_info["features"])):
        assert bool(torch.isfinite(mine).all())
        assert torch.equal(mine[[0, 2]], other[[0, 2]])
    assert bool(torch.isfinite(reward).all())
    recomputed = env.reward(info["features"], env.tasks)
    assert torch.equal(recomputed.terminated, terminated)


def test_the_count_of_divergences_is_part_of_the_state() -> None:
    env, other = HalfCheetahVel(1), HalfCheetahVel(1)
    env.diverged = 4
    other.load_state_dict(env.state_dict())
    assert other.diverged == 4


def test_a_sub_environment_diverges_alike_while_others_wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    env = AntVel(3, seed=2)
    observation, _ = env.reset()
    readings = env._readings.copy()
    env._physics.velocities(env._state)[1:, 0] = 1e11
    env._running[1] = False
    after, *_, info = env.step(torch.zeros(3, 8))
    assert env.diverged == 1
    assert info["features"][:, -1].tolist() == [0.0, 0.0, 1.0]
    assert env.running.tolist() == [True, False, False]
    assert np.array_equal(env._readings[1:], readings[1:])
    assert not torch.equal(after[0], observation[0])


def test_every_sub_environment_that_diverges_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    env = HalfCheetahVel(3)
    env.reset()
    env._state[1:, 1] = 1e11
    env.step(torch.zeros(3, 6))
    assert env.diverged == 2


def test_an_environment_of_a_users_own_is_checked_like_any_other() -> None:
    class Careless(HalfCheetahVel):
        def reward(self, features: Tensor, tasks: Tensor) -> Reward:
            return super().reward(features, tasks)._replace(reward=features[..., 0] / 0.0)

    env = Careless(2)
    env.reset()
    with pytest.raises(NonFiniteError, match="Careless.reward gives "):
        env.step(torch.zeros(2, 6))
