"""Settings of proximal policy optimization (Schulman et al. 2017, arXiv 1707.06347)."""

from __future__ import annotations

from dataclasses import dataclass

from envs.errors import (
    require,
    require_finite,
    require_limit,
    require_positive,
    require_positive_and_finite,
    require_weight,
)
from lit_metarl.optim.optimizer_plan import OptimizerPlan


@dataclass(frozen=True)
class PPOStepsPlan:
    """Gradient steps on the clipped objective (MAML's outer update, if it is not a trust region step).

    Attributes:
        epochs: gradient steps, each on all trials.
        clip: ε of the clipped objective.
        learning_rate: of the optimizer.
        max_grad_norm: largest norm of the gradient.
        optimizer: which one, and its schedule.
    """

    epochs: int = 5
    clip: float = 0.2
    learning_rate: float = 1e-3
    max_grad_norm: float = 0.5
    optimizer: OptimizerPlan = OptimizerPlan()

    def __post_init__(self) -> None:
        require_positive("epochs", self.epochs, of=self)
        require_positive_and_finite("learning_rate", self.learning_rate, "0.001 is usual.", of=self)
        for name in ("clip", "max_grad_norm"):
            require_limit(name, getattr(self, name), of=self)


@dataclass(frozen=True)
class PPOPlan(PPOStepsPlan):
    """PPO with a learned value function on minibatches, as VariBAD and RL² are trained.

    The defaults are the settings that RoML was published with on KhazadDum.

    Attributes:
        epochs: passes over the data.
        clip: ε of the clipped objective, and of the clipped value loss.
        learning_rate: of policy and value.
        max_grad_norm: largest norm of their gradient.
        optimizer: of policy and value; published code that anneals its learning rate has a "linear" schedule.
        minibatches: gradient steps in a pass; at most as many as a rank has trials, or steps, to divide.
        entropy_weight: weight of the policy's entropy.
        value_weight: weight of the value loss.
        discount: γ.
        gae_lambda: λ of the advantages.
        proper_time_limits: exclude what follows a time limit from the advantages (also between the episodes of a
            trial); False lets values flow over all borders between episodes, and treats the trial's last step as
            terminal.
    """

    epochs: int = 2
    clip: float = 0.1
    learning_rate: float = 7e-4
    max_grad_norm: float = 0.5
    minibatches: int = 8
    entropy_weight: float = 0.05
    value_weight: float = 0.5
    discount: float = 0.999
    gae_lambda: float = 0.9
    proper_time_limits: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive("minibatches", self.minibatches, of=self)
        require_finite("entropy_weight", self.entropy_weight, "Correct it.", of=self)
        require_weight("value_weight", self.value_weight, "Correct it.", of=self)
        for name in ("discount", "gae_lambda"):
            value = getattr(self, name)
            require(0.0 < value <= 1.0, name, value, "it must lie in (0, 1]", "Correct it.", of=self)
