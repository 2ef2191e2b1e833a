"""Action distributions of on-policy algorithms: sampling from the caller's generator, log-probability, entropy, KL."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from envs.meta_env_spec import MetaEnvSpec
from envs.randomness import normal
from lit_metarl.networks.task_linear import TaskLinear
from lit_metarl.networks.unwrapped import Unwrapped, calls_of

LOG_TWO_PI = math.log(2 * math.pi)

ActionBounds = Literal["clip", "tanh"]
Initialize = Callable[[nn.Linear], nn.Linear]
NewLinear = Callable[[int, int], nn.Linear]
"""Makes a layer of given numbers of inputs and outputs."""
Sampler = Callable[[Tensor, bool, torch.Generator], Tensor]
"""`sampler(features, deterministic, generator)`: raw actions `[n, action_dim]` for features `[n, features]`."""


class ActionDistribution(nn.Module, ABC):
    """The last layer of a policy, and the distribution over actions that it parameterizes.

    `forward` takes features `[..., n, features]` to the parameters of as many distributions, one tensor
    `[..., n, parameters]`; the other methods are functions of these.
    """

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """The parameters of the distributions for `features`."""

    @abstractmethod
    def sample(self, distribution: Tensor, deterministic: bool, generator: torch.Generator) -> Tensor:
        """A raw action of every distribution, or the most likely one; `[..., action_dim]`."""

    @abstractmethod
    def applied(self, raw: Tensor) -> Tensor:
        """The action in [-1, 1] that a raw action maps to."""

    @abstractmethod
    def log_probability(self, distribution: Tensor, raw: Tensor) -> Tensor:
        """Log-probabilities of raw actions `[..., action_dim]`, `[...]`."""

    @abstractmethod
    def entropy(self, distribution: Tensor) -> Tensor:
        """Entropies, `[...]`."""

    @abstractmethod
    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        """KL(old ‖ new) of distributions, `[...]`."""

    @abstractmethod
    def kl_curvature(self, distribution: Tensor, change: Tensor) -> Tensor:
        """The Hessian of KL(`distribution` ‖ new) at new = `distribution`, times `change`; shaped as both."""

    @abstractmethod
    def sampler(self) -> Sampler:
        """What `forward` and `sample` compute together, in fewer operations, with the present parameters."""

    def log_prob_and_entropy(self, features: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of raw actions and the distributions' entropies, `[...]` each."""
        distribution = self(features)
        return self.log_probability(distribution, raw), self.entropy(distribution)


class CategoricalActions(ActionDistribution):
    """A choice among actions, as a one-hot vector. Its distribution's parameters are logits.

    Args:
        features: size of the input.
        choices: number of actions.
        new_linear: makes the layer.
    """

    def __init__(self, features: int, choices: int, new_linear: NewLinear = TaskLinear) -> None:
        super().__init__()
        self.logits = new_linear(features, choices)
        nn.init.orthogonal_(self.logits.weight, 0.01)  # at first, all actions are equally likely
        nn.init.zeros_(self.logits.bias)

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.logits(features)
        return logits

    def sampler(self) -> Sampler:
        logits = Unwrapped(*calls_of(self.logits))
        return lambda features, *how: self.sample(logits(features), *how)

    def sample(self, distribution: Tensor, deterministic: bool, generator: torch.Generator) -> Tensor:
        scores = distribution
        if not deterministic:  # the argmax of logit + Gumbel noise is a sample
            waits = torch.empty(scores.shape, device=generator.device).exponential_(generator=generator)
            scores = scores - waits.to(scores.device).log_()
        return torch.zeros_like(scores).scatter_(-1, scores.argmax(-1, keepdim=True), 1.0)

    def applied(self, raw: Tensor) -> Tensor:
        return raw

    def log_probability(self, distribution: Tensor, raw: Tensor) -> Tensor:
        return (distribution.log_softmax(-1) * raw).sum(-1)

    def entropy(self, distribution: Tensor) -> Tensor:
        log_probabilities = distribution.log_softmax(-1)
        return -(log_probabilities.exp() * log_probabilities).sum(-1)

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        log_old, log_new = old.log_softmax(-1), new.log_softmax(-1)
        return (log_old.exp() * (log_old - log_new)).sum(-1)

    def kl_curvature(self, distribution: Tensor, change: Tensor) -> Tensor:
        probabilities = distribution.softmax(-1)
        return probabilities * (change - (probabilities * change).sum(-1, keepdim=True))


