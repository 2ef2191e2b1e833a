"""`TaskReplay`: every transition is stored once, and its reward computed for the task that it is sampled for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from tensordict import TensorDict
from torch import Tensor

from datamodules.collection import Trials
from datamodules.replay import ReferenceTable, TaskReplay, Trajectories
from datamodules.tasks import SampledTasks
from envs import FourCorners, PointRobot, SparsePointRobot, TaskChanges

MakeTrials = Callable[..., Trials]
GOALS = torch.tensor([[0.5, 0.5], [-0.5, 0.5], [0.0, -0.9], [0.9, 0.0]])
ONE_EPISODE = torch.ones(1, dtype=torch.bool)  # feeds the context
TWO_EPISODES = torch.ones(2, dtype=torch.bool)


class DriftingPoint(PointRobot):
    """An environment that claims that its tasks change the dynamics."""

    meta_spec = replace(PointRobot.meta_spec, name="DriftingPoint", task_changes=TaskChanges.DYNAMICS)


def make_replay(env_class: type[PointRobot] = PointRobot, capacity: int = 1000) -> TaskReplay:
    replay = TaskReplay(env_class(num_envs=4), slots=4, capacity=capacity)
    replay.hold(torch.arange(4), SampledTasks(GOALS, torch.arange(4)))
    return replay


def new_tasks(*tasks: list[float]) -> SampledTasks:
    """Tasks that no slot holds."""
    return SampledTasks(torch.tensor(tasks), torch.arange(100, 100 + len(tasks)))


def known_task(slot: int) -> SampledTasks:
    """The task that `make_replay` gives to `slot`."""
    return SampledTasks(GOALS[[slot]], torch.tensor([slot]))


def together(*parts: SampledTasks) -> SampledTasks:
    return SampledTasks(torch.cat([part.tasks for part in parts]), torch.cat([part.ids for part in parts]))


def fill(replay: TaskReplay, make_trials: MakeTrials, length: int = 10) -> Trajectories:
    """One episode for every slot, kept for its own task."""
    trajectories = replay.add(make_trials(replay.tasks, [[length]] * replay.slots), torch.arange(4), ONE_EPISODE)
    replay.keep(trajectories, trajectories.slots)
    return trajectories


def sampled_numbers(replay: TaskReplay, table: ReferenceTable, slot: int, n: int = 500) -> set[int]:
    batch = replay.sample(table, torch.tensor([slot]), n, torch.Generator().manual_seed(0))
    return {int(number) for number in batch["observation"][0, :, 0]}


def distance(positions: Tensor, goals: Tensor) -> NDArray[np.float64]:
    difference = positions.double().numpy() - goals.double().numpy()
    return np.sqrt((difference**2).sum(-1))


# Storing


def test_only_steps_that_happened_are_stored_in_the_order_of_their_episodes(make_trials: MakeTrials) -> None:
    replay = make_replay()
    trials = make_trials(GOALS[:2], [[3, 20, 1], [7, 2, 5]])
    trajectories = replay.add(trials, torch.tensor([2, 0]), torch.tensor([True, True, False]))
    assert replay.store.written == 38
    assert trajectories.slots.tolist() == [2, 2, 2, 0, 0, 0]
    assert trajectories.starts.tolist() == [0, 3, 23, 24, 31, 33]
    assert trajectories.lengths.tolist() == [3, 20, 1, 7, 2, 5]
    assert trajectories.feeds_context.tolist() == [True, True, False, True, True, False]


def test_trajectory_steps_give_back_the_collected_episodes(make_trials: MakeTrials) -> None:
    replay = make_replay()
    fill(replay, make_trials, length=4)
    trials = make_trials(GOALS[:2], [[3, 12], [7, 1]])
    steps = replay.trajectory_steps(replay.add(trials, torch.tensor([1, 3]), TWO_EPISODES))
    recorded = trials.steps.reshape(4, 20)[:, :12]  # the longest episode has 12 steps
    assert steps.batch_size == (4, 12)
    assert torch.equal(steps["valid"], recorded["valid"])
    for key in ("observation", "action", "next_observation", "features"):
        assert torch.equal(steps[key][steps["valid"]], recorded[key][recorded["valid"]])


def test_nothing_is_kept_for_a_task_before_keep_is_called(make_trials: MakeTrials) -> None:
    replay = make_replay()
    replay.add(make_trials(GOALS, [[5]] * 4), torch.arange(4), ONE_EPISODE)
    assert replay.critic.totals.tolist() == [0, 0, 0, 0]
    assert replay.context.totals.tolist() == [0, 0, 0, 0]
    assert replay.recent.totals.tolist() == [5, 5, 5, 5]


# Relabeling


def test_relabeling_refers_to_the_stored_transitions_without_copying_them(make_trials: MakeTrials) -> None:
    replay = make_replay()
    fill(replay, make_trials)
    trajectories = replay.add(make_trials(GOALS[:1], [[6, 8]]), torch.tensor([0]), TWO_EPISODES)
    stored = replay.store.get(torch.arange(replay.store.written)).clone()
    replay.keep(trajectories, torch.tensor([3, 2]))
    assert replay.store.written == 54
    assert bool((replay.store.get(torch.arange(54)) == stored).all())
    assert replay.critic.totals.tolist() == [10, 10, 18, 16]
    assert sampled_numbers(replay, replay.critic, 3) == {*range(30, 40), *range(40, 46)}
    assert sampled_numbers(replay, replay.critic, 2) == {*range(20, 30), *range(46, 54)}


def test_a_trajectory_kept_for_several_tasks_is_rewarded_for_each(make_trials: MakeTrials) -> None:
    replay = make_replay()
    place = torch.tensor([[0.3, -0.4]])
    trajectories = replay.add(make_trials(GOALS[:1], [[9]], positions=place), torch.tensor([0]), ONE_EPISODE)
    for slot in range(4):
        replay.keep(trajectories, torch.tensor([slot]))
    batch = replay.sample(replay.critic, torch.arange(4), 5, torch.Generator().manual_seed(0))
    assert batch["reward"].numpy() == pytest.approx(-distance(place, GOALS)[:, None].repeat(5, 1), abs=1e-6)


# Computing rewards


def test_rewards_of_a_drawn_batch_are_those_of_each_slots_task(
    make_trials: MakeTrials, generator: torch.Generator
) -> None:
    replay = make_replay()
    fill(replay, make_trials)
    slots = torch.tensor([3, 0, 2])
    batch = replay.sample(replay.critic, slots, 50, generator)
    assert batch.batch_size == (3, 50)
    expected = -distance(batch["features"], GOALS[slots][:, None])
    assert batch["reward"].numpy() == pytest.approx(expected, abs=1e-6)
    assert batch["sparse_reward"].numpy() == pytest.approx(expected, abs=1e-6)
    assert not bool(batch["terminated"].any())


def test_sparse_rewards_are_recomputed_beside_the_shaped_ones(
    make_trials: MakeTrials, generator: torch.Generator
) -> None:
    replay = TaskReplay(SparsePointRobot(num_envs=2), slots=2, capacity=100)
    replay.tasks.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0]]))
    trials = make_trials(replay.tasks[:1], [[20]], positions=torch.tensor([[0.0, 0.9]]))
    trajectories = replay.add(trials, torch.tensor([0]), ONE_EPISODE)
    replay.keep(trajectories, torch.tensor([0]))
    replay.keep(trajectories, torch.tensor([1]))
    batch = replay.sample(replay.critic, torch.tensor([0, 1]), 3, generator)
    assert batch["reward"][:, 0].tolist() == pytest.approx([-0.1, -np.hypot(1.0, 0.9)], abs=1e-6)
    assert batch["sparse_reward"][:, 0].tolist() == pytest.approx([0.9, 0.0], abs=1e-6)


def test_terminations_are_recomputed_for_the_task_drawn_for(
    make_trials: MakeTrials, generator: torch.Generator
) -> None:
    replay = TaskReplay(FourCorners(num_envs=4), slots=4, capacity=100)
    corners = torch.tensor([[1.0, 1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]])
    replay.tasks.copy_(corners)
    trials = make_trials(corners[:1], [[5]], positions=torch.tensor([[0.95, 0.9]]))
    trajectories = replay.add(trials, torch.tensor([0]), ONE_EPISODE)
    for slot in range(4):
        replay.keep(trajectories, torch.tensor([slot]))
    batch = replay.sample(replay.critic, torch.arange(4), 2, generator)
    assert batch["terminated"][:, 0].tolist() == [True, False, False, False]
    assert batch["reward"][:, 0].tolist() == [0.0, -1.0, -1.0, -1.0]


def test_computing_rewards_broadcasts_trajectories_against_slots(make_trials: MakeTrials) -> None:
    replay = make_replay()
    steps = replay.trajectory_steps(fill(replay, make_trials, length=6))
    grid = replay.compute_rewards(steps[:, None], torch.arange(replay.slots)[None, :, None])
    assert grid.batch_size == (4, 4, 6)
    for trajectory in range(4):
        for task in range(4):
            expected = -distance(steps["features"][trajectory], GOALS[task])
            assert grid["reward"][trajectory, task].numpy() == pytest.approx(expected, abs=1e-6)
            assert torch.equal(grid["observation"][trajectory, task], steps["observation"][trajectory])


def test_computing_rewards_leaves_its_input_alone() -> None:
    replay = make_replay()
    transitions = TensorDict({"features": torch.zeros(1, 3, 2), "reward": torch.full((1, 3), 5.0)}, [1, 3])
    replay.compute_rewards(transitions, torch.arange(4)[:, None])
    assert set(transitions.keys()) == {"features", "reward"}
    assert transitions["reward"].tolist() == [[5.0, 5.0, 5.0]]


# Slots and their tasks


def test_the_old_data_of_a_slot_are_rewarded_for_its_new_task(
    make_trials: MakeTrials, generator: torch.Generator
) -> None:
    replay = make_replay()
    fill(replay, make_trials)
    new = new_tasks([-0.2, -0.3])
    slots = replay.assign_tasks(new, generator)
    batch = replay.sample(replay.critic, slots, 40, generator)
    taken = int(slots[0])
    assert {int(n) for n in batch["observation"][0, :, 0]} <= set(range(10 * taken, 10 * taken + 10))
    assert batch["reward"].numpy() == pytest.approx(-distance(batch["features"], new.tasks[:, None]), abs=1e-6)


def test_where_tasks_change_the_dynamics_a_slot_that_gets_a_new_task_is_emptied(
    make_trials: MakeTrials, generator: torch.Generator
) -> None:
    replay = make_replay(DriftingPoint)
    fill(replay, make_trials)
    slots = replay.assign_tasks(together(new_tasks([0.1, 0.2]), known_task(1)), generator)
    assert int(slots[1]) == 1
    expected = [0 if slot == int(slots[0]) else 10 for slot in range(4)]
    for table in (replay.critic, replay.context, replay.recent):
        assert table.totals.tolist() == expected


def test_a_task_that_a_slot_holds_goes_to_that_slot_however_often_it_is_drawn(generator: torch.Generator) -> None:
    replay = make_replay()
    sampled = together(known_task(2), known_task(0), known_task(2))
    assert replay.assign_tasks(sampled, generator).tolist() == [2, 0, 2]
    assert torch.equal(replay.tasks, GOALS)


def test_a_new_task_that_is_drawn_twice_takes_over_one_slot(generator: torch.Generator) -> None:
    replay = make_replay()
    drawn = SampledTasks(torch.tensor([[9.0, 9.0], [8.0, 8.0], [9.0, 9.0]]), torch.tensor([90, 80, 90]))
    slots = replay.assign_tasks(drawn, generator)
    assert slots[0] == slots[2] != slots[1]
    assert int((replay.task_ids == 90).sum()) == 1


def test_new_tasks_take_over_distinct_slots_that_no_drawn_task_needs(generator: torch.Generator) -> None:
    new = new_tasks([0.1, 0.1], [0.2, 0.2])
    sampled = together(new, known_task(3), known_task(0))[torch.tensor([0, 2, 1, 3])]
    for _ in range(20):
        replay = make_replay()
        slots = replay.assign_tasks(sampled, generator)
        assert sorted(slots.tolist()) == [0, 1, 2, 3]
        assert slots[[1, 3]].tolist() == [3, 0]
        assert torch.equal(replay.tasks[slots], sampled.tasks)
        assert torch.equal(replay.task_ids[slots], sampled.ids)


def test_every_free_slot_is_equally_likely_to_be_taken_over(generator: torch.Generator) -> None:
    counts = torch.zeros(4)
    for _ in range(300):
        slots = make_replay().assign_tasks(together(known_task(1), new_tasks([0.1, 0.1])), generator)
        counts[slots[1]] += 1
    assert counts[1] == 0
    assert counts[[0, 2, 3]].numpy() == pytest.approx(100, abs=35)  # more than four standard deviations


# Context


def test_context_is_emptied_at_the_first_write_of_an_iteration_only(make_trials: MakeTrials) -> None:
    replay = make_replay()
    replay.begin_iteration()
    fill(replay, make_trials)
    fill(replay, make_trials)
    assert replay.context.totals.tolist() == [20, 20, 20, 20]
    replay.begin_iteration()
    assert replay.context.totals.tolist() == [20, 20, 20, 20], "a slot keeps its context until something newer comes"
    for _ in range(2):
        trajectories = replay.add(make_trials(GOALS[1:2], [[3]]), torch.tensor([1]), ONE_EPISODE)
        replay.keep(trajectories, trajectories.slots)
    assert replay.context.totals.tolist() == [20, 6, 20, 20]
    assert sampled_numbers(replay, replay.context, 1) == set(range(80, 86))
    assert replay.critic.totals.tolist() == [20, 26, 20, 20]


def test_a_relabeled_trajectory_renews_the_context_of_the_task_it_is_kept_for(make_trials: MakeTrials) -> None:
    replay = make_replay()
    replay.begin_iteration()
    fill(replay, make_trials)
    replay.begin_iteration()
    trajectories = replay.add(make_trials(GOALS[:2], [[4], [5]]), torch.tensor([0, 1]), ONE_EPISODE)
    replay.keep(trajectories, torch.tensor([3, 3]))
    assert replay.context.totals.tolist() == [10, 10, 10, 9]
    assert sampled_numbers(replay, replay.context, 3) == set(range(40, 49))


def test_episodes_that_do_not_feed_the_context_reach_the_critics_only(make_trials: MakeTrials) -> None:
    replay = make_replay()
    replay.begin_iteration()
    fill(replay, make_trials)
    replay.begin_iteration()
    trajectories = replay.add(
        make_trials(GOALS[:2], [[4, 6], [5, 7]]), torch.tensor([0, 1]), torch.tensor([False, True])
    )
    replay.keep(trajectories, torch.tensor([0, 0, 2, 1]))
    assert replay.context.totals.tolist() == [6, 7, 10, 10], "slot 2 got nothing that feeds its context"
    assert replay.critic.totals.tolist() == [20, 17, 15, 10]


# Recent data


def test_recent_holds_a_slots_latest_collected_trials_whatever_they_are_relabeled_for(make_trials: MakeTrials) -> None:
    replay = make_replay()
    fill(replay, make_trials)
    trajectories = replay.add(make_trials(GOALS[[2, 0, 2]], [[3], [4], [5]]), torch.tensor([2, 0, 2]), ONE_EPISODE)
    replay.keep(trajectories, torch.tensor([1, 1, 3]))
    assert replay.recent.totals.tolist() == [4, 10, 8, 10]
    assert sampled_numbers(replay, replay.recent, 2) == {40, 41, 42, 47, 48, 49, 50, 51}
    assert sampled_numbers(replay, replay.recent, 0) == {43, 44, 45, 46}
    assert sampled_numbers(replay, replay.recent, 1) == set(range(10, 20)), "relabeled data is never recent data"


# Eviction


def test_evicted_transitions_are_never_drawn(make_trials: MakeTrials) -> None:
    replay = make_replay(capacity=50)
    for _ in range(7):
        replay.begin_iteration()
        trajectories = replay.add(make_trials(GOALS[:2], [[7, 4], [3, 9]]), torch.tensor([0, 1]), TWO_EPISODES)
        replay.keep(trajectories, torch.tensor([0, 1, 2, 3]))
    oldest = replay.store.oldest
    assert oldest == 7 * 23 - 50
    for slot in range(4):
        assert min(sampled_numbers(replay, replay.critic, slot)) >= oldest
        assert min(sampled_numbers(replay, replay.context, slot)) >= oldest
    for slot in range(2):
        assert min(sampled_numbers(replay, replay.recent, slot)) >= oldest


def test_an_episode_that_was_overwritten_in_part_is_dropped_whole(make_trials: MakeTrials) -> None:
    replay = make_replay(capacity=50)
    fill(replay, make_trials)  # 40 transitions: 0 … 39
    trajectories = replay.add(make_trials(GOALS[:1], [[15]]), torch.tensor([0]), ONE_EPISODE)  # 5 of slot 0's go
    replay.keep(trajectories, torch.tensor([1]))
    assert replay.critic.totals.tolist() == [0, 25, 10, 10]
    assert replay.recent.totals.tolist() == [15, 10, 10, 10]
    with pytest.raises(RuntimeError, match="slot 0"):
        replay.sample(replay.critic, torch.tensor([0]), 1, torch.Generator())


# Start states


def test_start_states_are_the_first_ones_of_the_episodes_kept_for_a_slot(
    make_trials: MakeTrials, generator: torch.Generator
) -> None:
    replay = make_replay()
    fill(replay, make_trials)
    trajectories = replay.add(make_trials(GOALS[:1], [[3, 6]]), torch.tensor([0]), TWO_EPISODES)
    replay.keep(trajectories, torch.tensor([0, 2]))
    starts = replay.start_states(torch.tensor([2, 0, 1]), 60, generator).observations
    assert starts.shape == (3, 60, 2)
    assert [set(row.tolist()) for row in starts[..., 0]] == [{20.0, 43.0}, {0.0, 40.0}, {10.0}]


def test_a_piece_of_an_episode_that_is_kept_for_another_task_brings_it_no_start_state(
    make_trials: MakeTrials, generator: torch.Generator
) -> None:
    replay = make_replay()
    fill(replay, make_trials)
    trajectories = replay.add(make_trials(GOALS[:1], [[4]]), torch.tensor([0]), ONE_EPISODE)
    replay.keep(trajectories, torch.tensor([[0, 2, 2, 2]]))
    starts = replay.start_states(torch.tensor([2, 0]), 60, generator).observations
    assert [set(row.tolist()) for row in starts[..., 0]] == [{20.0}, {0.0, 40.0}]
