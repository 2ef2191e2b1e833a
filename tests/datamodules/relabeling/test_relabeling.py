"""Relabelers, with a foresight whose utilities follow from where a trajectory is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from scipy import special, stats
from tensordict import TensorDict
from torch import Tensor

from datamodules.collection import Trials
from datamodules.contracts import StartStates
from datamodules.relabeling import HFRRelabeler, NoRelabeler, ProbabilisticRelabeler, RandomRelabeler, Relabeler
from datamodules.replay import TaskReplay, Trajectories
from datamodules.tasks import SampledTasks
from envs import ConfigurationError, PointRobot

MakeTrials = Callable[..., Trials]
HORIZON = PointRobot.meta_spec.horizon
GOALS = torch.tensor([[0.5, 0.5], [-0.5, 0.5], [0.0, -0.9]])
PLACES = torch.tensor([[0.4, 0.1], [-0.6, 0.2], [0.8, -0.7]])  # where each slot's own episodes are
SCALE = 2.0


@dataclass
class MeanRewardForesight:
    """The utility of a trajectory is `SCALE` times its mean reward; remembers what it was asked."""

    asked: list[tuple[TensorDict, Tensor]] = field(default_factory=list)

    def adaptation_utility(self, trajectories: TensorDict, starts: StartStates, generator: torch.Generator) -> Tensor:
        assert not torch.is_grad_enabled()
        self.asked.append((trajectories, starts.observations))
        valid = trajectories["valid"]
        total = torch.where(valid, trajectories["reward"], 0.0).sum(-1)
        return SCALE * total / valid.sum(-1)


@dataclass
class ScriptedForesight:
    """Gives the rows of a table, one a call."""

    rows: list[list[float]]

    def adaptation_utility(self, trajectories: TensorDict, starts: StartStates, generator: torch.Generator) -> Tensor:
        return torch.tensor(self.rows.pop(0))


EVERY_SLOT = torch.arange(3)


@pytest.fixture
def replay(make_trials: MakeTrials) -> TaskReplay:
    """Three slots with an episode of 5, 8 and 4 steps each, kept for their own tasks."""
    replay = TaskReplay(PointRobot(num_envs=3), slots=3, capacity=500)
    replay.tasks.copy_(GOALS)
    trials = make_trials(GOALS, [[5], [8], [4]], positions=PLACES)
    trajectories = replay.add(trials, torch.arange(3), torch.ones(1, dtype=torch.bool))
    replay.keep(trajectories, trajectories.slots)
    return replay


def stored(slots: list[int]) -> Trajectories:
    """The fixture's episodes of `slots`."""
    chosen = torch.tensor(slots)
    return Trajectories(
        slots=chosen,
        starts=torch.tensor([0, 5, 13])[chosen],
        lengths=torch.tensor([5, 8, 4])[chosen],
        feeds_context=torch.ones(len(slots), dtype=torch.bool),
    )


def bound(relabeler: Relabeler, seed: int = 0, rank: int = 0) -> Relabeler:
    relabeler.bind(seed, rank)
    return relabeler


def hfr(probability: float = 1.0, *, utility_batch: int = 2, partition_contexts: int = 3) -> HFRRelabeler:
    relabeler = HFRRelabeler(probability, "q", utility_batch, partition_contexts)
    relabeler.bind(0, 0)
    return relabeler


def utilities() -> np.ndarray:
    """Utility of each slot's own episode `[row]` under each task `[column]`, by hand."""
    difference = PLACES.double().numpy()[:, None] - GOALS.double().numpy()[None]
    return -SCALE * np.sqrt((difference**2).sum(-1))


# Without foresight


def test_no_relabeling_keeps_every_trajectory_for_its_own_task(replay: TaskReplay) -> None:
    slots = [2, 0, 1, 1]
    assert bound(NoRelabeler()).relabel(stored(slots), replay, None).tolist() == slots


def test_random_relabeling_chooses_uniformly_among_all_tasks(replay: TaskReplay) -> None:
    assigned = bound(RandomRelabeler(1.0)).relabel(stored([1] * 3000), replay, None)
    assert stats.chisquare(torch.bincount(assigned, minlength=3).numpy()).pvalue > 1e-3


def test_only_the_given_share_is_relabeled(replay: TaskReplay) -> None:
    """Each trajectory moves with probability 0.3 · ⅔, as a third of the random choices is its own task."""
    relabeler = bound(RandomRelabeler(0.3))
    assigned = relabeler.relabel(stored([2] * 5000), replay, None)
    moved = (assigned != 2).double().mean().item()
    assert moved == pytest.approx(0.2, abs=0.025)
    assert relabeler.metrics()["relabel/rate"] == pytest.approx(moved)


