"""RoML's task sampler against the independent package `cross-entropy-method`, and its own promises."""

from __future__ import annotations

import copy
import io
import re
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from cross_entropy_method import CEM
from scipy import stats
from torch import Tensor

from datamodules.tasks import BetaFamily, CategoricalFamily, CEMTaskSampler, SampledTasks
from envs import ConfigurationError, FourCorners, HalfCheetahVel, PointRobot
from envs.errors import ContractError, NonFiniteError
from envs.task_distributions import (
    Disk,
    Exponential,
    FiniteTasks,
    Gaussian,
    LogUniformBox,
    TaskDistribution,
    UniformBox,
)

Density = Callable[[np.ndarray, np.ndarray], float]
Fit = Callable[[np.ndarray, np.ndarray], np.ndarray]

TOP_SPEED = 7.0
PUBLISHED = {"alpha": 0.05, "round_size": 128, "reference_share": 0.2, "selection_share": 0.2, "smoothing": 0.5}
SMALL = {"round_size": 20, "reference_share": 0.3, "selection_share": 0.25}


def make_sampler(seed: int = 3, rank: int = 0, margin: float = 0.02, **settings: Any) -> CEMTaskSampler:
    sampler = CEMTaskSampler(BetaFamily(margin, margin), **settings)
    sampler.bind(HalfCheetahVel.meta_spec, UniformBox([0.0], [TOP_SPEED]), seed, rank)
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


def sample_round(sampler: CEMTaskSampler) -> tuple[SampledTasks, Tensor]:
    """A whole round of draws, and which of them come from the reference distribution."""
    sampled = together(sampler.sample(1), sampler.sample(sampler.round_size - 1))
    return sampled, sampler.state_dict()["draws"]["from_reference"]


def together(*parts: SampledTasks) -> SampledTasks:
    return SampledTasks(torch.cat([part.tasks for part in parts]), torch.cat([part.ids for part in parts]))


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
        sampled, flags = sample_round(sampler)
        weights = sampler.state_dict()["draws"]["weight"]
        oracle.ref_indices = set(flags.nonzero()[:, 0].tolist())
        oracle.draws.extend((sampled.tasks[:, 0].double() / TOP_SPEED).tolist())
        oracle_weights = [oracle.sample()[1] for _ in range(len(sampled))]
        assert weights.numpy() == pytest.approx(oracle_weights, rel=1e-4)

        scores = -np.square(sampled.tasks[:, 0].double().numpy() - 1.5) + random.normal(size=len(sampled))
        sampler.update(sampled, torch.from_numpy(scores))
        for score in scores:
            oracle.update(score)
        assert sampler.last_round is not None
        assert sampler.last_round.internal_quantile == pytest.approx(oracle.internal_quantile[-1])
        assert sampler.last_round.reference_quantile == pytest.approx(oracle.ref_quantile[-1], rel=1e-4, abs=1e-4)
        assert sampler.last_round.selected.tolist() == oracle.selected_samples[-1].tolist()
        assert float(sampler.parameters) == pytest.approx(oracle.sample_dist[-1], abs=1e-5)
    assert float(sampler.parameters) != 0.5


class FamilyOracle(CEM):
    """The package's method for any of the published families; draws come from outside."""

    def __init__(self, density: Density, fit: Fit, **settings: Any) -> None:
        self.draws: deque[np.ndarray] = deque()
        self._density, self._fit = density, fit
        super().__init__(**settings)

    def do_sample(self, dist: np.ndarray) -> np.ndarray:
        return self.draws.popleft()

    def pdf(self, x: np.ndarray, dist: np.ndarray) -> float:
        return float(self._density(x, dist))

    def update_sample_distribution(self, samples: list[np.ndarray], weights: list[float]) -> np.ndarray:
        return self._fit(np.array(samples), np.array(weights))


