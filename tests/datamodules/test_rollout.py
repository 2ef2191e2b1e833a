"""The DataModule: what a meta-iteration does, and that evaluation depends on nothing but its own seed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from datamodules import BeliefPlan, CollectionPlan, EvaluationPlan, MetaBatchPlan, RolloutDataModule, ranks
from datamodules.checks import check_agent
from datamodules.experience import ReplayExperience, TrialBatch, TrialExperience
from datamodules.relabeling import NoRelabeler, RandomRelabeler
from datamodules.replay import RewardModel, TaskReplay
from datamodules.tasks import CEMTaskSampler, FixedTaskSampler, SampledTasks, UniformTaskSampler
from envs import ConfigurationError, FourCorners, MetaEnv, PointRobot
from envs.base import EvaluationPurpose
from envs.errors import ContractError
from envs.task_distributions import FiniteTasks, TaskDistribution
from lit_metarl.algorithms import MAML, PEARL, RL2, MetaRLModule, VariBAD
from tests.environments import Blind

SLOTS, TASKS, HORIZON = 6, 3, 20


class Recorder(UniformTaskSampler):
    """Remembers the scores that it was given."""

    def __init__(self) -> None:
        self.scores: list[Tensor] = []

    def update(self, sampled: SampledTasks, scores: Tensor) -> None:
        self.scores.append(scores)


def build(
    seed: int = 1,
    algorithm: type[MetaRLModule] | None = None,
    env_class: type[MetaEnv] = PointRobot,
    **changes: Any,
) -> RolloutDataModule:
    settings: dict[str, Any] = {
        "task_sampler": Recorder(),
        "relabeler": NoRelabeler(),
        "task_slots": SLOTS,
        "collection": CollectionPlan(TASKS, adapted_episodes=2, initial_episodes=2),
        "batches": MetaBatchPlan(meta_steps=4, tasks=2, transitions=5, context=3),
        "evaluation": EvaluationPlan(validation_tasks=5, test_tasks=7, num_envs=4),
        **changes,
    }
    data = RolloutDataModule(env_class, seed=seed, **settings)
    torch.manual_seed(0)
    agent: MetaRLModule
    if algorithm is None:
        agent = PEARL(data.meta_spec, exploration_episodes=1, layers=[8], encoder_layers=[8])
    else:
        agent = algorithm(data.meta_spec)
    data.trainer = SimpleNamespace(lightning_module=agent, global_rank=0, state=SimpleNamespace(fn="fit"))  # type: ignore[assignment]
    data.setup("fit")
    return data


def replay_of(data: RolloutDataModule) -> TaskReplay:
    assert isinstance(data.experience, ReplayExperience)
    return data.experience.replay


def test_a_meta_iteration_collects_first_and_then_yields_as_many_batches_as_it_says() -> None:
    data = build()
    loader = data.train_dataloader()
    batches = list(loader)
    initial, trials = SLOTS * 2 * HORIZON, TASKS * 3 * HORIZON
    assert data.environment_steps == initial + trials
    assert len(batches) == len(loader) == 4
    list(loader)
    assert data.environment_steps == initial + 2 * trials
    assert batches[0]["transitions"].batch_size == (2, 5)
    assert batches[0]["context"].batch_size == (2, 3)


def test_the_task_sampler_is_given_the_return_of_every_whole_trial() -> None:
    data = build()
    list(data.train_dataloader())
    sampler = data.task_sampler
    assert isinstance(sampler, Recorder)
    (scores,) = sampler.scores
    recent = replay_of(data).recent
    collected = recent.counts > 0
    latest = [slot for slot in range(SLOTS) if collected[slot] and int(recent.counts[slot]) == 3]
    numbers = [recent._starts[slot, :3, None] + torch.arange(HORIZON) for slot in latest]
    returns = [
        replay_of(data).compute_rewards(replay_of(data).store.get(rows), torch.tensor(slot))["reward"].sum()
        for slot, rows in zip(latest, numbers)
    ]
    assert sorted(scores.tolist()) == pytest.approx(sorted(float(value) for value in returns), rel=1e-5)


@pytest.mark.parametrize(("rows", "columns"), [(1, 2), (TASKS, 1)])
def test_a_task_sampler_that_gives_other_than_a_task_for_each_trial_is_refused_by_name(rows: int, columns: int) -> None:
    class Miscounting(UniformTaskSampler):
        def sample(self, n: int) -> SampledTasks:
            sampled = super().sample(n)
            return SampledTasks(sampled.tasks[:rows, :columns], sampled.ids[:rows])

    message = rf"Miscounting.sample gives tasks of shape \({rows}, {columns}\).*expected \({TASKS}, 2\)"
    with pytest.raises(ContractError, match=message):
        build(task_sampler=Miscounting()).collect()


@pytest.mark.parametrize("feeding", [0, 1, 2])
def test_trials_explore_for_as_long_as_collection_says_and_feed_the_context_accordingly(feeding: int) -> None:
    plan = CollectionPlan(TASKS, 2, feeding, initial_episodes=2, exploration_episodes=3, first_adapted_from_prior=True)
    data = build(collection=plan)
    list(data.train_dataloader())
    counts = replay_of(data).context.counts.tolist()
    assert sorted(counts) == sorted([2] * (SLOTS - TASKS) + [3 + feeding] * TASKS)
    assert data.environment_steps == (SLOTS * 2 + TASKS * 5) * HORIZON
    returns = torch.stack(data._returns)[0]
    assert data.metrics["collect/return_exploration"] == pytest.approx(float(returns[:4].mean()))


@pytest.mark.parametrize(
    ("setting", "value"), [("exploration_episodes", 3), ("first_adapted_from_prior", True), ("posterior_context", 64)]
)
def test_when_to_infer_a_posterior_is_refused_for_an_algorithm_without_one(setting: str, value: Any) -> None:
    plan = CollectionPlan(TASKS, 2, **{setting: value})
    with pytest.raises(ConfigurationError, match=f"CollectionPlan: {setting} = {value} .* VariBAD does not"):
        build(algorithm=VariBAD, collection=plan)


def test_other_exploration_episodes_than_the_validations_are_refused_where_the_two_are_compared() -> None:
    plan = CollectionPlan(TASKS, 1, exploration_episodes=3)
    sampler = CEMTaskSampler(reference_mode="validation")
    with pytest.raises(ConfigurationError, match="CollectionPlan: exploration_episodes = 3 .* 1 exploration episodes"):
        build(collection=plan, task_sampler=sampler)


class ValidatedElsewhere(PointRobot):
    """Validation is on goals that no training has."""

    def evaluation_tasks(self, purpose: EvaluationPurpose) -> TaskDistribution:
        return FiniteTasks([[5.0, 5.0]])


def test_validation_on_other_tasks_is_refused_where_it_is_compared_with_training() -> None:
    sampler = CEMTaskSampler(reference_mode="validation")
    with pytest.raises(ConfigurationError, match="task_sampler = 'CEMTaskSampler' .* the tasks of validation are none"):
        build(env_class=ValidatedElsewhere, collection=CollectionPlan(TASKS, 1), task_sampler=sampler)


def test_tasks_whose_trials_were_broken_off_do_not_keep_the_sampler_from_learning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sampler = CEMTaskSampler(round_size=TASKS, reference_share=0.5, selection_share=0.5)
    data = build(task_sampler=sampler)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(data, "run_trials", interrupted)
        with pytest.raises(KeyboardInterrupt):
            data.collect()
    data.collect()
    assert sampler.rounds == 1


@pytest.mark.parametrize("part", ["task_sampler", "relabeler"])
def test_a_part_of_another_data_side_is_refused(part: str) -> None:
    used = build()
    with pytest.raises(ConfigurationError, match=f"{part} = '.*' is not usable: it has one already"):
        build(**{part: getattr(used, part)})


@pytest.mark.parametrize("feeding", [0, 1, 2])
def test_exploration_episodes_and_as_many_adapted_ones_as_asked_for_feed_the_context(feeding: int) -> None:
    data = build(collection=CollectionPlan(TASKS, 2, adapted_context_episodes=feeding, initial_episodes=2))
    list(data.train_dataloader())
    counts = replay_of(data).context.counts.tolist()
    assert sorted(counts) == sorted([2] * (SLOTS - TASKS) + [1 + feeding] * TASKS)


def test_further_trials_of_the_evaluations_tasks_are_independent_and_leave_the_first_as_they_were() -> None:
    once, twice = build(), build(evaluation=replace(build().evaluation, trials_per_task=2))
    first, repeated = list(once.test_dataloader()), list(twice.test_dataloader())
    assert len(repeated) == 2 * len(first)
    for one, same, other in zip(first, repeated, repeated[len(first) :]):
        assert torch.equal(one.steps["observation"], same.steps["observation"])
        assert torch.equal(one.tasks, other.tasks)
        assert torch.equal(one.task_numbers, other.task_numbers)
        assert not torch.equal(one.steps["observation"], other.steps["observation"])


def test_the_context_of_a_meta_batch_is_of_the_latest_iteration_and_its_transitions_of_all() -> None:
    plan = MetaBatchPlan(meta_steps=1, tasks=SLOTS, transitions=400, context=400)
    data = build(batches=plan, task_sampler=FixedTaskSampler())
    for _ in range(2):
        (batch,) = data.train_dataloader()
    replay = replay_of(data)
    tables = {"transitions": replay.critic, "context": replay.context}
    for key, table in tables.items():
        everything = replay.sample(table, torch.arange(SLOTS), 4000, torch.Generator().manual_seed(0))
        held = [set(map(tuple, rows.tolist())) for rows in everything["observation"]]
        drawn = [set(map(tuple, rows.tolist())) for rows in batch[key]["observation"]]
        assert all(any(rows <= of_slot for of_slot in held) for rows in drawn), key
    assert int(replay.context.totals.sum()) < int(replay.critic.totals.sum())


def test_an_interrupted_iteration_goes_on_with_the_batches_that_are_left_and_collects_nothing() -> None:
    data = build()
    list(data.train_dataloader())
    steps = data.environment_steps
    data._drawn = 3
    assert len(list(data.train_dataloader())) == 1
    assert data.environment_steps == steps


def test_a_slot_whose_context_ran_dry_is_in_no_meta_batch() -> None:
    data = build(batches=MetaBatchPlan(meta_steps=1, tasks=SLOTS, transitions=5, context=3))
    list(data.train_dataloader())
    replay_of(data).context.clear(torch.tensor([1]))
    assert isinstance(data.experience, ReplayExperience)
    assert data.experience.batch().batch_size == (SLOTS,)


def test_a_meta_batch_of_more_tasks_than_a_fixed_set_holds_every_task_equally_often() -> None:
    plan = MetaBatchPlan(meta_steps=1, tasks=2 * SLOTS, transitions=400, context=3)
    data = build(batches=plan, task_sampler=FixedTaskSampler())
    (batch,) = data.train_dataloader()
    drawn = [set(map(tuple, rows.tolist())) for rows in batch["transitions"]["observation"]]
    everything = replay_of(data).sample(
        replay_of(data).critic, torch.arange(SLOTS), 4000, torch.Generator().manual_seed(0)
    )
    held = [set(map(tuple, rows.tolist())) for rows in everything["observation"]]
    assert [sum(rows <= of_slot for rows in drawn) for of_slot in held] == [2] * SLOTS


def evaluation(data: RolloutDataModule) -> list[Tensor]:
    return [trials.episode_returns for trials in data.test_dataloader()]


def test_evaluation_does_not_depend_on_the_runs_seed_nor_on_what_happened_before() -> None:
    first, second = build(seed=1), build(seed=2)
    list(second.train_dataloader())
    expected = evaluation(first)
    for other in (evaluation(second), evaluation(second)):
        assert all(torch.equal(a, b) for a, b in zip(expected, other))
    assert [len(group) for group in expected] == [4, 3]


def test_evaluation_leaves_training_as_it_was() -> None:
    alone, evaluated = build(), build()
    batches = list(alone.train_dataloader())
    evaluation(evaluated)
    for batch, other in zip(batches, evaluated.train_dataloader()):
        assert torch.equal(batch["transitions"]["observation"], other["transitions"]["observation"])


def test_validation_and_test_tasks_differ() -> None:
    data = build()
    tasks = [torch.cat([t.tasks for t in loader]) for loader in (data.val_dataloader(), data.test_dataloader())]
    assert [len(t) for t in tasks] == [5, 7]
    assert not (tasks[0][:, None] == tasks[1]).all(-1).any()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"task_slots": 0}, "task_slots"),
        ({"task_slots": 2}, "collection.tasks_per_iteration"),
        ({"replay_capacity": 100}, "replay_capacity.*of the initial data"),
        ({"replay_capacity": 3000, "collection": CollectionPlan(TASKS, 50)}, "replay_capacity.*meta-iteration"),
        (
            {"task_sampler": CEMTaskSampler(reference_mode="validation")},
            "evaluation.adapted_episodes = 1 .*have 2 adapted episodes",
        ),
        (
            {
                "task_sampler": CEMTaskSampler(reference_mode="validation"),
                "evaluation": EvaluationPlan(adapted_episodes=2, trials_per_task=3),
            },
            "evaluation.trials_per_task = 3",
        ),
        ({"evaluation": EvaluationPlan(test_tasks=0)}, "evaluation.test_tasks"),
        ({"batches": MetaBatchPlan(tasks=7)}, "batches.tasks"),
        ({"collection": CollectionPlan(TASKS, 1, 2)}, "collection.adapted_context_episodes"),
        ({"collection": CollectionPlan(TASKS, exploration_episodes=0)}, "collection.exploration_episodes"),
        ({"collection": CollectionPlan(TASKS, posterior_context=0)}, "collection.posterior_context"),
    ],
)
def test_an_impossible_plan_is_refused_by_name(changes: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigurationError, match=f"RolloutDataModule: {key}"):
        build(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task_sampler": NoRelabeler()}, "task_sampler = .* an object of the class TaskSampler"),
        ({"task_sampler": UniformTaskSampler}, r"Call the class: UniformTaskSampler\(…\)"),
        ({"relabeler": NoRelabeler}, r"Call the class: NoRelabeler\(…\)"),
        ({"env": PointRobot(2)}, r"env = PointRobot\(num_envs=2\) is not usable: it is called with"),
        ({"collection": {"tasks_per_iteration": 2}}, "collection = .* an object of the class CollectionPlan"),
        ({"seed": "a"}, "seed = 'a' is not usable"),
        ({"replay_storage": "Memory"}, "replay_storage = 'Memory' .* it must be memory or disk"),
        ({"task_slots": 3.5}, r"task_slots = 3\.5 is not usable"),
    ],
)
def test_a_part_of_another_kind_is_refused_by_name(changes: dict[str, Any], message: str) -> None:
    arguments = {"env": PointRobot, "task_sampler": UniformTaskSampler(), "relabeler": NoRelabeler(), **changes}
    with pytest.raises(ConfigurationError, match=message):
        RolloutDataModule(**arguments)


def test_an_environment_of_few_tasks_has_no_slot_that_is_never_filled_again() -> None:
    data = build(env_class=FourCorners, task_slots=100, batches=MetaBatchPlan(meta_steps=1, tasks=8, transitions=5))
    (batch,) = data.train_dataloader()
    assert torch.equal(replay_of(data).tasks, FourCorners.task_distribution.tasks)
    assert batch.batch_size == (8,)


@pytest.mark.parametrize("number", [2, 3])
def test_the_tasks_of_a_fixed_set_have_slots_on_every_rank_and_their_first_data_on_one(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranks, "world_size", lambda: number)
    data = RolloutDataModule(FourCorners, UniformTaskSampler(), NoRelabeler())
    to_fill = []
    for rank in range(number):
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        tasks, slots = data._slots()
        assert len(tasks) == 4
        to_fill.append(slots.tolist())
    assert {slot for slots in to_fill for slot in slots} == {0, 1, 2, 3}
    assert len({len(slots) for slots in to_fill}) == 1


def test_an_algorithm_without_foresight_is_refused_only_where_one_is_needed() -> None:
    data = build()
    check_agent(data, Blind(data.meta_spec))


def test_an_epoch_may_hold_several_meta_iterations() -> None:
    data = build(collection=CollectionPlan(TASKS, adapted_episodes=2, initial_episodes=2, iterations=3))
    assert len(list(data.train_dataloader())) == len(data.train_dataloader()) == 3 * 4
    assert data.environment_steps == SLOTS * 2 * HORIZON + 3 * TASKS * 3 * HORIZON


ON_POLICY = CollectionPlan(TASKS, adapted_episodes=2, iterations=3)


def test_an_on_policy_algorithm_is_given_the_trials_just_collected_one_batch_an_iteration() -> None:
    data = build(algorithm=RL2, collection=ON_POLICY)
    batches = []
    for batch in data.train_dataloader():
        assert isinstance(batch, TrialBatch)
        assert batch.remembered == ()
        batches.append(batch.trials)
        assert data.environment_steps == len(batches) * TASKS * 2 * HORIZON  # no initial data, nothing in advance
    assert len(batches) == len(data.train_dataloader()) == 3
    sampler = data.task_sampler
    assert isinstance(sampler, Recorder)
    assert all(torch.equal(trials.returns, scores) for trials, scores in zip(batches, sampler.scores))
    assert isinstance(data.experience, TrialExperience)
    assert data.metrics["collect/return"] == pytest.approx(
        float(torch.stack([trials.episode_returns[:, -1] for trials in batches]).mean())
    )
    assert "collect/return_exploration" not in data.metrics


def test_an_algorithm_that_remembers_is_given_trials_of_all_iterations_for_every_update() -> None:
    data = build(algorithm=VariBAD, collection=ON_POLICY, belief=BeliefPlan(capacity=100, trials=5, updates=2))
    seen: list[list[float]] = []
    for batch in data.train_dataloader():
        assert isinstance(batch, TrialBatch)
        seen += batch.trials.tasks.tolist()
        assert [len(trials.tasks) for trials in batch.remembered] == [min(5, len(seen))] * 2
        assert all(task in seen for trials in batch.remembered for task in trials.tasks.tolist())
    assert not any(torch.equal(a.tasks, b.tasks) for a, b in [batch.remembered])


def test_replays_limits_do_not_bind_an_on_policy_algorithm() -> None:
    build(algorithm=RL2, task_slots=1, replay_capacity=1, batches=MetaBatchPlan(tasks=7))
    with pytest.raises(ConfigurationError, match="RandomRelabeler"):
        build(algorithm=RL2, relabeler=RandomRelabeler())


def test_an_on_policy_agent_that_is_evaluated_on_shorter_trials_than_it_is_trained_for_is_named() -> None:
    longer = CollectionPlan(tasks_per_iteration=2, adapted_episodes=3)
    with pytest.warns(UserWarning, match="RL2 is trained for trials of 3 episodes and evaluated in episode 1"):
        build(algorithm=RL2, collection=longer, evaluation=EvaluationPlan(validation_tasks=3, test_tasks=5))


def test_maml_is_adapted_in_its_first_adapted_episode(recwarn: pytest.WarningsRecorder) -> None:
    build(algorithm=MAML, collection=CollectionPlan(tasks_per_iteration=2, adapted_episodes=3))
    assert not [warning for warning in recwarn if "not that of the adapted agent" in str(warning.message)]


def test_learned_rewards_are_refused_where_every_transition_keeps_its_task() -> None:
    with pytest.raises(ConfigurationError, match="reward_model = .*with NoRelabeler and FixedTaskSampler"):
        build(reward_model=RewardModel(), task_sampler=FixedTaskSampler())
    build(reward_model=RewardModel(), task_sampler=FixedTaskSampler(), relabeler=RandomRelabeler())


def test_a_test_leaves_what_was_collected_as_it_is_for_the_next_training() -> None:
    data, best = build(), build()
    list(best.train_dataloader())
    list(data.train_dataloader())
    list(data.train_dataloader())
    before, state = data.state_dict(), best.state_dict()
    trainer: Any = data.trainer
    trainer.state.fn = "test"
    data.load_state_dict(state)
    assert data.environment_steps == state["environment_steps"]
    trainer.state.fn = "fit"
    data.setup("fit")
    after = data.state_dict()
    assert after["environment_steps"] == before["environment_steps"] > state["environment_steps"]
    assert torch.equal(after["rollout_generator"], before["rollout_generator"])
    assert not torch.equal(after["rollout_generator"], state["rollout_generator"])


def test_learned_rewards_are_refused_where_nothing_is_relabeled_in_hindsight() -> None:
    with pytest.raises(ConfigurationError, match="RolloutDataModule: reward_model = .*RL2 learns from the rewards"):
        build(algorithm=RL2, reward_model=RewardModel())


def test_the_state_of_on_policy_collection_is_restored() -> None:
    first, second = build(algorithm=RL2, collection=ON_POLICY), build(algorithm=RL2, seed=2, collection=ON_POLICY)
    list(first.train_dataloader())
    second.load_state_dict(first.state_dict())
    for a, b in zip(first.train_dataloader(), second.train_dataloader()):
        assert isinstance(a, TrialBatch)
        assert isinstance(b, TrialBatch)
        assert torch.equal(a.trials.tasks, b.trials.tasks)
        assert torch.equal(a.trials.steps["action"], b.trials.steps["action"])
