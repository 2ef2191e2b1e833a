"""Distributions over actions, as on-policy algorithms need them: drawn from a caller's generator, and scored."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from envs.randomness import normal

ActionBounds = Literal["clip", "tanh"]
Initialise = Callable[[nn.Linear], nn.Linear]


class ActionDistribution(nn.Module, ABC):
    """The last layer of a policy, and the distribution over actions that it parameterises."""

    @abstractmethod
    def draw(self, features: Tensor, deterministic: bool, generator: torch.Generator) -> Tensor:
        """A raw action for every row of `features` `[n, features]`, or the most likely one; `[n, action_dim]`."""

    @abstractmethod
    def applied(self, raw: Tensor) -> Tensor:
        """The action in [-1, 1] that a raw action stands for."""

    @abstractmethod
    def score(self, features: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Log-probabilities of raw actions and the distributions' entropies, `[...]` each."""


class CategoricalActions(ActionDistribution):
    """A choice among actions, as a one-hot vector.

    Args:
        features: size of the input.
        choices: number of actions.
    """

    def __init__(self, features: int, choices: int) -> None:
        super().__init__()
        self.logits = nn.Linear(features, choices)
        nn.init.orthogonal_(self.logits.weight, 0.01)  # at first, all actions are equally likely
        nn.init.zeros_(self.logits.bias)

    def draw(self, features: Tensor, deterministic: bool, generator: torch.Generator) -> Tensor:
        scores = self.logits(features)
        if not deterministic:  # argmax of logit + Gumbel noise is a draw
            waits = torch.empty(scores.shape, device=generator.device).exponential_(generator=generator)
            scores = scores - waits.to(scores.device).log_()
        return torch.zeros_like(scores).scatter_(-1, scores.argmax(-1, keepdim=True), 1.0)

    def applied(self, raw: Tensor) -> Tensor:
        return raw

    def score(self, features: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        log_probabilities = self.logits(features).log_softmax(-1)
        entropy = -(log_probabilities.exp() * log_probabilities).sum(-1)
        return (log_probabilities * raw).sum(-1), entropy


class GaussianActions(ActionDistribution):
    """A diagonal Gaussian whose deviation does not depend on the input; its draws are brought into [-1, 1].

    Probabilities are those of the raw action: what bounds it is the same for all policies, so ratios
    of probabilities do not change. The entropy is the unbounded Gaussian's, as in VariBAD's code.

    Args:
        features: size of the input.
        action_dim: size of an action.
        initial_std: deviation at the start.
        bounds: how a raw action is brought into [-1, 1].
        initialise: sets the layer's weights.
    """

    def __init__(
        self, features: int, action_dim: int, initial_std: float, bounds: ActionBounds, initialise: Initialise
    ) -> None:
        super().__init__()
        self.mean = initialise(nn.Linear(features, action_dim))
        self.log_std = nn.Parameter(torch.full((action_dim,), math.log(initial_std)))
        self.bounds = bounds

    def draw(self, features: Tensor, deterministic: bool, generator: torch.Generator) -> Tensor:
        mean: Tensor = self.mean(features)
        if deterministic:
            return mean
        return torch.addcmul(mean, self.log_std.exp(), normal(tuple(mean.shape), generator, mean))

    def applied(self, raw: Tensor) -> Tensor:
        return raw.tanh() if self.bounds == "tanh" else raw.clamp(-1.0, 1.0)

    def score(self, features: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        standardised = (raw - self.mean(features)) * (-self.log_std).exp()
        log_normaliser = self.log_std.sum() + 0.5 * math.log(2 * math.pi) * len(self.log_std)
        log_probability = -0.5 * standardised.square().sum(-1) - log_normaliser
        return log_probability, (log_normaliser + 0.5 * len(self.log_std)).expand_as(log_probability)