def unit_beta(to_unit: Callable[[np.ndarray], np.ndarray]) -> tuple[Density, Fit]:
    """Density and fit of independent Beta distributions of `to_unit(tasks)`, as RoML's users define them."""

    def density(x: np.ndarray, phi: np.ndarray) -> float:
        return float(stats.beta.pdf(np.clip(to_unit(x[None])[0], 0.02, 0.98), 2 * phi, 2 - 2 * phi).prod())

    def fit(x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.clip(np.average(to_unit(x), axis=0, weights=w), 0.02, 0.98)

    return density, fit


def gaussian(x: np.ndarray, phi: np.ndarray) -> float:
    return float(stats.multivariate_normal.pdf(x, phi[:2], phi[2:].reshape(2, 2)))


def gaussian_fit(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    variances, directions = np.linalg.eigh(np.cov(x.T, aweights=w, ddof=0))
    covariance = directions @ np.diag(np.clip(variances, 0.25**2, 2.0**2)) @ directions.T
    return np.concatenate((np.average(x, axis=0, weights=w), covariance.flatten()))


def exponential_fit(x: np.ndarray, w: np.ndarray) -> np.ndarray:
    return np.array([np.average(x[:, 0], weights=w)])


def in_disk(x: np.ndarray) -> np.ndarray:
    angle = np.arctan2(x[:, 1], x[:, 0]) / (2 * np.pi) % 1.0
    return np.stack((np.square(x).sum(1) / 25.0, angle), 1)


REFERENCE_AND_ORACLE: dict[str, tuple[TaskDistribution, Density, Fit]] = {
    "beta": (UniformBox([0.0, 0.0], [7.0, 1.0]), *unit_beta(lambda x: x / np.array([7.0, 1.0]))),
    "log-beta": (LogUniformBox([0.5] * 3, [2.0] * 3), *unit_beta(lambda x: (np.log2(x) + 1.0) / 2.0)),
    "exponential": (Exponential(0.1), lambda x, phi: stats.expon.pdf(x[0], scale=phi[0]), exponential_fit),
    "disk": (Disk(5.0), *unit_beta(in_disk)),
    "gaussian": (Gaussian([0.0, 0.0], [[1.0, 0.0], [0.0, 1.0]]), gaussian, gaussian_fit),
}
MODES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "weighted round": ({}, {"ref_mode": "train"}),
    "reference draws": ({"reference_mode": "reference_draws"}, {"ref_mode": "train_ref"}),
    "threshold": ({"threshold": -3.0}, {"ref_mode": "train", "ref_thresh": -3.0}),
    "no reference": ({"reference_mode": "none"}, {"ref_mode": "none"}),
    "clipped weights": ({"weight_clip": 2.0}, {"ref_mode": "train", "w_clip": 2.0}),
    "smoothed quantile": ({"threshold_smoothing": 0.6}, {"ref_mode": "train", "soft_q_update": 0.6}),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("family", REFERENCE_AND_ORACLE)
def test_every_family_in_every_mode_moves_as_in_the_package(family: str, mode: str) -> None:
    reference, density, fit = REFERENCE_AND_ORACLE[family]
    ours, theirs = MODES[mode]
    sampler = CEMTaskSampler(**PUBLISHED, **ours)
    names = tuple(f"x{i}" for i in range(reference.task_dim))
    sampler.bind(replace(HalfCheetahVel.meta_spec, task_names=names), reference, seed=1, rank=0)
    oracle = FamilyOracle(
        density,
        fit,
        phi0=sampler.parameters.double().numpy(),
        batch_size=128,
        n_orig_per_batch=25,
        ref_alpha=0.05,
        min_batch_update=0.2,
        soft_update=0.5,
        **theirs,
    )
    random = np.random.default_rng(0)
    for _ in range(4):
        sampled, flags = sample_round(sampler)
        weights = sampler.state_dict()["draws"]["weight"]
        oracle.ref_indices = set(flags.nonzero()[:, 0].tolist())
        oracle.draws.extend(sampled.tasks.double().numpy())
        assert weights.numpy() == pytest.approx([oracle.sample()[1] for _ in range(128)], rel=2e-3)
        scores = -5.0 * sampled.tasks[:, 0].double().numpy() + random.normal(size=128)
        sampler.update(sampled, torch.from_numpy(scores))
        for score in scores:
            oracle.update(score)
        assert sampler.last_round is not None
        assert sampler.last_round.selected.tolist() == oracle.selected_samples[-1].tolist()
        assert sampler.last_round.internal_quantile == pytest.approx(oracle.internal_quantile[-1])
        assert sampler.last_round.reference_quantile == pytest.approx(oracle.ref_quantile[-1], rel=1e-3, abs=1e-3)
        assert sampler.parameters.numpy() == pytest.approx(oracle.sample_dist[-1], rel=2e-3, abs=2e-4)


def test_validation_scores_set_the_threshold_once_there_are_any() -> None:
    sampler = make_sampler(reference_mode="validation", alpha=0.3, **SMALL)
    for validated in (None, torch.linspace(-9.0, 11.0, 50)):
        if validated is not None:
            sampler.take_validation(validated)
        sampler.update(sampler.sample(20), torch.randn(20, generator=torch.Generator().manual_seed(0)))
        assert sampler.last_round is not None
        level = (0.3 * 51 - 1) / 49
        expected = -np.inf if validated is None else np.quantile(validated.double().numpy(), level)
        assert sampler.last_round.reference_quantile == pytest.approx(expected)


def test_a_fixed_set_of_tasks_is_drawn_once_and_the_hard_ones_become_more_probable() -> None:
    sampler = CEMTaskSampler(CategoricalFamily(), round_size=60)
    sampler.bind(HalfCheetahVel.meta_spec, UniformBox([0.0], [TOP_SPEED]), seed=2, rank=0)
    fixed = sampler.initial(10)
    assert not sampler.samples_new_tasks
    for _ in range(6):
        drawn = sampler.sample(60)
        assert torch.equal(drawn.tasks, fixed.tasks[drawn.ids])
        sampler.update(drawn, -drawn.tasks[:, 0])
    hardest = int(fixed.tasks[:, 0].argmax())
    assert float(sampler.parameters[hardest]) > 0.3
    assert float(sampler.parameters.min()) >= 0.01


def test_a_resumed_sampler_of_a_fixed_set_goes_on_with_the_same_tasks() -> None:
    samplers = []
    for seed in (2, 9):
        sampler = CEMTaskSampler(CategoricalFamily(), round_size=10)
        sampler.bind(HalfCheetahVel.meta_spec, UniformBox([0.0], [TOP_SPEED]), seed=seed, rank=0)
        sampler.initial(5)
        samplers.append(sampler)
    first, resumed = samplers
    drawn = first.sample(12)
    first.update(drawn, -drawn.tasks[:, 0])
    resumed.load_state_dict(first.state_dict())
    assert torch.equal(first.sample(30).tasks, resumed.sample(30).tasks)


@pytest.mark.parametrize("mode", ["round", "reference_draws", "validation"])
def test_a_sampler_resumed_between_draws_and_scores_goes_on_as_if_it_had_not_stopped(mode: Any) -> None:
    first, resumed = (
        make_sampler(seed=seed, reference_mode=mode, threshold_smoothing=0.5, alpha=0.3, **SMALL) for seed in (2, 9)
    )
    first.take_validation(torch.linspace(-9.0, 1.0, 30))
    drawn = first.sample(47)  # two rounds of 20, and some
    scored, waiting = drawn[torch.arange(33)], drawn[torch.arange(33, 47)]
    first.update(scored, -scored.tasks[:, 0])
    resumed.load_state_dict(first.state_dict())
    for sampler in (first, resumed):
        sampler.update(waiting, -waiting.tasks[:, 0])
        sampled = sampler.sample(40)
        sampler.update(sampled, -sampled.tasks[:, 0])
    assert first.rounds == 4
    assert resumed.table() == first.table()


def test_the_table_has_a_row_a_round_with_the_distribution_and_what_it_was_based_on() -> None:
    sampler = make_sampler(**SMALL)
    for _ in range(3):
        sampled = sampler.sample(20)
        sampler.update(sampled, -sampled.tasks[:, 0])
    table = sampler.table()
    assert [row["round"] for row in table] == [1, 2, 3]
    assert table[-1]["mean_velocity"] == pytest.approx(TOP_SPEED * float(sampler.parameters))
    assert {"quantile_0.05_velocity", "selected_share", "effective_sample_size", "collapsed"} <= set(table[0])
    resumed = make_sampler(seed=8, **SMALL)
    resumed.load_state_dict(sampler.state_dict())
    assert resumed.table() == table


def test_the_effective_sample_size_is_that_of_the_selected_weights_and_a_collapse_is_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sampler = make_sampler(least_effective_draws=100.0, **SMALL)
    for _ in range(2):
        sampled = sampler.sample(20)
        weights = sampler.state_dict()["draws"]["weight"].double()
        sampler.update(sampled, -sampled.tasks[:, 0])
        assert sampler.last_round is not None
        chosen = weights[sampler.last_round.selected]
        expected = float(chosen.sum() ** 2 / chosen.square().sum())
        assert sampler.metrics()["cem/effective_sample_size"] == pytest.approx(expected, rel=1e-5)
        assert sampler.metrics()["cem/collapsed"] == 1.0
    assert len([record for record in caplog.records if "collapsed" in record.message]) == 1


def test_a_family_that_misses_tasks_of_the_environment_is_refused() -> None:
    class Narrow(BetaFamily):
        def log_prob(self, parameters: Tensor, tasks: Tensor) -> Tensor:
            return torch.where(tasks[:, 0] < 6.0, super().log_prob(parameters, tasks), -torch.inf)

    with pytest.raises(ConfigurationError, match=r"family = 'Narrow' .* gives no density to \[6\."):
        CEMTaskSampler(Narrow()).bind(HalfCheetahVel.meta_spec, UniformBox([0.0], [TOP_SPEED]), 1, 0)


def test_a_family_that_leaves_the_tasks_of_the_environment_is_named() -> None:
    class Wide(BetaFamily):
        def log_prob(self, parameters: Tensor, tasks: Tensor) -> Tensor:
            inside = super().log_prob(parameters, tasks.clamp(max=TOP_SPEED))
            return torch.where(tasks[:, 0] <= TOP_SPEED, inside, -torch.inf) if parameters[0] == 0.5 else inside

        def sample(self, parameters: Tensor, n: int, generator: torch.Generator) -> Tensor:
            return super().sample(parameters, n, generator) + (0.0 if parameters[0] == 0.5 else 10.0)

    sampler = CEMTaskSampler(Wide(), weight_clip=5.0)
    sampler.bind(HalfCheetahVel.meta_spec, UniformBox([0.0], [TOP_SPEED]), 1, 0)
    sampler.parameters = torch.tensor([0.7])
    with pytest.raises(
        ContractError, match="Wide.sample gives the task .* no density under the reference distribution"
    ):
        sampler.sample(20)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"round_size": 4, "reference_share": 0.2, "selection_share": 1.0}, "round_size"),
        ({"reference_share": 0.0, "reference_mode": "reference_draws"}, "round_size"),
        ({"weight_clip": 0.5}, "weight_clip"),
        ({"threshold_smoothing": 1.0}, "threshold_smoothing"),
    ],
)
def test_an_impossible_setting_is_refused_by_name(settings: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigurationError, match=f"CEMTaskSampler: {key} = "):
        CEMTaskSampler(**settings)


