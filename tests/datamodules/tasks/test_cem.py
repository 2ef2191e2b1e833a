"""RoML's task sampler against the independent package `cross-entropy-method`, and its own promises."""

from __future__ import annotations

import io
import re
from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from cross_entropy_method import CEM
from scipy import stats
from torch import Tensor

from datamodules.tasks import BetaFamily, CEMTaskSampler
from envs import ConfigurationError, FourCorners, HalfCheetahVel, PointRobot
from envs.task_distributions import UniformBox

TOP_SPEED = 7.0
PUBLISHED = {"alpha": 0.05, "round_size": 128, "reference_share": 0.2, "selection_share": 0.2, "smoothing": 0.5}
SMALL = {"round_size": 20, "reference_share": 0.3, "selection_share": 0.25}


def make_sampler(seed: int = 3, rank: int = 0, margin: float = 0.02, **settings: Any) -> CEMTaskSampler:
    sampler = CEMTaskSampler(BetaFamily(margin), **settings)
    sampler.bind(HalfCheetahVel.world, UniformBox([0.0], [TOP_SPEED]), seed, rank)
    return sampler


class BetaOracle(CEM):
    """The package's method for Beta distributions; draws come from outside."""

    def __init__(self, **settings: Any) -> None:
        self.draws: deque[float] = deque()
        super().__init__(phi0=0.5, **settings)

    def do_sample(self, dist: float) -> float:
        return self.draws.popleft()

    def pdf(self, x: float, dist: float) -> float:
        return float(stats.beta.pdf(np.clip(x, 0.02, 0.98), 2 * dist, 2 - 2 * dist))

    def update_sample_distribution(self, samples: list[float], weights: list[float]) -> float:
        w, x = np.array(weights), np.array(samples)
        return float(np.clip(np.mean(w * x) / np.mean(w), 0.02, 0.98))


def make_oracle(settings: dict[str, Any]) -> BetaOracle:
    return BetaOracle(
        batch_size=settings["round_size"],
        n_orig_per_batch=int(settings["reference_share"] * settings["round_size"]),
        ref_mode="train",
        ref_alpha=settings["alpha"],
        min_batch_update=settings["selection_share"],
        soft_update=settings["smoothing"],
    )


