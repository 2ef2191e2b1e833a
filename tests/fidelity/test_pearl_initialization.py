"""D11: PEARL's networks start as those of the published code of HFR (michaelwan11/hfr, `rlkit/torch`).

Recorded there (torch 2, seeds 0 to 19, `TanhGaussianPolicy`, `FlattenMlp` and `MlpEncoder` with the half-cheetah's
sizes, 1000 standard normal inputs each): mean and standard deviation over the seeds of the mean absolute output.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from envs import HalfCheetahVel
from lit_metarl.algorithms import PEARL

SEEDS = 20
PUBLISHED = {
    "policy mean": (0.001064, 0.000345),
    "policy log std": (0.001245, 0.000316),
    "critic": (0.003887, 0.001912),
    "encoder": (0.002806, 0.000639),
}


def pearl(seed: int, **settings: object) -> PEARL:
    torch.manual_seed(seed)
    return PEARL(HalfCheetahVel.meta_spec, **settings)  # type: ignore[arg-type]


def linear_layers(network: nn.Module) -> list[nn.Linear]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Linear)]


def test_first_outputs_are_as_small_as_the_published_ones() -> None:
    sums = dict.fromkeys(PUBLISHED, 0.0)
    for seed in range(SEEDS):
        model = pearl(seed)

        def inputs(network: nn.Module) -> Tensor:
            return torch.randn(1000, linear_layers(network)[0].in_features)

        with torch.no_grad():
            mean, log_std = model.policy(inputs(model.policy))
            outputs = {
                "policy mean": mean,
                "policy log std": log_std,
                "critic": model.critics[0](inputs(model.critics[0])),
                "encoder": model.encoder(inputs(model.encoder)),
            }
        for name, values in outputs.items():
            sums[name] += float(values.abs().mean()) / SEEDS
    for name, (published, spread) in PUBLISHED.items():
        assert sums[name] == pytest.approx(published, abs=4 * math.sqrt(2 / SEEDS) * spread), name


def test_every_layer_has_the_published_bounds_and_biases() -> None:
    model = pearl(0)
    last_bounds = {"encoder": 3e-3, "policy": 1e-3, "critics.0": 3e-3, "critics.1": 3e-3, "value": 3e-3}
    for name, last_bound in last_bounds.items():
        *hidden, last = linear_layers(model.get_submodule(name))
        assert len(hidden) == 3
        for layer in hidden:
            bound = 1 / math.sqrt(layer.out_features)  # 0.0577 for 300, 0.0707 for 200, whatever the input's size
            assert 0.99 * bound < float(layer.weight.detach().abs().max()) <= bound
            assert layer.bias.detach().tolist() == pytest.approx([0.1] * layer.out_features)
        assert 0.9 * last_bound < float(last.weight.detach().abs().max()) <= last_bound
        assert 0.0 < float(last.bias.detach().abs().max()) <= last_bound


def test_the_target_value_network_starts_as_the_value_network() -> None:
    model = pearl(0)
    for target, value in zip(model.target_value.parameters(), model.value.parameters(), strict=True):
        assert torch.equal(target, value)


def test_with_torchs_initialization_every_layer_is_torchs_own() -> None:
    model = pearl(3, initialization="torch")
    torch.manual_seed(3)
    for network in (model.encoder, model.policy, *model.critics, model.value):
        for layer in linear_layers(network):
            plain = nn.Linear(layer.in_features, layer.out_features)
            assert torch.equal(layer.weight, plain.weight)
            assert torch.equal(layer.bias, plain.bias)
