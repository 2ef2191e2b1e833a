"""A neural process that predicts from the latest trials how badly trials on other tasks will go.

Source: Wang et al. 2025 (Model Predictive Task Sampling, arXiv 2501.11039); Qu et al. 2025 (Posterior and Diversity
Synergized Task Sampling, arXiv 2504.19139) use the same model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from envs.errors import NonFiniteError, require, require_positive, require_positive_and_finite, require_weight
from envs.randomness import normal, sampling_from

SMALLEST_STD, STD_RANGE = 0.1, 0.9


@dataclass(frozen=True)
class RiskPredictorPlan:
    """Size and training of the predictor. The defaults are those of MPTS's published code for meta-RL.

    Attributes:
        batch: scored trials in an update (the history H); their risks are normalized together.
        gradient_steps: of Adam in an update.
        learning_rate: of Adam.
        kl_weight: weight of the KL divergence between the posteriors of two successive updates (β).
        width: of hidden layers, code and latent variable.
    """

    batch: int = 20
    gradient_steps: int = 10
    learning_rate: float = 0.005
    kl_weight: float = 1e-4
    width: int = 10

    def __post_init__(self) -> None:
        key, reason = "batch", "the risks of fewer than 2 trials cannot be normalized"
        require(self.batch >= 2, key, self.batch, reason, "MPTS uses 20.", of=self)
        require_positive("gradient_steps", self.gradient_steps, of=self)
        require_positive("width", self.width, of=self)
        require_positive_and_finite("learning_rate", self.learning_rate, "MPTS uses 0.005.", of=self)
        require_weight("kl_weight", self.kl_weight, "MPTS uses 1e-4 for meta-RL.", of=self)


class RiskPredictor(nn.Module):
    """Predicts the risk ℓ of a task τ as p(ℓ | τ, z), with a latent variable z whose posterior is q(z | H).

    H are the tasks and risks of the last update. Each pair (τ, ℓ) is encoded; from the mean code follow mean and
    standard deviation of q. Before the first update, q is the standard normal prior.

    Args:
        features: numbers that describe a task.
        plan: size and training.
        generator: for the initial weights.

    Attributes:
        updates: number of updates so far.
        context_tasks: the tasks of H, `[batch, features]`.
        context_risks: their risks, `[batch]`.
    """

    updates: Tensor
    context_tasks: Tensor
    context_risks: Tensor

    def __init__(self, features: int, plan: RiskPredictorPlan, generator: torch.Generator) -> None:
        super().__init__()
        from torchrl.modules import MLP  # slow to import

        self.plan = plan
        width = plan.width
        with sampling_from(generator):
            self._encoder = MLP(features + 1, width, num_cells=[width] * 2, activation_class=nn.ReLU)
            self._aggregated = nn.Linear(width, width)
            self._mean, self._std = nn.Linear(width, width), nn.Linear(width, width)
            self._decoder = MLP(features + width, 1, num_cells=[width] * 3, activation_class=nn.ReLU)
        self._optimizer = torch.optim.Adam(self.parameters(), lr=plan.learning_rate)
        self.register_buffer("updates", torch.tensor(0))
        self.register_buffer("context_tasks", torch.zeros(plan.batch, features))
        self.register_buffer("context_risks", torch.zeros(plan.batch))

    def posterior(self) -> Normal:
        """q(z | H), `[width]`."""
        if self.updates == 0:
            return Normal(torch.zeros(self.plan.width), torch.ones(self.plan.width))
        pairs = torch.cat((self.context_tasks, self.context_risks[:, None]), -1)
        hidden = self._aggregated(self._encoder(pairs).mean(0)).relu()
        return Normal(self._mean(hidden), SMALLEST_STD + STD_RANGE * self._std(hidden).sigmoid())

    def predict(self, tasks: Tensor, latents: Tensor) -> Tensor:
        """The mean of p(ℓ | τ, z) for `tasks` `[n, features]` and every one of `latents` `[samples, width]`.

        Returns:
            Normalized risks `[samples, n]`.
        """
        shape = len(latents), len(tasks), -1
        pairs = torch.cat((tasks.expand(shape), latents[:, None].expand(shape)), -1)
        risks: Tensor = self._decoder(pairs)[..., 0]
        return risks

    @torch.no_grad()
    def sample_risks(self, tasks: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        """Risks of `tasks` `[n, features]` under as many `samples` of z from its posterior, `[samples, n]`."""
        posterior = self.posterior()
        noise = normal((samples, self.plan.width), generator, like=posterior.mean)
        return self.predict(tasks, posterior.mean + posterior.stddev * noise)

    @torch.no_grad()
    def expected_risks(self, tasks: Tensor) -> Tensor:
        """Risks of `tasks` `[n, features]` under the mean of z, `[n]`."""
        return self.predict(tasks, self.posterior().mean[None])[0]

    def update(self, tasks: Tensor, risks: Tensor, generator: torch.Generator) -> tuple[float, float]:
        """Take the next history, `tasks` `[batch, features]` and `risks` `[batch]`, and ascend its lower bound.

        With a normal p of fixed standard deviation, minus the evidence lower bound is, up to scale and constants,

            mean squared error of the predicted risks + β KL(q(z | H_t) ‖ q(z | H_{t−1})),

        where no gradient flows into q(z | H_{t−1}).

        Returns:
            Mean squared error and KL divergence in the last gradient step.

        Raises:
            NonFiniteError: if the loss is not finite.
        """
        with torch.no_grad():
            prior = self.posterior()
        self.context_tasks, self.context_risks = tasks.clone(), risks.clone()
        self.updates += 1
        for _ in range(self.plan.gradient_steps):
            posterior = self.posterior()
            latent = posterior.mean + posterior.stddev * normal((1, self.plan.width), generator, like=posterior.mean)
            error = functional.mse_loss(self.predict(tasks, latent)[0], risks)
            kl = kl_divergence(posterior, prior).sum()
            loss = error + self.plan.kl_weight * kl
            if not bool(loss.isfinite()):
                raise NonFiniteError(
                    f"the loss of the task sampler's predictor is {float(loss.detach())}: lower its learning_rate "
                    f"(now {self.plan.learning_rate})."
                )
            self._optimizer.zero_grad()
            loss.backward()
            self._optimizer.step()
        return float(error.detach()), float(kl.detach())

    def get_extra_state(self) -> dict[str, Any]:
        """The optimizer's state, for `state_dict`."""
        return self._optimizer.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore what `get_extra_state` gave."""
        self._optimizer.load_state_dict(state)