def sample_round(sampler: CEMTaskSampler) -> tuple[Tensor, Tensor]:
    """A whole round of draws, and which of them come from the reference distribution."""
    first = sampler.sample(1)
    remaining = sampler.state_dict()["from_reference"]
    missing = int(sampler.reference_share * sampler.round_size) - int(remaining.sum())
    assert missing in (0, 1)
    flags = torch.cat((torch.tensor([bool(missing)]), remaining))
    return torch.cat((first, sampler.sample(sampler.round_size - 1))), flags


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"alpha": 0.01, "selection_share": 0.05},
        {"smoothing": 0.0, "reference_share": 0.0},
        {"alpha": 0.4, "selection_share": 0.1},
        {"round_size": 10, "reference_share": 0.35, "selection_share": 0.3},
        {"round_size": 16, "selection_share": 1.0},
    ],
    ids=["published", "KhazadDum", "no smoothing, no reference draws", "wide tail", "small", "all selected"],
)
def test_weights_quantiles_selection_and_parameters_are_those_of_the_package(changes: dict[str, Any]) -> None:
    settings = {**PUBLISHED, **changes}
    sampler, oracle, random = make_sampler(**settings), make_oracle(settings), np.random.default_rng(0)
    for _ in range(4):
        tasks, flags = sample_round(sampler)
        weights = sampler.state_dict()["awaiting_weights"]
        oracle.ref_indices = set(flags.nonzero()[:, 0].tolist())
        oracle.draws.extend((tasks[:, 0].double() / TOP_SPEED).tolist())
        oracle_weights = [oracle.sample()[1] for _ in range(len(tasks))]
        assert weights.numpy() == pytest.approx(oracle_weights, rel=1e-4)

        scores = -np.square(tasks[:, 0].double().numpy() - 1.5) + random.normal(size=len(tasks))
        sampler.update(tasks, torch.from_numpy(scores))
        for score in scores:
            oracle.update(score)
        assert sampler.last_round is not None
        assert sampler.last_round.internal_quantile == pytest.approx(oracle.internal_quantile[-1])
        assert sampler.last_round.reference_quantile == pytest.approx(oracle.ref_quantile[-1], rel=1e-4, abs=1e-4)
        assert sampler.last_round.selected.tolist() == oracle.selected_samples[-1].tolist()
        assert float(sampler.parameters) == pytest.approx(oracle.sample_dist[-1], abs=1e-5)
    assert float(sampler.parameters) != 0.5


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_ties_at_the_threshold_are_filled_up_to_as_many_draws_as_in_the_package(levels: int) -> None:
    """Scores of few distinct values. The weights of the first round are 1, so the quantiles are exact."""
    settings = {**PUBLISHED, "round_size": 40, "selection_share": 0.33}
    for seed in range(5):
        sampler, oracle = make_sampler(seed, **settings), make_oracle(settings)
        tasks, flags = sample_round(sampler)
        oracle.ref_indices = set(flags.nonzero()[:, 0].tolist())
        oracle.draws.extend((tasks[:, 0].double() / TOP_SPEED).tolist())
        scores = np.random.default_rng(seed).integers(levels, size=40).astype(np.float64)
        for score in scores:
            oracle.sample()
            oracle.update(score)
        sampler.update(tasks, torch.from_numpy(scores))
        result = sampler.last_round
        assert result is not None
        assert (result.internal_quantile, result.reference_quantile) == pytest.approx(
            (oracle.internal_quantile[-1], oracle.ref_quantile[-1])
        )
        threshold = max(oracle.internal_quantile[-1], oracle.ref_quantile[-1])
        selected = result.selected.numpy()
        assert selected.sum() == oracle.n_update_samples[-1] >= int(0.33 * 40)
        assert selected[scores < threshold].all()
        assert not selected[scores > threshold].any()
        fitted = np.clip(tasks[:, 0].double().numpy()[selected].mean() / TOP_SPEED, 0.02, 0.98)
        assert float(sampler.parameters) == pytest.approx(0.5 * 0.5 + 0.5 * fitted, abs=1e-5)


def test_which_of_the_tied_draws_are_selected_is_random() -> None:
    selections = set()
    for seed in range(5):
        sampler = make_sampler(seed, **SMALL)
        sampler.update(sampler.sample(20), torch.zeros(20))
        assert sampler.last_round is not None
        assert int(sampler.last_round.selected.sum()) == 5
        selections.add(tuple(sampler.last_round.selected.tolist()))
    assert len(selections) > 1


def test_phi_falls_where_low_tasks_score_low() -> None:
    sampler, means = make_sampler(**PUBLISHED), []
    for _ in range(6):
        tasks = sampler.sample(128)
        sampler.update(tasks, tasks[:, 0])
        means.append(float(sampler.parameters))
    assert means == sorted(means, reverse=True)
    assert means[-1] < 0.1
    assert float((sampler.sample(128) < 0.05 * TOP_SPEED).float().mean()) > 0.5


def test_with_nearly_exact_weights_the_mean_settles_at_that_of_the_reference_distributions_tail() -> None:
    """Where the score is the task, the tail of the uniform distribution is [0, α], and its mean α/2."""
    sampler = make_sampler(margin=1e-3, alpha=0.2, round_size=512)
    means = []
    for _ in range(20):
        tasks = sampler.sample(512)
        sampler.update(tasks, tasks[:, 0])
        means.append(float(sampler.parameters))
    assert np.mean(means[10:]) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_reference_quantile_is_that_of_the_reference_distribution_wherever_phi_is(alpha: float) -> None:
    sampler = make_sampler(margin=1e-3, alpha=alpha, round_size=4096)
    sampler.load_state_dict({**sampler.state_dict(), "parameters": torch.tensor([0.25])})
    tasks = sampler.sample(4096)
    sampler.update(tasks, tasks[:, 0])
    assert sampler.last_round is not None
    assert sampler.last_round.reference_quantile / TOP_SPEED == pytest.approx(alpha, abs=0.15 * alpha)