@pytest.mark.parametrize("make", [RandomRelabeler, HFRRelabeler])
def test_probability_zero_keeps_everything(make: type[ProbabilisticRelabeler], replay: TaskReplay) -> None:
    slots = [2, 0, 1] * 10
    relabeler = bound(make(0.0))
    assert relabeler.relabel(stored(slots), replay, MeanRewardForesight()).tolist() == slots
    assert relabeler.metrics()["relabel/rate"] == 0.0


def test_only_relabelers_that_change_tasks_say_so() -> None:
    assert not NoRelabeler.changes_tasks
    assert RandomRelabeler.changes_tasks
    assert HFRRelabeler.changes_tasks
    assert [relabeler.needs_foresight for relabeler in (NoRelabeler, RandomRelabeler, HFRRelabeler)] == [
        False,
        False,
        True,
    ]


# HFR


def test_the_task_of_a_trajectory_is_drawn_from_the_softmax_of_utility_minus_log_partition(
    replay: TaskReplay,
) -> None:
    """Every recent context of ψ is at the same place, so log Z_ψ is the utility of that place."""
    log_z = np.diag(utilities())
    for slot in range(3):
        probabilities = special.softmax(utilities()[slot] - log_z)
        assigned = hfr().relabel(stored([slot] * 600), replay, MeanRewardForesight())
        counts = torch.bincount(assigned, minlength=3).numpy()
        assert stats.chisquare(counts, 600 * probabilities).pvalue > 1e-3
        without_log_z = special.softmax(utilities()[slot])
        assert stats.chisquare(counts, 600 * without_log_z).pvalue < 1e-3, "the test must tell the two apart"


def test_log_partition_is_the_log_mean_of_the_exponentiated_utilities(replay: TaskReplay) -> None:
    table = np.random.default_rng(0).normal(scale=30.0, size=(4, 3))
    log_z = hfr(partition_contexts=4).log_partition(EVERY_SLOT, replay, ScriptedForesight(table.tolist()))
    assert log_z.numpy() == pytest.approx(special.logsumexp(table, axis=0) - np.log(4), abs=1e-4)


def test_utilities_pair_every_trajectory_with_every_task(replay: TaskReplay) -> None:
    with torch.no_grad():
        computed = hfr().utilities(stored([2, 0, 1]), EVERY_SLOT, replay, MeanRewardForesight())
    assert computed.numpy() == pytest.approx(utilities()[[2, 0, 1]], abs=1e-5)


def test_hindsight_rewards_are_those_of_every_task_and_only_existing_steps_are_valid(replay: TaskReplay) -> None:
    foresight = MeanRewardForesight()
    with torch.no_grad():
        hfr().utilities(stored([0, 1]), EVERY_SLOT, replay, foresight)
    assert len(foresight.asked) == 2
    for slot, (hindsight, _) in enumerate(foresight.asked):
        length = [5, 8][slot]
        assert hindsight.batch_size == (3, 8)
        assert torch.equal(hindsight["valid"], (torch.arange(8) < length).expand(3, 8))
        for task in range(3):
            expected = utilities()[slot, task] / SCALE
            for key in ("reward", "sparse_reward"):
                assert hindsight[key][task, :length].tolist() == pytest.approx([expected] * length, abs=1e-5)
        direct = replay.env.reward(hindsight["features"], GOALS[:, None])
        assert torch.equal(hindsight["reward"], direct.reward)
        assert torch.equal(hindsight["terminated"], direct.terminated)


def test_contexts_for_the_partition_are_an_episode_of_the_tasks_own_latest_unrelabeled_data(
    replay: TaskReplay, make_trials: MakeTrials
) -> None:
    elsewhere = replay.add(make_trials(GOALS[:1], [[6]]), torch.tensor([0]), torch.ones(1, dtype=torch.bool))
    replay.keep(elsewhere, torch.tensor([1]))  # 6 new transitions of slot 0 (17 … 22), relabeled for slot 1
    foresight = MeanRewardForesight()
    with torch.no_grad():
        hfr(partition_contexts=5).log_partition(EVERY_SLOT, replay, foresight)
    assert len(foresight.asked) == 5
    seen: list[set[float]] = [set(), set(), set()]
    for context, _ in foresight.asked:
        assert context.batch_size == (3, HORIZON)
        assert bool(context["valid"].all())
        expected = -(context["features"] - GOALS[:, None]).double().square().sum(-1).sqrt()
        assert context["reward"].numpy() == pytest.approx(expected.numpy(), abs=1e-5)
        for slot in range(3):
            seen[slot] |= set(context["observation"][slot, :, 0].tolist())
    assert seen == [set(range(17, 23)), set(range(5, 13)), set(range(13, 17))]