@pytest.mark.parametrize("levels", [1, 2, 5])
def test_ties_at_the_threshold_are_filled_up_to_as_many_draws_as_in_the_package(levels: int) -> None:
    """Scores of few distinct values. The weights of the first round are 1, so the quantiles are exact."""
    settings = {**PUBLISHED, "round_size": 40, "selection_share": 0.33}
    for seed in range(5):
        sampler, oracle = make_sampler(seed, **settings), make_oracle(settings)
        sampled, flags = sample_round(sampler)
        oracle.ref_indices = set(flags.nonzero()[:, 0].tolist())
        oracle.draws.extend((sampled.tasks[:, 0].double() / TOP_SPEED).tolist())
        scores = np.random.default_rng(seed).integers(levels, size=40).astype(np.float64)
        for score in scores:
            oracle.sample()
            oracle.update(score)
        sampler.update(sampled, torch.from_numpy(scores))
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
        fitted = np.clip(sampled.tasks[:, 0].double().numpy()[selected].mean() / TOP_SPEED, 0.02, 0.98)
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
        sampled = sampler.sample(128)
        sampler.update(sampled, sampled.tasks[:, 0])
        means.append(float(sampler.parameters))
    assert means == sorted(means, reverse=True)
    assert means[-1] < 0.1
    assert float((sampler.sample(128).tasks < 0.05 * TOP_SPEED).float().mean()) > 0.5


