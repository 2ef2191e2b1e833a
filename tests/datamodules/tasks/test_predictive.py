"""What MPTS and PDTS share: warm-up, candidate pool, learning from scores, state, logging."""

from __future__ import annotations

import copy
import io
import re
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from datamodules.tasks import MPTSSampler, PDTSSampler, PredictiveTaskSampler, RiskPredictorPlan, SampledTasks
from envs import ConfigurationError, FourCorners, MetaEnv, PointRobot
from envs.errors import NonFiniteError

BATCH = 10
BOTH = [MPTSSampler, PDTSSampler]
with_both = pytest.mark.parametrize("kind", BOTH, ids=lambda kind: kind.__name__)


def make_sampler(
    kind: type[PredictiveTaskSampler],
    seed: int = 0,
    rank: int = 0,
    env: type[MetaEnv] = PointRobot,
    **settings: Any,
) -> PredictiveTaskSampler:
    sampler = kind(**{"warmup_updates": 2, "predictor": RiskPredictorPlan(batch=BATCH), **settings})
    sampler.bind(env.meta_spec, env.task_distribution, seed, rank)
    return sampler


def returns_of(sampled: SampledTasks) -> Tensor:
    """Tasks on the right are hard."""
    return -10 * (sampled.tasks[:, 0] + 1).square()


def train(sampler: PredictiveTaskSampler, iterations: int, trials: int = BATCH) -> Tensor:
    """The tasks of so many meta-iterations, `[iterations * trials, task_dim]`."""
    tasks = []
    for _ in range(iterations):
        sampled = sampler.sample(trials)
        sampler.update(sampled, returns_of(sampled))
        tasks.append(sampled.tasks)
    return torch.cat(tasks)


def share_of_hard(tasks: Tensor) -> float:
    """A fifth of the reference distribution counts as hard."""
    return float((tasks[:, 0] > 0.6).float().mean())


# Which tasks are sampled


@with_both
def test_tasks_follow_the_reference_distribution_until_the_predictor_has_warmed_up(
    kind: type[PredictiveTaskSampler],
) -> None:
    plan = RiskPredictorPlan(batch=BATCH, gradient_steps=1)
    sampler = make_sampler(kind, warmup_updates=100, predictor=plan)
    tasks = train(sampler, 100)
    for coordinate in tasks.unbind(-1):
        assert stats.kstest(coordinate.numpy(), stats.uniform(-1, 2).cdf).pvalue > 1e-3
    assert sampler.selects


@with_both
def test_a_predictor_that_has_seen_nothing_selects_nothing_even_without_warm_up(
    kind: type[PredictiveTaskSampler],
) -> None:
    sampler, other = make_sampler(kind, warmup_updates=0), make_sampler(kind, warmup_updates=5)
    assert not sampler.selects
    assert torch.equal(sampler.sample(50).tasks, other.sample(50).tasks)
    train(sampler, 1)
    assert sampler.selects


def test_mpts_selects_half_of_the_tasks_and_oversamples_the_hard_ones() -> None:
    sampler = make_sampler(MPTSSampler, candidate_ratio=5.0)
    train(sampler, 25)
    selected = share_of_hard(train(sampler, 25))
    assert 0.4 < selected < 0.75  # half of them selected, of five times as many candidates


def test_pdts_with_little_weight_on_diversity_samples_almost_only_hard_tasks() -> None:
    sampler = make_sampler(PDTSSampler, diversity_weight=0.05)
    train(sampler, 25)
    assert share_of_hard(train(sampler, 25)) > 0.9


def test_more_weight_on_diversity_spreads_the_tasks() -> None:
    spreads = []
    for weight in (0.05, 8.0):
        sampler = make_sampler(PDTSSampler, diversity_weight=weight)
        train(sampler, 20)
        spreads.append(float(train(sampler, 20).std(0).mean()))
    assert spreads[1] > 1.5 * spreads[0]