def test_coordinates_move_independently() -> None:
    sampler = CEMTaskSampler(BetaFamily(), alpha=0.1, round_size=256, selection_share=0.1)
    sampler.bind(PointRobot.world, PointRobot.task_distribution, 0, 0)
    for _ in range(12):
        tasks = sampler.sample(256)
        sampler.update(tasks, -tasks[:, 1])
    assert float(sampler.parameters[1]) > 0.85
    assert float(sampler.parameters[0]) == pytest.approx(0.5, abs=0.15)


# Reference draws


def test_every_round_holds_exactly_its_share_of_reference_draws_at_random_positions() -> None:
    sampler = make_sampler(**SMALL)
    rounds = []
    for _ in range(200):
        tasks, flags = sample_round(sampler)
        assert int(flags.sum()) == 6
        rounds.append(flags)
        sampler.update(tasks, tasks[:, 0])
    positions = torch.stack(rounds).sum(0)
    assert stats.chisquare(positions.numpy()).pvalue > 1e-3


def test_reference_draws_stay_uniform_with_weight_one_after_phi_has_moved() -> None:
    sampler = make_sampler(**SMALL)
    units, weights, others = [], [], []
    for _ in range(80):
        tasks, flags = sample_round(sampler)
        units.append(tasks[flags, 0] / TOP_SPEED)
        others.append(tasks[~flags, 0] / TOP_SPEED)
        weights.append(sampler.state_dict()["awaiting_weights"][flags])
        sampler.update(tasks, tasks[:, 0])
    assert bool((torch.cat(weights) == 1).all())
    assert stats.kstest(torch.cat(units).numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(torch.cat(others).numpy(), "uniform").pvalue < 1e-6


# Rounds, state, logging


def test_rounds_and_batches_of_trials_need_not_line_up() -> None:
    """Scores in groups of 7, rounds of 20: the same result as giving each round at once."""
    pieces, whole = make_sampler(**SMALL), make_sampler(**SMALL)
    drawn = torch.cat([pieces.sample(7) for _ in range(6)])
    for group in drawn.split(7)[:2]:
        pieces.update(group, group[:, 0])
    assert pieces.rounds == 0
    assert torch.equal(pieces.parameters, whole.parameters)
    for group in drawn.split(7)[2:]:
        pieces.update(group, group[:, 0])
    assert pieces.rounds == 2
    assert len(pieces.state_dict()["scores"]) == 2

    state = whole.state_dict()
    state["awaiting_weights"] = torch.ones(42)  # all were drawn before φ moved
    whole.load_state_dict(state)
    whole.update(drawn[:20], drawn[:20, 0])
    whole.update(drawn[20:40], drawn[20:40, 0])
    torch.testing.assert_close(pieces.parameters, whole.parameters)


def continue_training(sampler: CEMTaskSampler, awaiting: Tensor, rounds: int) -> list[Tensor]:
    """Score the draws that still await it, then go on; everything that was drawn and fitted."""
    history = []
    for _ in range(rounds):
        sampler.update(awaiting, ((awaiting[:, 0] - 2.0).abs() * 2).round())  # many ties
        awaiting = sampler.sample(7)
        history += [awaiting, sampler.parameters.clone()]
    return history


def test_a_resumed_sampler_continues_exactly_in_the_middle_of_a_round() -> None:
    sampler = make_sampler(**SMALL)
    *_, last, _ = continue_training(sampler, sampler.sample(7), 14)
    awaiting = sampler.sample(4)
    file = io.BytesIO()
    torch.save(sampler.state_dict(), file)
    file.seek(0)
    resumed = make_sampler(seed=99, **SMALL)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert resumed.rounds == sampler.rounds == 4
    pending = torch.cat((last, awaiting))
    for expected, actual in zip(continue_training(sampler, pending, 20), continue_training(resumed, pending, 20)):
        assert torch.equal(expected, actual)


def test_a_saved_state_is_not_changed_by_further_training() -> None:
    sampler = make_sampler(**SMALL)
    state = sampler.state_dict()
    copy = {key: value.clone() if isinstance(value, Tensor) else value for key, value in state.items()}
    continue_training(sampler, sampler.sample(7), 10)
    for key, value in copy.items():
        assert torch.equal(state[key], value) if isinstance(value, Tensor) else state[key] == value


def test_a_resumed_sampler_logs_what_the_saved_one_would_have() -> None:
    sampler = make_sampler(**SMALL)
    tasks = sampler.sample(20)
    sampler.update(tasks, tasks[:, 0])
    resumed = make_sampler(**SMALL)
    resumed.load_state_dict(sampler.state_dict())
    assert resumed.metrics() == sampler.metrics()


def test_the_log_shows_the_distribution_and_the_last_round_in_the_worlds_units() -> None:
    sampler = make_sampler(**SMALL)
    assert sampler.metrics()["cem/mean_velocity"] == pytest.approx(0.5 * TOP_SPEED)
    tasks = sampler.sample(20)
    sampler.update(tasks, tasks[:, 0])
    phi, logged = float(sampler.parameters), sampler.metrics()
    assert logged["cem/mean_velocity"] == pytest.approx(phi * TOP_SPEED)
    for level in (0.05, 0.5, 0.95):
        exact = TOP_SPEED * stats.beta.ppf(level, 2 * phi, 2 - 2 * phi)
        assert logged[f"cem/quantile_{level:.2f}_velocity"] == pytest.approx(exact, abs=0.3)
    assert logged["cem/selected_share"] == pytest.approx(0.25)
    assert logged["cem/internal_quantile_of_score"] == pytest.approx(np.percentile(tasks.double().numpy(), 25))


def test_ranks_and_seeds_have_their_own_streams_and_the_global_one_is_left_alone() -> None:
    before = torch.get_rng_state()
    draws = [make_sampler(seed, rank, **SMALL).sample(5) for seed, rank in ((0, 0), (0, 1), (1, 0), (0, 0))]
    assert torch.equal(draws[0], draws[3])
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_tasks_that_slots_start_with_are_never_scored() -> None:
    sampler = make_sampler(**SMALL)
    initial = sampler.initial(50)
    assert initial.shape == (50, 1)
    assert len(sampler.state_dict()["awaiting_weights"]) == 0


# Refusals


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("alpha", 0.0),
        ("alpha", -0.1),
        ("alpha", 1.5),
        ("alpha", float("nan")),
        ("reference_share", 1.0),
        ("reference_share", -0.2),
        ("smoothing", 1.0),
        ("smoothing", -0.5),
        ("selection_share", 0.0),
        ("selection_share", 1.1),
        ("round_size", 4),
        ("round_size", 0),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(key: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=rf"data\.task_sampler\.init_args\.{key} = {re.escape(repr(value))}"):
        CEMTaskSampler(BetaFamily(), **{key: value})


def test_the_whole_distribution_is_an_acceptable_tail() -> None:
    make_sampler(alpha=1.0)


def test_a_world_whose_tasks_are_not_uniform_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="FiniteTasks"):
        CEMTaskSampler(BetaFamily()).bind(FourCorners.world, FourCorners.task_distribution, 0, 0)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_not_finite_is_refused_naming_trial_and_task(broken: float) -> None:
    sampler = make_sampler(**SMALL)
    tasks = sampler.sample(4)
    scores = torch.tensor([1.0, 2.0, broken, 3.0])
    with pytest.raises(ValueError, match=rf"trial 2 on task \[{re.escape(repr(float(tasks[2, 0])))}\]"):
        sampler.update(tasks, scores)
    sampler.update(tasks, torch.zeros(4))  # nothing of the refused call was kept
    assert len(sampler.state_dict()["scores"]) == 4


def test_more_scores_than_draws_are_refused() -> None:
    sampler = make_sampler(**SMALL)
    tasks = sampler.sample(3)
    with pytest.raises(ValueError, match="4 scores .* 3 sampled tasks"):
        sampler.update(torch.cat((tasks, tasks[:1])), torch.zeros(4))


def test_a_world_of_another_name_logs_its_own_coordinates() -> None:
    sampler = CEMTaskSampler(BetaFamily(), **SMALL)
    sampler.bind(replace(PointRobot.world, task_names=("mass", "damping")), PointRobot.task_distribution, 0, 0)
    assert {"cem/mean_mass", "cem/mean_damping", "cem/quantile_0.50_damping"} <= set(sampler.metrics())
