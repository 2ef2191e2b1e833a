"""The neural process of MPTS and PDTS against a plain implementation, and what it learns."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from datamodules.tasks import RiskPredictorPlan
from datamodules.tasks.risk_predictor import RiskPredictor
from envs import ConfigurationError
from envs.errors import NonFiniteError

Arrays = dict[str, np.ndarray]


def make_predictor(seed: int = 0, **settings: Any) -> RiskPredictor:
    return RiskPredictor(2, RiskPredictorPlan(**settings), torch.Generator().manual_seed(seed))


def history(seed: int, batch: int = 20) -> tuple[Tensor, Tensor]:
    """Tasks, and risks that rise with the first coordinate."""
    tasks = torch.rand(batch, 2, generator=torch.Generator().manual_seed(seed))
    return tasks, 3 * (tasks[:, 0] - 0.5)


def weights_of(predictor: RiskPredictor) -> Arrays:
    return {name: value.detach().double().numpy() for name, value in predictor.named_parameters()}


def layered(weights: Arrays, name: str, x: np.ndarray) -> np.ndarray:
    """A feed-forward network with ReLU between its layers."""
    layers = sorted({int(key.split(".")[1]) for key in weights if key.startswith(f"{name}.")})
    for layer in layers:
        x = x @ weights[f"{name}.{layer}.weight"].T + weights[f"{name}.{layer}.bias"]
        x = np.maximum(x, 0.0) if layer != layers[-1] else x
    return x


def posterior_of(weights: Arrays, tasks: np.ndarray, risks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    code = np.mean([layered(weights, "_encoder", np.append(task, risk)) for task, risk in zip(tasks, risks)], 0)
    hidden = np.maximum(weights["_aggregated.weight"] @ code + weights["_aggregated.bias"], 0.0)
    mean, std = (weights[f"{name}.weight"] @ hidden + weights[f"{name}.bias"] for name in ("_mean", "_std"))
    return mean, 0.1 + 0.9 / (1.0 + np.exp(-std))


def divergence(p: tuple[np.ndarray, np.ndarray], q: tuple[np.ndarray, np.ndarray]) -> float:
    """KL(p ‖ q) of two diagonal normal distributions, in closed form."""
    (m, s), (n, t) = p, q
    return float(np.sum(np.log(t / s) + (s**2 + (m - n) ** 2) / (2 * t**2) - 0.5))


def noise_of(generator: torch.Generator, samples: int) -> np.ndarray:
    """The next numbers of the generator, which stays where it is."""
    again = torch.Generator()
    again.set_state(generator.get_state())
    return torch.randn(samples, 10, generator=again).double().numpy()


def test_error_divergence_and_sampled_risks_are_those_of_a_plain_implementation() -> None:
    predictor, generator = make_predictor(gradient_steps=1), torch.Generator().manual_seed(5)
    standard_normal = np.zeros(10), np.ones(10)
    old: tuple[np.ndarray, np.ndarray] | None = None
    for seed in range(3):
        tasks, risks = history(seed)
        x, y = tasks.double().numpy(), risks.double().numpy()
        weights, noise = weights_of(predictor), noise_of(generator, 1)
        posterior = posterior_of(weights, x, y)
        prior = standard_normal if old is None else posterior_of(weights, *old)
        latent = posterior[0] + posterior[1] * noise[0]
        predicted = [layered(weights, "_decoder", np.append(task, latent))[0] for task in x]
        error, kl = predictor.update(tasks, risks, generator)
        assert error == pytest.approx(np.mean((np.array(predicted) - y) ** 2), rel=1e-4)
        assert kl == pytest.approx(divergence(posterior, prior), rel=1e-3, abs=1e-6)
        old = x, y

        weights, noise = weights_of(predictor), noise_of(generator, 3)
        mean, std = posterior_of(weights, x, y)
        expected = [[layered(weights, "_decoder", np.append(task, mean + std * e))[0] for task in x] for e in noise]
        assert predictor.sample_risks(tasks, 3, generator).numpy() == pytest.approx(np.array(expected), abs=1e-5)
        expected = [layered(weights, "_decoder", np.append(task, mean))[0] for task in x]
        assert predictor.expected_risks(tasks).numpy() == pytest.approx(np.array(expected), abs=1e-5)


def test_a_gradient_step_is_adams_on_the_error_plus_the_weighted_divergence_from_the_last_updates_posterior() -> None:
    """The gradient by central differences; the first step of Adam is its sign times the learning rate."""
    predictor, generator = make_predictor(gradient_steps=1, kl_weight=0.5), torch.Generator().manual_seed(5)
    tasks, risks = history(0)
    x, y = tasks.double().numpy(), risks.double().numpy()
    before, noise = weights_of(predictor), noise_of(generator, 1)[0]
    before = {name: value.copy() for name, value in before.items()}

    def loss(weights: Arrays) -> float:
        mean, std = posterior_of(weights, x, y)
        predicted = np.array([layered(weights, "_decoder", np.append(task, mean + std * noise))[0] for task in x])
        return float(np.mean((predicted - y) ** 2)) + 0.5 * divergence((mean, std), (np.zeros(10), np.ones(10)))

    predictor.update(tasks, risks, generator)
    after, checked = weights_of(predictor), 0
    for name in ("_encoder.0.weight", "_aggregated.weight", "_mean.bias", "_std.weight", "_decoder.0.weight"):
        for row in range(0, before[name].size, 7):
            moved = {sign: {k: v.copy() for k, v in before.items()} for sign in (-1, 1)}
            for sign, weights in moved.items():
                weights[name].flat[row] += sign * 1e-5
            gradient = (loss(moved[1]) - loss(moved[-1])) / 2e-5
            if abs(gradient) > 1e-4:
                step = after[name].flat[row] - before[name].flat[row]
                assert step == pytest.approx(-0.005 * np.sign(gradient), rel=1e-2)
                checked += 1
    assert checked > 20


def test_the_prior_of_an_update_is_fixed_during_its_gradient_steps() -> None:
    """With an overwhelming weight of the divergence, many steps stay near the posterior that the update began with."""
    predictor, generator = make_predictor(kl_weight=1e4, gradient_steps=200), torch.Generator().manual_seed(5)
    predictor.update(*history(0), generator)
    assert predictor.posterior().mean.abs().max() < 0.05
    assert (predictor.posterior().stddev - 1).abs().max() < 0.05


def test_it_learns_which_tasks_are_risky() -> None:
    predictor, generator = make_predictor(), torch.Generator().manual_seed(5)
    for seed in range(40):
        predictor.update(*history(seed), generator)
    tasks, risks = history(1000, 200)
    assert np.corrcoef(predictor.expected_risks(tasks).numpy(), risks.numpy())[0, 1] > 0.95


def test_a_saved_predictor_continues_exactly() -> None:
    first, resumed, generator = make_predictor(), make_predictor(seed=9), torch.Generator().manual_seed(5)
    for seed in range(3):
        first.update(*history(seed), generator)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    for predictor in (first, resumed):
        for seed in range(3, 6):
            predictor.update(*history(seed), torch.Generator().manual_seed(seed))
    for name, value in first.state_dict().items():
        if isinstance(value, Tensor):
            assert torch.equal(value, resumed.state_dict()[name]), name


def test_initial_weights_come_from_the_generator_alone() -> None:
    before = torch.get_rng_state()
    weights = [torch.cat([p.flatten() for p in make_predictor(seed).parameters()]) for seed in (0, 0, 1)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert torch.equal(torch.get_rng_state(), before)


def test_a_predictor_that_diverges_is_reported() -> None:
    predictor = make_predictor(learning_rate=1e30)
    with pytest.raises(NonFiniteError, match="lower its learning_rate"):
        predictor.update(*history(0), torch.Generator())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("batch", 1),
        ("gradient_steps", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("kl_weight", -1.0),
        ("kl_weight", float("nan")),
        ("width", 0),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(key: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f"RiskPredictorPlan: {key} = {value}"):
        RiskPredictorPlan(**{key: value})  # type: ignore[arg-type]