class GaussianActions(ActionDistribution):
    """A diagonal Gaussian with a standard deviation that does not depend on the input; samples are bounded to [-1, 1].

    The distribution's parameters are mean and log-std, concatenated. Probabilities are those of
    the raw action: what bounds it is the same for all policies, so ratios of probabilities do not
    change. The entropy is the unbounded Gaussian's, as in VariBAD's code.

    Args:
        features: size of the input.
        action_dim: size of an action.
        initial_std: standard deviation at the start.
        bounds: how a raw action is brought into [-1, 1].
        initialize: sets the layer's weights.
        new_linear: makes the layer.
    """

    def __init__(
        self,
        features: int,
        action_dim: int,
        initial_std: float,
        bounds: ActionBounds,
        initialize: Initialize,
        new_linear: NewLinear = TaskLinear,
    ) -> None:
        super().__init__()
        self.mean = initialize(new_linear(features, action_dim))
        self.log_std = nn.Parameter(torch.full((action_dim,), math.log(initial_std)))
        self.bounds = bounds

    def forward(self, features: Tensor) -> Tensor:
        mean = self.mean(features)
        return torch.cat((mean, self.log_std.unsqueeze(-2).expand_as(mean)), -1)

    def sample(self, distribution: Tensor, deterministic: bool, generator: torch.Generator) -> Tensor:
        mean, log_std = distribution.chunk(2, -1)
        if deterministic:
            return mean
        return torch.addcmul(mean, log_std.exp(), normal(tuple(mean.shape), generator, mean))

    def sampler(self) -> Sampler:
        mean_of, std = Unwrapped(*calls_of(self.mean)), self.log_std.exp()

        def sample(features: Tensor, deterministic: bool, generator: torch.Generator) -> Tensor:
            mean = mean_of(features)
            if deterministic:
                return mean
            return torch.addcmul(mean, std, normal(tuple(mean.shape), generator, mean))

        return sample

    def applied(self, raw: Tensor) -> Tensor:
        return raw.tanh() if self.bounds == "tanh" else raw.clamp(-1.0, 1.0)

    def log_probability(self, distribution: Tensor, raw: Tensor) -> Tensor:
        mean, log_std = distribution.chunk(2, -1)
        standardized = (raw - mean) * (-log_std).exp()
        log_normalizer = log_std.sum(-1) + 0.5 * LOG_TWO_PI * raw.shape[-1]
        return -0.5 * standardized.square().sum(-1) - log_normalizer

    def entropy(self, distribution: Tensor) -> Tensor:
        log_std = distribution.chunk(2, -1)[1]
        return log_std.sum(-1) + 0.5 * (LOG_TWO_PI + 1.0) * log_std.shape[-1]

    def kl(self, old: Tensor, new: Tensor) -> Tensor:
        old_mean, old_log_std = old.chunk(2, -1)
        new_mean, new_log_std = new.chunk(2, -1)
        spread = (2 * (old_log_std - new_log_std)).exp() + ((old_mean - new_mean) * (-new_log_std).exp()).square()
        return (new_log_std - old_log_std + 0.5 * (spread - 1.0)).sum(-1)

    def kl_curvature(self, distribution: Tensor, change: Tensor) -> Tensor:
        of_mean, of_log_std = change.chunk(2, -1)
        precision = (-2 * distribution.chunk(2, -1)[1]).exp()
        return torch.cat((of_mean * precision, 2 * of_log_std), -1)


def action_distribution(
    meta_spec: MetaEnvSpec,
    features: int,
    initial_std: float,
    bounds: ActionBounds,
    initialize: Initialize,
    new_linear: NewLinear = TaskLinear,
) -> ActionDistribution:
    """Categorical if the environment's actions are discrete, else Gaussian with the other arguments."""
    if meta_spec.discrete_actions:
        return CategoricalActions(features, meta_spec.action_dim, new_linear)
    return GaussianActions(features, meta_spec.action_dim, initial_std, bounds, initialize, new_linear)