def test_with_nearly_exact_weights_the_mean_settles_at_that_of_the_reference_distributions_tail() -> None:
    """Where the score is the task, the tail of the uniform distribution is [0, α], and its mean α/2."""
    sampler = make_sampler(margin=1e-3, alpha=0.2, round_size=512)
    means = []
    for _ in range(20):
        sampled = sampler.sample(512)
        sampler.update(sampled, sampled.tasks[:, 0])
        means.append(float(sampler.parameters))
    assert np.mean(means[10:]) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_the_reference_quantile_is_that_of_the_reference_distribution_wherever_phi_is(alpha: float) -> None:
    sampler = make_sampler(margin=1e-3, alpha=alpha, round_size=4096)
    sampler.load_state_dict({**sampler.state_dict(), "parameters": torch.tensor([0.25])})
    sampled = sampler.sample(4096)
    sampler.update(sampled, sampled.tasks[:, 0])
    assert sampler.last_round is not None
    assert sampler.last_round.reference_quantile / TOP_SPEED == pytest.approx(alpha, abs=0.15 * alpha)


def test_coordinates_move_independently() -> None:
    sampler = CEMTaskSampler(BetaFamily(), alpha=0.1, round_size=256, selection_share=0.1)
    sampler.bind(PointRobot.meta_spec, PointRobot.task_distribution, 0, 0)
    for _ in range(12):
        sampled = sampler.sample(256)
        sampler.update(sampled, -sampled.tasks[:, 1])
    assert float(sampler.parameters[1]) > 0.85
    assert float(sampler.parameters[0]) == pytest.approx(0.5, abs=0.15)