def test_utilities_are_averaged_over_start_states_of_the_task_itself(replay: TaskReplay) -> None:
    foresight = MeanRewardForesight()
    hfr(utility_batch=4).relabel(stored([1, 1]), replay, foresight)
    assert len(foresight.asked) == 3 + 2  # contexts for log Z, then trajectories
    for _, starts in foresight.asked:
        assert starts.shape == (3, 4, 2)
        assert starts[..., 0].tolist() == [[0.0] * 4, [5.0] * 4, [13.0] * 4]


def test_the_bellman_utility_is_of_all_that_is_kept_for_a_task_at_its_own_rewards(replay: TaskReplay) -> None:
    asked: list[TensorDict] = []

    class BellmanForesight:
        def bellman_utility(self, trajectories: TensorDict, transitions: TensorDict, generator: object) -> Tensor:
            asked.append(transitions)
            return torch.zeros(3)

    replay.keep(stored([0]), torch.tensor([1]))
    relabeler = HFRRelabeler(1.0, "bellman", utility_batch=200, partition_contexts=1)
    relabeler.bind(0, 0)
    relabeler.relabel(stored([2]), replay, BellmanForesight())  # type: ignore[arg-type]
    assert len(asked) == 2
    for transitions in asked:
        numbers = transitions["observation"][..., 0].int()
        assert [set(row.tolist()) for row in numbers] == [{*range(5)}, {*range(13)}, {*range(13, 17)}]
        expected = replay.env.reward(transitions["features"], GOALS[:, None]).reward
        assert torch.equal(transitions["reward"], expected)


def test_the_log_reports_utility_partition_and_entropy_of_the_distribution(replay: TaskReplay) -> None:
    relabeler = hfr()
    relabeler.relabel(stored([0, 1, 2]), replay, MeanRewardForesight())
    log_z = np.diag(utilities())
    probabilities = special.softmax(utilities() - log_z, axis=1)
    logged = relabeler.metrics()
    assert logged["relabel/utility"] == pytest.approx(utilities().mean(), abs=1e-4)
    assert logged["relabel/log_partition"] == pytest.approx(log_z.mean(), abs=1e-4)
    assert logged["relabel/entropy"] == pytest.approx(stats.entropy(probabilities, axis=1).mean(), abs=1e-4)


def test_utilities_that_leave_a_task_without_any_probability_do_not_break_the_log(replay: TaskReplay) -> None:
    relabeler = hfr(partition_contexts=1)
    foresight = ScriptedForesight([[0.0, 0.0, 0.0], [0.0, -1e4, -1e4], [-1e4, 0.0, -1e4]])
    assert relabeler.relabel(stored([2, 2]), replay, foresight).tolist() == [0, 1]
    assert relabeler.metrics()["relabel/entropy"] == pytest.approx(0.0, abs=1e-6)


# Randomness, state, refusals


@pytest.mark.parametrize("make", [RandomRelabeler, HFRRelabeler])
def test_a_resumed_relabeler_chooses_the_same(make: type[ProbabilisticRelabeler], replay: TaskReplay) -> None:
    relabeler, resumed = bound(make(0.5), seed=0), bound(make(0.5), seed=1)
    relabeler.relabel(stored([0, 1, 2]), replay, MeanRewardForesight())
    resumed.load_state_dict(relabeler.state_dict())
    choices = [one.relabel(stored([0, 1, 2] * 10), replay, MeanRewardForesight()) for one in (relabeler, resumed)]
    assert torch.equal(*choices)


@pytest.mark.parametrize("make", [RandomRelabeler, HFRRelabeler])
def test_streams_differ_by_seed_and_rank_and_leave_the_global_generator_alone(
    make: type[ProbabilisticRelabeler], replay: TaskReplay
) -> None:
    before = torch.get_rng_state()
    choices = [
        bound(make(1.0), seed, rank).relabel(stored([0] * 40), replay, MeanRewardForesight())
        for seed, rank in ((0, 0), (0, 1), (1, 0), (0, 0))
    ]
    assert torch.equal(choices[0], choices[3])
    assert not torch.equal(choices[0], choices[1])
    assert not torch.equal(choices[0], choices[2])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("make", [RandomRelabeler, HFRRelabeler])
@pytest.mark.parametrize("probability", [-0.1, 1.1, float("nan")])
def test_a_probability_out_of_range_is_refused_by_name(make: type[ProbabilisticRelabeler], probability: float) -> None:
    with pytest.raises(ConfigurationError, match=": probability = "):
        make(probability)


