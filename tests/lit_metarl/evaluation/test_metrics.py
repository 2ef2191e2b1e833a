"""Metrics of an evaluation against numpy."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from tensordict import TensorDict

from datamodules.collection import Trials
from lit_metarl.evaluation import TrialMetrics, cvar


def make_trials(tasks: int, episodes: int, seed: int, *, exploration: int = 2, with_success: bool = True) -> Trials:
    """Random trials of up to 6 steps; steps after an episode's end hold garbage."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 7, (tasks, episodes, 1), generator=generator)
    valid = torch.arange(6) < lengths
    reward = torch.randn(tasks, episodes, 6, generator=generator)
    steps = TensorDict(
        {
            "sparse_reward": torch.where(valid, reward, torch.nan),
            "reward": torch.full_like(reward, 1e6),  # the shaped reward does not count
            "valid": valid,
        },
        [tasks, episodes, 6],
    )
    success = torch.rand(tasks, episodes, generator=generator) < 0.4 if with_success else None
    return Trials(torch.zeros(tasks, 1), steps, success, exploration)


def returns_of(trials: Trials) -> np.ndarray:
    """Episode returns by a loop, `[tasks, episodes]`."""
    rewards, valid = trials.steps["sparse_reward"].double().numpy(), trials.steps["valid"].numpy()
    tasks, episodes, _ = valid.shape
    return np.array([[rewards[i, k][valid[i, k]].sum() for k in range(episodes)] for i in range(tasks)])


def test_metrics_over_several_batches_are_those_of_all_trials_together() -> None:
    metric = TrialMetrics(alpha=0.1)
    batches = [make_trials(8, 4, 0), make_trials(8, 4, 1), make_trials(5, 4, 2)]
    for trials in batches:
        metric.update(trials)
    figures = {name: float(value) for name, value in metric.compute().items()}
    returns = np.concatenate([returns_of(trials) for trials in batches])
    adapted = returns[:, -1]
    expected = {
        "return": adapted.mean(),
        "cvar": np.sort(adapted)[:3].mean(),  # ⌈0.1 · 21⌉ = 3
        "return_trial": returns.mean(),
        "cvar_trial": np.sort(returns.mean(1))[:3].mean(),
        **{f"return_episode_{k + 1}": returns[:, k].mean() for k in range(4)},
        "return_exploration": returns[:, :2].mean(),
        "success": np.concatenate([trials.success.numpy()[:, -1] for trials in batches]).mean(),
    }
    assert figures == pytest.approx(expected, rel=1e-5)


def test_environments_without_success_report_none() -> None:
    metric = TrialMetrics(alpha=0.5)
    metric.update(make_trials(4, 3, 0, with_success=False))
    assert "success" not in metric.compute()


def test_without_exploration_episodes_no_exploration_return_is_reported() -> None:
    metric = TrialMetrics(alpha=0.5)
    metric.update(make_trials(4, 3, 0, exploration=0))
    assert "return_exploration" not in metric.compute()


def test_a_reset_forgets_everything() -> None:
    metric, fresh = TrialMetrics(alpha=0.5), TrialMetrics(alpha=0.5)
    metric.update(make_trials(4, 3, 0, exploration=1))
    metric.reset()
    for one in (metric, fresh):
        one.update(make_trials(6, 2, 1, exploration=0))
    assert metric.compute() == fresh.compute()


@pytest.mark.parametrize(
    ("alpha", "n", "worst"), [(0.05, 100, 5), (0.05, 101, 6), (0.05, 30, 2), (0.01, 3000, 30), (0.2, 4, 1), (1.0, 7, 7)]
)
def test_cvar_is_the_mean_of_the_worst_tasks(alpha: float, n: int, worst: int) -> None:
    returns = torch.randn(n, generator=torch.Generator().manual_seed(n))
    assert float(cvar(returns, alpha)) == pytest.approx(np.sort(returns.numpy())[:worst].mean(), rel=1e-5)


@pytest.mark.parametrize("alpha", ["0.01", "0.05", "0.07", "0.1", "0.14", "0.25", "0.55"])
def test_the_number_of_worst_tasks_is_not_off_by_a_rounding_error(alpha: str) -> None:
    """Returns 0 … n−1: the mean of the worst k is (k − 1)/2. In floating point, 0.07 · 100 is above 7."""
    for n in range(1, 1001, 3):
        worst = -(-Fraction(alpha) * n // 1)
        figure = float(cvar(torch.arange(n, dtype=torch.float64), float(alpha)))
        assert figure == pytest.approx(float((worst - 1) / 2)), f"n = {n}"


def test_cvar_of_everything_is_the_mean() -> None:
    returns = torch.randn(50, generator=torch.Generator().manual_seed(0))
    assert float(cvar(returns, 1.0)) == pytest.approx(float(returns.mean()), rel=1e-5)


def test_several_trials_of_a_task_count_as_their_mean_in_whichever_order_they_come() -> None:
    first, again = make_trials(6, 2, 0), make_trials(6, 2, 1)
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    metric = TrialMetrics(alpha=0.5)
    tasks, beliefs = torch.arange(6.0)[:, None], torch.arange(12.0).view(6, 2, 1)
    shuffled = Trials(tasks[order], again.steps[order], again.success[order], 2)  # type: ignore[index]
    metric.update(replace(shuffled, task_numbers=order, beliefs=-beliefs[order]))
    metric.update(replace(first, tasks=tasks, task_numbers=torch.arange(6), beliefs=beliefs))
    assert torch.equal(metric.by_task().tasks, tasks)
    beliefs_at_the_end = metric.by_task().beliefs
    assert beliefs_at_the_end is not None
    assert torch.equal(beliefs_at_the_end, beliefs[:, -1])
    figures = metric.compute()
    means = (returns_of(first) + returns_of(again)) / 2
    assert figures["return"] == pytest.approx(means[:, -1].mean(), rel=1e-5)
    assert figures["cvar"] == pytest.approx(np.sort(means[:, -1])[:3].mean(), rel=1e-5)