# Reference draws


def test_every_round_holds_exactly_its_share_of_reference_draws_at_random_positions() -> None:
    sampler = make_sampler(**SMALL)
    rounds = []
    for _ in range(200):
        sampled, flags = sample_round(sampler)
        assert int(flags.sum()) == 6
        rounds.append(flags)
        sampler.update(sampled, sampled.tasks[:, 0])
    positions = torch.stack(rounds).sum(0)
    assert stats.chisquare(positions.numpy()).pvalue > 1e-3


def test_reference_draws_stay_uniform_with_weight_one_after_phi_has_moved() -> None:
    sampler = make_sampler(**SMALL)
    units, weights, others = [], [], []
    for _ in range(80):
        sampled, flags = sample_round(sampler)
        units.append(sampled.tasks[flags, 0] / TOP_SPEED)
        others.append(sampled.tasks[~flags, 0] / TOP_SPEED)
        weights.append(sampler.state_dict()["draws"]["weight"][flags])
        sampler.update(sampled, sampled.tasks[:, 0])
    assert bool((torch.cat(weights) == 1).all())
    assert stats.kstest(torch.cat(units).numpy(), "uniform").pvalue > 1e-3
    assert stats.kstest(torch.cat(others).numpy(), "uniform").pvalue < 1e-6


# Rounds, state, logging


