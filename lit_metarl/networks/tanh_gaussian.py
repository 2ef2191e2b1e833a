"""A tanh-squashed Gaussian policy whose noise comes from the caller.

torchrl's `TanhNormal` samples from the global generator, but every component here owns its generator; the tests
compare the two.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from lit_metarl.networks.mlp import MLPInitialization, build_mlp
from lit_metarl.networks.network_plan import NetworkPlan

MIN_LOG_STD, MAX_LOG_STD = -20.0, 2.0


class PolicySample(NamedTuple):
    """A sampled action, its log-density and the distribution before squashing.

    Attributes:
        action: in (-1, 1), `[..., action_dim]`.
        log_prob: log-density of the action, `[...]`.
        mean: mean before squashing, `[..., action_dim]`.
        log_std: logarithm of the standard deviation before squashing, `[..., action_dim]`.
    """

    action: Tensor
    log_prob: Tensor
    mean: Tensor
    log_std: Tensor


def squash(mean: Tensor, log_std: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """tanh(mean + std · noise) and its log-density; shapes `[..., action_dim]` and `[...]`.

    The density's factor 1 − tanh² is computed in a form that is exact for every pre-squash value. The published code
    of PEARL computes log(1 − a² + 1e-6) from the squashed action a instead, which differs where actions saturate: by
    1e-6 / (1 − a²) at first, and without bound from |pre-squash value| ≈ 8 on, where it stays at log(1e-6) = −13.8.
    """
    raw = mean + log_std.exp() * noise
    log_normal = -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi)
    log_slope = 2.0 * (math.log(2.0) - raw - functional.softplus(-2.0 * raw))  # log(1 − tanh²)
    return raw.tanh(), (log_normal - log_slope).sum(-1)


def bounded(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log-std `[..., action_dim]` from a policy network's `outputs` `[..., 2 * action_dim]`."""
    mean, log_std = outputs.chunk(2, -1)
    return mean, log_std.clamp(MIN_LOG_STD, MAX_LOG_STD)


class TanhGaussianPolicy(nn.Module):
    """π(a | input) as a tanh-squashed diagonal Gaussian.

    Args:
        input_dim: size of the input.
        action_dim: size of an action.
        layers: widths of the hidden layers.
        network: what lies between the layers.
        initialization: see `build_mlp`; the published one samples the last layer from ±1e-3, so that means start near 0
            and standard deviations near 1.
    """

    def __init__(
        self,
        input_dim: int,
        action_dim: int,
        layers: list[int],
        network: NetworkPlan = NetworkPlan(),
        initialization: MLPInitialization = "torch",
    ) -> None:
        super().__init__()
        self.network = build_mlp(
            input_dim, 2 * action_dim, layers, network, initialization=initialization, last_layer_bound=1e-3
        )

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-std before squashing, `[..., action_dim]` each."""
        return bounded(self.network(inputs))

    def sample(self, inputs: Tensor, noise: Tensor) -> PolicySample:
        """A reparameterized action from standard normal `noise` `[..., action_dim]`."""
        mean, log_std = self(inputs)
        action, log_prob = squash(mean, log_std, noise)
        return PolicySample(action, log_prob, mean, log_std)