@pytest.mark.parametrize(("share", "unselected"), [(0.0, 0), (0.3, 3), (0.5, 5)])
def test_a_share_of_the_tasks_is_never_selected(share: float, unselected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sampler = make_sampler(MPTSSampler, reference_share=share, candidate_ratio=3.0)
    train(sampler, 2)
    given: list[Tensor] = []

    def select(candidates: Tensor, n: int) -> Tensor:
        given.append(candidates)
        return torch.arange(n)

    monkeypatch.setattr(sampler, "select", select)
    first = sampler.state_dict()["next_id"]
    ids = sampler.sample(10).ids - first
    assert len(given[0]) == 30  # candidates
    assert sorted(ids.tolist()) == [*range(10 - unselected), *range(30, 30 + unselected)]
    assert ids.tolist() != sorted(ids.tolist()), "in random order, so that every rank gets some of both"


@with_both
def test_every_sampled_task_is_a_new_one_of_the_environment(kind: type[PredictiveTaskSampler]) -> None:
    sampler = make_sampler(kind)
    train(sampler, 3)
    first, second = sampler.sample(20), sampler.sample(20)
    assert len(torch.cat((first.ids, second.ids)).unique()) == 40
    assert bool(PointRobot.task_distribution.contains(first.tasks).all())


@with_both
def test_a_finite_set_of_tasks_works_and_its_hard_tasks_are_oversampled(kind: type[PredictiveTaskSampler]) -> None:
    sampler = make_sampler(kind, env=FourCorners, **({"diversity_weight": 0.0} if kind is PDTSSampler else {}))
    known = sampler.initial(100)
    tasks = []
    for _ in range(60):
        sampled = sampler.sample(BATCH)
        assert torch.equal(sampled.tasks, known.tasks[sampled.ids])
        sampler.update(sampled, returns_of(sampled))
        tasks.append(sampled.tasks)
    assert float((torch.cat(tasks[20:])[:, 0] > 0).float().mean()) > 0.6  # half of them are on the right


# Learning from scores


@with_both
def test_updates_and_meta_iterations_need_not_line_up(kind: type[PredictiveTaskSampler]) -> None:
    pieces, whole = make_sampler(kind, warmup_updates=100), make_sampler(kind, warmup_updates=100)
    groups = [pieces.sample(4) for _ in range(6)]
    sampled = SampledTasks(torch.cat([group.tasks for group in groups]), torch.cat([group.ids for group in groups]))
    whole.generator.set_state(pieces.generator.get_state())
    for group in groups:
        pieces.update(group, returns_of(group))
    whole.update(sampled, returns_of(sampled))
    assert pieces.metrics() == whole.metrics()
    assert len(pieces.state_dict()["scores"]) == 4
    assert int(pieces.predictor.updates) == 2


def test_the_risk_is_minus_the_return_normalized_over_the_trials_of_an_update() -> None:
    sampler = make_sampler(MPTSSampler)
    sampled = sampler.sample(BATCH)
    scores = 1000 * returns_of(sampled) - 7e4
    sampler.update(sampled, scores)
    risks = -(scores.double() - scores.double().mean()) / scores.double().std()
    assert torch.allclose(sampler.predictor.context_risks, risks.float(), atol=1e-4)


@with_both
def test_equal_returns_teach_nothing_and_break_nothing(kind: type[PredictiveTaskSampler]) -> None:
    sampler = make_sampler(kind)
    for _ in range(5):
        sampler.update(sampler.sample(BATCH), torch.full((BATCH,), 3.0))
    assert "predictor/rank_correlation" not in sampler.metrics()
    assert bool(sampler.sample(BATCH).tasks.isfinite().all())


# State


@with_both
def test_a_resumed_sampler_continues_exactly_in_the_middle_of_an_update(kind: type[PredictiveTaskSampler]) -> None:
    sampler = make_sampler(kind)
    train(sampler, 9, trials=7)
    awaiting = sampler.sample(7)
    file = io.BytesIO()
    torch.save(sampler.state_dict(), file)
    file.seek(0)
    resumed = make_sampler(kind, seed=99)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    histories = []
    for one in (sampler, resumed):
        one.update(awaiting, returns_of(awaiting))
        histories.append((train(one, 10, trials=7), one.metrics(), one.sample(3).ids))
    assert sampler.selects
    assert torch.equal(histories[0][0], histories[1][0])
    assert histories[0][1] == histories[1][1]
    assert torch.equal(histories[0][2], histories[1][2])


@with_both
def test_a_saved_state_is_not_changed_by_further_training(kind: type[PredictiveTaskSampler]) -> None:
    sampler = make_sampler(kind)
    train(sampler, 4, trials=7)
    state = sampler.state_dict()
    saved = copy.deepcopy(state)
    train(sampler, 4, trials=7)
    for name, value in {**saved, **saved["predictor"]}.items():
        if isinstance(value, Tensor):
            assert torch.equal({**state, **state["predictor"]}[name], value), name
    optimizer = state["predictor"]["_extra_state"]["state"][0]
    assert torch.equal(optimizer["exp_avg"], saved["predictor"]["_extra_state"]["state"][0]["exp_avg"])


@with_both
def test_ranks_and_seeds_have_their_own_streams_and_the_global_one_is_left_alone(
    kind: type[PredictiveTaskSampler],
) -> None:
    before = torch.get_rng_state()
    tasks = [train(make_sampler(kind, seed, rank), 4) for seed, rank in ((0, 0), (0, 1), (1, 0), (0, 0))]
    assert torch.equal(tasks[0], tasks[3])
    assert not torch.equal(tasks[0], tasks[1])
    assert not torch.equal(tasks[0], tasks[2])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("changed", [{"batch": 12}, {"width": 5}])
def test_a_predictor_of_another_size_is_refused_when_resumed(changed: dict[str, int]) -> None:
    sampler = make_sampler(MPTSSampler)
    resumed = make_sampler(MPTSSampler, predictor=RiskPredictorPlan(**{"batch": BATCH, **changed}))
    ((key, value),) = changed.items()
    with pytest.raises(ConfigurationError, match=f"RiskPredictorPlan: {key} = {value} .* is of a run with 10"):
        resumed.load_state_dict(sampler.state_dict())


# What is logged and plotted


@with_both
def test_the_log_compares_predicted_with_measured_risks_and_describes_the_sampled_tasks(
    kind: type[PredictiveTaskSampler],
) -> None:
    sampler = make_sampler(kind)
    assert sampler.metrics() == {"predictor/selects": 0.0}
    train(sampler, 30)
    sampled = sampler.sample(BATCH)
    risks = -returns_of(sampled)
    predicted = sampler.predictor.expected_risks(sampler.features(sampled))
    sampler.update(sampled, returns_of(sampled))
    logged = sampler.metrics()
    assert logged["predictor/rank_correlation"] == pytest.approx(stats.spearmanr(predicted, risks).statistic)
    assert logged["predictor/mean_goal_x"] == pytest.approx(float(sampled.tasks[:, 0].mean()))
    assert logged["predictor/spread"] == pytest.approx(float(sampled.tasks.std(0).mean()) * 3**0.5, rel=0.05)
    assert logged["predictor/selects"] == 1.0
    assert {"predictor/error", "predictor/kl"} <= set(logged)


def test_before_the_second_update_nothing_was_predicted() -> None:
    sampler = make_sampler(MPTSSampler)
    train(sampler, 1)
    assert "predictor/rank_correlation" not in sampler.metrics()
    assert sampler.figures() == {}


def test_the_figure_shows_predicted_and_measured_risks_of_the_latest_trials_and_disturbs_nothing() -> None:
    sampler = make_sampler(MPTSSampler)
    train(sampler, 30)
    before = copy.deepcopy(sampler.state_dict())
    (figure,) = sampler.figures().values()
    measured, predicted = figure.axes[0].collections
    assert len(measured.get_offsets()) == len(predicted.get_offsets()) == 200
    assert [panel.get_xlabel() for panel in figure.axes] == ["goal_x", "goal_y"]
    assert torch.equal(torch.tensor(measured.get_offsets())[:, 1].float(), before["compared"][:, 3])
    assert torch.equal(sampler.state_dict()["generator"], before["generator"])


# Refusals


@with_both
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("candidate_ratio", 0.9),
        ("candidate_ratio", float("inf")),
        ("candidate_ratio", float("nan")),
        ("reference_share", 1.0),
        ("reference_share", -0.1),
        ("warmup_updates", -1),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(kind: type[PredictiveTaskSampler], key: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"{kind.__name__}: {key} = {value}"):
        kind(**{key: value})


@with_both
@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_not_finite_is_refused_naming_trial_and_task(
    kind: type[PredictiveTaskSampler], broken: float
) -> None:
    sampler = make_sampler(kind)
    sampled = sampler.sample(4)
    task = re.escape(str(sampled.tasks[2].tolist()))
    with pytest.raises(NonFiniteError, match=rf"trial 2 on task {task} is {broken}"):
        sampler.update(sampled, torch.tensor([1.0, 2.0, broken, 3.0]))
    assert len(sampler.state_dict()["scores"]) == 0  # nothing of the refused call was kept