def test_rounds_and_batches_of_trials_need_not_line_up() -> None:
    """Scores in groups of 7, rounds of 20: the same result as giving each round at once."""
    pieces, whole = make_sampler(**SMALL), make_sampler(**SMALL)
    groups = [pieces.sample(7) for _ in range(6)]
    drawn = together(*groups)
    whole.load_state_dict(pieces.state_dict())
    for group in groups[:2]:
        pieces.update(group, group.tasks[:, 0])
    assert pieces.rounds == 0
    assert torch.equal(pieces.parameters, whole.parameters)
    for group in groups[2:]:
        pieces.update(group, group.tasks[:, 0])
    assert pieces.rounds == 2
    assert len(pieces.state_dict()["draws"]["score"]) == 2

    for rows in torch.arange(40).split(20):
        whole.update(drawn[rows], drawn.tasks[rows, 0])
    torch.testing.assert_close(pieces.parameters, whole.parameters)


def continue_training(sampler: CEMTaskSampler, awaiting: SampledTasks, rounds: int) -> list[Any]:
    """Score the draws that still await it, then go on; everything that was drawn and fitted."""
    history = []
    for _ in range(rounds):
        sampler.update(awaiting, ((awaiting.tasks[:, 0] - 2.0).abs() * 2).round())  # many ties
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
    pending = together(last, awaiting)
    for expected, actual in zip(continue_training(sampler, pending, 20), continue_training(resumed, pending, 20)):
        if isinstance(expected, SampledTasks):
            assert torch.equal(expected.ids, actual.ids)
            expected, actual = expected.tasks, actual.tasks
        assert torch.equal(expected, actual)


def test_a_saved_state_is_not_changed_by_further_training() -> None:
    sampler = make_sampler(**SMALL)
    continue_training(sampler, sampler.sample(7), 2)
    state, resumed = sampler.state_dict(), make_sampler(seed=99, **SMALL)
    copied = copy.deepcopy(state)
    continue_training(sampler, sampler.sample(7), 10)
    for key, value in {**copied, **copied["draws"]}.items():
        if isinstance(value, Tensor):
            torch.testing.assert_close({**state, **state["draws"]}[key], value, rtol=0, atol=0, equal_nan=True)
    resumed.load_state_dict(state)
    assert resumed.table() == copied["history"]


def test_a_resumed_sampler_logs_what_the_saved_one_would_have() -> None:
    sampler = make_sampler(**SMALL)
    sampled = sampler.sample(20)
    sampler.update(sampled, sampled.tasks[:, 0])
    resumed = make_sampler(**SMALL)
    resumed.load_state_dict(sampler.state_dict())
    assert resumed.metrics() == sampler.metrics()


def test_the_log_shows_the_distribution_and_the_last_round_in_the_environments_units() -> None:
    sampler = make_sampler(**SMALL)
    assert sampler.metrics()["cem/mean_velocity"] == pytest.approx(0.5 * TOP_SPEED)
    sampled = sampler.sample(20)
    sampler.update(sampled, sampled.tasks[:, 0])
    phi, logged = float(sampler.parameters), sampler.metrics()
    assert logged["cem/mean_velocity"] == pytest.approx(phi * TOP_SPEED)
    for level in (0.05, 0.5, 0.95):
        exact = TOP_SPEED * stats.beta.ppf(level, 2 * phi, 2 - 2 * phi)
        assert logged[f"cem/quantile_{level:.2f}_velocity"] == pytest.approx(exact, abs=0.3)
    assert sampler.table()[0]["selected_share"] == pytest.approx(0.25)
    assert not {"cem/selected_share", "cem/collapsed"} & set(logged), "as configured, so a chart would be a flat line"
    assert logged["cem/internal_quantile_of_score"] == pytest.approx(np.percentile(sampled.tasks.double().numpy(), 25))


def test_ranks_and_seeds_have_their_own_streams_and_the_global_one_is_left_alone() -> None:
    before = torch.get_rng_state()
    draws = [make_sampler(seed, rank, **SMALL).sample(5).tasks for seed, rank in ((0, 0), (0, 1), (1, 0), (0, 0))]
    assert torch.equal(draws[0], draws[3])
    assert not torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_tasks_that_slots_start_with_are_never_scored() -> None:
    sampler = make_sampler(**SMALL)
    initial = sampler.initial(50)
    assert initial.tasks.shape == (50, 1)
    assert sampler.state_dict()["draws"] == {}


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
        ("threshold", float("nan")),
        ("threshold", -float("inf")),
        ("least_effective_draws", float("inf")),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(key: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=rf"CEMTaskSampler: {key} = {re.escape(repr(value))}"):
        CEMTaskSampler(BetaFamily(), **{key: value})


