"""Learned rewards for hindsight: what was paid stays, what is predicted is learned from it alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tensordict import TensorDict

from datamodules.collection import Trials
from datamodules.replay import RewardModel, TaskReplay
from datamodules.tasks import SampledTasks
from envs import ConfigurationError, PointRobot
from envs.errors import NonFiniteError

SLOTS, EPISODES, HORIZON = 8, 3, 20


def collected(env: PointRobot, seed: int = 0) -> Trials:
    """Trials at random positions, rewarded by the environment's reward function; the observation shows the position."""
    generator = torch.Generator().manual_seed(seed)
    tasks = env.task_distribution.sample(SLOTS, generator)
    shape = (SLOTS, EPISODES, HORIZON)
    features = 2.0 * torch.rand(*shape, 2, generator=generator) - 1.0
    paid = env.reward(features, tasks[:, None, None])
    steps = TensorDict(
        {
            "observation": features,
            "action": torch.zeros(*shape, 2),
            "next_observation": features,
            "features": features,
            "reward": paid.reward,
            "sparse_reward": 2.0 * paid.sparse_reward,  # unlike the dense one
            "terminated": paid.terminated,
            "valid": torch.ones(shape, dtype=torch.bool),
        },
        list(shape),
    )
    return Trials(tasks, steps, None, 1)


def replay_with(model: RewardModel) -> tuple[TaskReplay, Trials]:
    env = PointRobot(1)
    model.bind(env.meta_spec, seed=3, rank=0)
    replay = TaskReplay(env, SLOTS, 10_000, model)
    trials = collected(env)
    replay.hold(torch.arange(SLOTS), SampledTasks(trials.tasks, torch.arange(SLOTS)))
    stored = replay.add(trials, torch.arange(SLOTS), torch.ones(EPISODES, dtype=torch.bool))
    replay.keep(stored, stored.slots)
    return replay, trials


def test_a_transition_keeps_its_reward_under_its_own_task_and_is_given_a_predicted_one_under_another() -> None:
    model = RewardModel(layers=[16], gradient_steps=5)
    replay, trials = replay_with(model)
    model.fit(replay.store)
    steps = replay.store.get(torch.arange(SLOTS * EPISODES * HORIZON)).view(SLOTS, -1)
    own = replay.compute_rewards(steps, torch.arange(SLOTS)[:, None])
    for key in ("reward", "sparse_reward", "terminated"):
        assert torch.equal(own[key].view(SLOTS, EPISODES, HORIZON), trials.steps[key])
    grid = replay.compute_rewards(steps[:1], torch.arange(SLOTS)[:, None])
    assert torch.equal(grid["reward"][0], own["reward"][0])
    assert torch.equal(grid["sparse_reward"][0], own["sparse_reward"][0])
    rows = torch.cat((steps["observation"][0], steps["action"][0], replay.tasks[5].expand(len(steps[0]), -1)), -1)
    with torch.no_grad():
        for column, key in enumerate(("reward", "sparse_reward")):
            assert torch.allclose(grid[key][5], model.network(rows)[:, column], atol=1e-6)


def test_fitting_brings_predictions_under_other_tasks_to_the_true_reward_function() -> None:
    model = RewardModel(layers=[64, 64], learning_rate=3e-3, gradient_steps=600)
    replay, _ = replay_with(model)
    steps = replay.store.get(torch.arange(200))[None]
    truth = replay.env.reward(steps["observation"], replay.tasks[:, None]).reward
    other = (steps["task"] != replay.tasks[:, None]).any(-1)
    model.fit(replay.store)
    predicted = replay.compute_rewards(steps, torch.arange(SLOTS)[:, None])["reward"]
    error, spread = (predicted - truth)[other].square().mean(), truth[other].var()
    assert error < 0.25 * spread
    assert model.metrics()["reward_model/squared_error"] > 0


def test_predictions_are_never_learned_from() -> None:
    first, second = RewardModel(layers=[16], gradient_steps=20), RewardModel(layers=[16], gradient_steps=20)
    (replay, _), (relabeled, _) = replay_with(first), replay_with(second)
    stored = relabeled.add(collected(PointRobot(1), 1), torch.arange(SLOTS), torch.ones(EPISODES, dtype=torch.bool))
    kept = replay.add(collected(PointRobot(1), 1), torch.arange(SLOTS), torch.ones(EPISODES, dtype=torch.bool))
    replay.keep(kept, kept.slots)
    relabeled.keep(stored, stored.slots.roll(1))
    first.fit(replay.store)
    second.fit(relabeled.store)
    for one, other in zip(first.network.parameters(), second.network.parameters()):
        assert torch.equal(one, other)


def test_hindsight_before_anything_was_learned_is_refused_by_name() -> None:
    replay, _ = replay_with(RewardModel(layers=[16]))
    steps = replay.store.get(torch.arange(HORIZON))[None]
    with pytest.raises(RuntimeError, match="reward model .* before it has learned from any data"):
        replay.compute_rewards(steps, torch.arange(SLOTS)[:, None])


def test_a_resumed_model_predicts_and_learns_on_as_the_saved_one() -> None:
    model, resumed = (RewardModel(layers=[16], gradient_steps=10) for _ in range(2))
    replay, _ = replay_with(model)
    model.fit(replay.store)
    resumed.bind(replay.env.meta_spec, seed=99, rank=0)
    resumed.load_state_dict(model.state_dict())
    model.fit(replay.store)
    resumed.fit(replay.store)
    for one, other in zip(model.network.parameters(), resumed.network.parameters()):
        assert torch.equal(one, other)


def test_a_prediction_that_is_not_finite_is_refused_with_task_and_observation() -> None:
    model = RewardModel(layers=[16], gradient_steps=1)
    replay, _trials = replay_with(model)
    model.fit(replay.store)
    for parameter in model.network.parameters():
        parameter.data.fill_(torch.nan)
    with pytest.raises(NonFiniteError, match="PointRobot.*observation.*goal_x.*not finite"):
        replay.compute_rewards(replay.store.get(torch.arange(HORIZON))[None], torch.arange(SLOTS)[:, None])


@pytest.mark.parametrize(
    ("key", "value"), [("learning_rate", 0), ("learning_rate", torch.inf), ("gradient_steps", 0), ("batch_size", 0)]
)
def test_a_setting_that_is_not_positive_or_not_finite_is_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"RewardModel: {key} = "):
        RewardModel(**{key: value})