@pytest.mark.parametrize("key", ["utility_batch", "partition_contexts"])
def test_nothing_to_average_over_is_refused_by_name(key: str) -> None:
    with pytest.raises(ConfigurationError, match=f": {key} = 0"):
        HFRRelabeler(**{key: 0})


@pytest.mark.parametrize("choice", [{"utility": "Q"}, {"choice": "Argmax"}])
def test_a_choice_that_there_is_not_is_refused(choice: dict[str, str]) -> None:
    ((key, value),) = choice.items()
    with pytest.raises(ConfigurationError, match=f"HFRRelabeler: {key} = '{value}'"):
        HFRRelabeler(**choice)  # type: ignore[arg-type]


def test_where_a_small_replay_has_lost_all_earlier_data_trajectories_keep_their_tasks(replay: TaskReplay) -> None:
    replay.recent.clear(torch.arange(3))
    assert hfr(probability=1.0).choose(stored([0, 2]), replay, MeanRewardForesight()).tolist() == [0, 2]


def test_a_slot_that_ran_dry_is_never_chosen(replay: TaskReplay) -> None:
    replay.recent.clear(torch.tensor([1]))
    relabeler = hfr(probability=1.0)
    chosen = [int(relabeler.relabel(stored([0]), replay, MeanRewardForesight())[0]) for _ in range(30)]
    assert set(chosen) == {0, 2}


# What is remembered of it


def test_the_flow_counts_transitions_by_the_task_collected_for_and_the_task_kept_for(replay: TaskReplay) -> None:
    relabeler = RandomRelabeler(1.0)
    relabeler.bind(0, 0)
    expected = torch.zeros(3, 3, dtype=torch.long)
    for _ in range(4):
        kept_for = relabeler.relabel(stored([0, 1, 2]), replay, None)
        for slot, (length, target) in enumerate(zip([5, 8, 4], kept_for.tolist())):
            expected[slot, target] += length
    assert torch.equal(relabeler.flow, expected)


def test_the_flow_of_a_slot_begins_anew_with_a_new_task(replay: TaskReplay) -> None:
    relabeler = RandomRelabeler(0.0)
    relabeler.bind(0, 0)
    relabeler.relabel(stored([0, 1, 2]), replay, None)
    replay.hold(torch.tensor([1]), SampledTasks(torch.tensor([[0.9, 0.9]]), torch.tensor([7])))
    relabeler.relabel(stored([0, 1]), replay, None)
    assert relabeler.flow.tolist() == [[10, 0, 0], [0, 8, 0], [0, 0, 4]]


def test_what_went_to_the_old_task_of_a_slot_is_forgotten_too(replay: TaskReplay) -> None:
    relabeler = RandomRelabeler(1.0)
    relabeler.bind(0, 0)
    relabeler.relabel(stored([0] * 30), replay, None)
    before = relabeler.flow[0].tolist()
    assert min(before) > 0
    replay.hold(torch.tensor([1]), SampledTasks(torch.tensor([[0.9, 0.9]]), torch.tensor([7])))
    relabeler.relabel(stored([2]), replay, None)
    assert relabeler.flow[0].tolist() == [before[0], 0, before[2]]


def test_a_resumed_relabeler_remembers_the_flow(replay: TaskReplay) -> None:
    first, resumed = RandomRelabeler(0.5), RandomRelabeler(0.5)
    for relabeler in (first, resumed):
        relabeler.bind(0, 0)
    first.relabel(stored([0, 1, 2] * 9), replay, None)
    resumed.load_state_dict(first.state_dict())
    assert resumed.metrics() == first.metrics()
    assert first.metrics()["relabel/rate"] > 0
    first.relabel(stored([0, 1, 2]), replay, None)
    resumed.relabel(stored([0, 1, 2]), replay, None)
    assert torch.equal(first.flow, resumed.flow)


def test_relabeling_everything_ten_times_leaves_stored_transitions_and_memory_as_they_were(replay: TaskReplay) -> None:
    everything = stored([0, 1, 2])
    before = replay.store.get(torch.arange(17)).clone()
    relabeler = RandomRelabeler(1.0)
    relabeler.bind(0, 0)
    for _ in range(10):
        replay.keep(everything, relabeler.relabel(everything, replay, None))
    after = replay.store.get(torch.arange(17))
    assert replay.store.written == 17
    assert set(after.keys()) == set(before.keys())
    for key in sorted(before.keys()):
        assert torch.equal(after[key], before[key]), key
    assert int(replay.critic.totals.sum()) == 11 * 17