def test_the_whole_distribution_is_an_acceptable_tail() -> None:
    make_sampler(alpha=1.0)


def test_a_finite_set_that_is_not_evenly_sampled_is_refused() -> None:
    class Skewed(FiniteTasks):
        def sample_indices(self, n: int, generator: torch.Generator) -> torch.Tensor:
            return (torch.rand(n, generator=generator) < 0.1).long()

    with pytest.raises(ConfigurationError, match="CategoricalFamily.*Skewed chooses its tasks in a way of its own"):
        CEMTaskSampler(CategoricalFamily()).bind(FourCorners.meta_spec, Skewed([[0.0, 1.0], [1.0, 0.0]]), 0, 0)


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="reference_mode = 'rounds' .* round or"):
        CEMTaskSampler(reference_mode="rounds")  # type: ignore[arg-type]


def test_an_environment_whose_tasks_are_not_uniform_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="FiniteTasks"):
        CEMTaskSampler(BetaFamily()).bind(FourCorners.meta_spec, FourCorners.task_distribution, 0, 0)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_a_score_that_is_not_finite_is_refused_naming_trial_and_task(broken: float) -> None:
    sampler = make_sampler(**SMALL)
    sampled = sampler.sample(4)
    scores = torch.tensor([1.0, 2.0, broken, 3.0])
    with pytest.raises(NonFiniteError, match=rf"trial 2 on task \[{re.escape(repr(float(sampled.tasks[2, 0])))}\]"):
        sampler.update(sampled, scores)
    sampler.update(sampled, torch.zeros(4))  # nothing of the refused call was kept
    assert sampler.state_dict()["draws"]["score"].tolist() == [0.0] * 4


def test_more_scores_than_draws_are_refused() -> None:
    sampler = make_sampler(**SMALL)
    sampled = sampler.sample(3)
    with pytest.raises(ValueError, match="the task with id 0, which awaits none"):
        sampler.update(together(sampled, sampled[torch.tensor([0])]), torch.zeros(4))
    assert bool(sampler.state_dict()["draws"]["score"].isnan().all())


def test_scores_go_to_the_draws_of_their_ids_in_any_order() -> None:
    straight, shuffled = make_sampler(**SMALL), make_sampler(**SMALL)
    sampled, order = straight.sample(20), torch.randperm(20, generator=torch.Generator().manual_seed(1))
    assert torch.equal(shuffled.sample(20).ids, sampled.ids)
    straight.update(sampled, -sampled.tasks[:, 0])
    for part in order.split(7):
        assert shuffled.rounds == 0
        shuffled.update(sampled[part], -sampled.tasks[part, 0])
    assert torch.equal(straight.parameters, shuffled.parameters)
    assert straight.table() == shuffled.table()


def test_a_task_that_is_sampled_twice_has_a_score_for_each_draw() -> None:
    sampler = CEMTaskSampler(**SMALL)
    sampler.bind(FourCorners.meta_spec, FourCorners.task_distribution, 0, 0)
    sampled = sampler.sample(12)
    sampler.update(sampled, torch.arange(12.0))
    assert sampler.state_dict()["draws"]["score"].tolist() == list(range(12))


def test_an_environment_of_another_name_logs_its_own_coordinates() -> None:
    sampler = CEMTaskSampler(BetaFamily(), **SMALL)
    sampler.bind(replace(PointRobot.meta_spec, task_names=("mass", "damping")), PointRobot.task_distribution, 0, 0)
    assert {"cem/mean_mass", "cem/mean_damping", "cem/quantile_0.50_damping"} <= set(sampler.metrics())
