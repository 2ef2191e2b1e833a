"""MAML: the belief is the task's own policy, a few gradient steps from a shared one.

Model-agnostic meta-learning (Finn et al. 2017, arXiv 1703.03400) for reinforcement learning.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, cast

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from datamodules.contracts import Decision, LearnsFrom, Transition
from datamodules.experience import TrialBatch
from envs.errors import require, require_choice, require_positive, require_positive_and_finite, require_widths
from envs.meta_env_spec import MetaEnvSpec
from lit_metarl.algorithms.base import MetaRLModule
from lit_metarl.algorithms.maml_inner_loop import InnerLoop
from lit_metarl.algorithms.maml_objective import MetaObjective
from lit_metarl.algorithms.ppo_plan import PPOStepsPlan
from lit_metarl.evaluation import worst
from lit_metarl.networks import (
    ActionBounds,
    Initialization,
    NetworkPlan,
    RunningMoments,
    TaskPolicy,
    action_distribution,
    initialized,
)
from lit_metarl.optim.task_gradient import Parameters, for_every_task
from lit_metarl.optim.trust_region import TrustRegionPlan, trust_region_step

Outer = Literal["trpo", "ppo"]


class MAML(MetaRLModule):
    """Shared parameters θ from which one policy-gradient step on a task's first episodes gives a good policy for it.

    A trial begins with `inner_steps · episodes_per_step` exploration episodes. After every
    `episodes_per_step` of them, the task's policy takes an inner step and acts in the following
    episodes; after the last inner step it no longer changes. The outer update differentiates through
    the inner steps and improves the adapted episodes. Exploration keeps the policy's noise in
    evaluation too: without it, an inner step would have nothing to learn from.

    Args:
        meta_spec: sizes of the environment to act in.
        inner_steps: gradient steps from θ to the policy of a task.
        episodes_per_step: episodes that each is computed from.
        inner_rate: step size α.
        first_order: treat inner gradients as constants in the outer update (first-order MAML).
        layers: widths of the policy's layers.
        network: what lies between them; with normalization "all", without a learned scale and shift.
        initialization: of these layers.
        action_bounds: how a continuous action is brought into [-1, 1].
        initial_std: standard deviation of continuous actions at the start.
        discount: γ.
        gae_lambda: λ of the advantages over the linear feature baseline; 1 for the return minus the baseline.
        outer: the outer update, trust region policy optimization (as published) or proximal policy optimization.
        trpo: settings of the trust region step.
        ppo: settings of the clipped gradient steps.
        cvar_share: share of the trials, those with the lowest returns, that the outer update learns from:
            the baseline CVaR-ML of the RoML paper. 1 for all.
        noise_in_evaluation: keep the noise in the adapted episodes of an evaluation, as published, so
            that returns before and after adaptation differ by the adaptation alone.
        **common: what every algorithm takes (`MetaRLModule`).
    """

    learns_from: ClassVar[LearnsFrom] = LearnsFrom.TRIALS

    def __init__(
        self,
        meta_spec: MetaEnvSpec,
        inner_steps: int = 1,
        episodes_per_step: int = 20,
        inner_rate: float = 0.1,
        first_order: bool = False,
        layers: list[int] = [64, 64],  # noqa: B006 - read only; jsonargparse shows it
        network: NetworkPlan = NetworkPlan(activation="tanh"),
        initialization: Initialization = "normc",
        action_bounds: ActionBounds = "clip",
        initial_std: float = 1.0,
        discount: float = 0.99,
        gae_lambda: float = 1.0,
        outer: Outer = "trpo",
        trpo: TrustRegionPlan = TrustRegionPlan(),
        ppo: PPOStepsPlan = PPOStepsPlan(),
        cvar_share: float = 1.0,
        noise_in_evaluation: bool = False,
        **common: Any,
    ) -> None:
        for name, number in (("inner_steps", inner_steps), ("episodes_per_step", episodes_per_step)):
            require_positive(name, number, of=self)
        for name, value in (("discount", discount), ("gae_lambda", gae_lambda), ("cvar_share", cvar_share)):
            require(0.0 < value <= 1.0, name, value, "it must lie in (0, 1]", "Correct it.", of=self)
        for name, value, usual in (
            ("inner_rate", inner_rate, "MAML uses 0.1."),
            ("initial_std", initial_std, "MAML uses 1."),
        ):
            require_positive_and_finite(name, value, usual, of=self)
        require(
            network.normalization != "critics",
            "network.normalization",
            network.normalization,
            "MAML has no critic: its baseline is linear",
            "Use all or none.",
            of=self,
        )
        require_widths("layers", layers, "The published runs have two.", of=self)
        for name, choice, choices in (
            ("outer", outer, Outer),
            ("initialization", initialization, Initialization),
            ("action_bounds", action_bounds, ActionBounds),
        ):
            require_choice(name, choice, choices, of=self)
        super().__init__(meta_spec, exploration_episodes=inner_steps * episodes_per_step, **common)
        self.inner_steps = inner_steps
        self.episodes_per_step = episodes_per_step
        self.inner_rate = inner_rate
        self.first_order = first_order
        self.discount = discount
        self.gae_lambda = gae_lambda
        self.outer = outer
        self.trpo = trpo
        self.ppo = ppo
        self.cvar_share = cvar_share
        self.noise_in_evaluation = noise_in_evaluation
        actions = action_distribution(
            meta_spec,
            layers[-1],
            initial_std,
            action_bounds,
            lambda layer: initialized(layer, initialization, gain=0.1),  # at first, means are near 0
        )
        self.policy = TaskPolicy(meta_spec.observation_dim, layers, network, initialization, actions)
        self.input_moments = RunningMoments(meta_spec.observation_dim)

    # The agent.

    def start_trial(self, n: int, generator: torch.Generator) -> TensorDict:
        """All tasks start from θ, with empty buffers."""
        episode_steps = (n, self.episodes_per_step, self.meta_spec.horizon)
        return TensorDict(
            {
                "parameters": TensorDict(for_every_task(self._theta(), n), [n]),
                "episode": torch.zeros(n, dtype=torch.long, device=self.device),
                "time": torch.zeros(n, dtype=torch.long, device=self.device),
                "observation": torch.zeros(*episode_steps, self.meta_spec.observation_dim, device=self.device),
                "raw_action": torch.zeros(*episode_steps, self.meta_spec.action_dim, device=self.device),
                "reward": torch.zeros(episode_steps, device=self.device),
                "valid": torch.zeros(episode_steps, dtype=torch.bool, device=self.device),
            },
            [n],
        )

    def act(self, observation: Tensor, belief: TensorDict, deterministic: bool, generator: torch.Generator) -> Decision:
        """An action of every task's own policy, all tasks in one batched computation."""
        inputs = self.input_moments.normalize(observation)[:, None]
        distribution = self.policy.with_parameters(dict(belief["parameters"].items()), inputs)[:, 0]
        without_noise = deterministic and not self.noise_in_evaluation and self._has_adapted(belief)
        raw = self.policy.actions.sample(distribution, without_noise, generator)
        return Decision(
            self.policy.actions.applied(raw), {} if self.meta_spec.discrete_actions else {"raw_action": raw}
        )

    def observe(self, belief: TensorDict, transition: Transition) -> TensorDict:
        """The same policies; the step is added to what the next inner step is computed from."""
        if self._has_adapted(belief) or int(belief["time"][0]) == self.meta_spec.horizon:
            return belief  # of an episode that is longer than in training, the first steps count
        place = (slice(None), int(belief["episode"][0]) % self.episodes_per_step, int(belief["time"][0]))
        belief["observation"][place] = transition.observation
        belief["raw_action"][place] = transition.extras.get("raw_action", transition.action)
        belief["reward"][place] = transition.reward
        belief["valid"][place] = transition.active
        belief["time"] += 1
        return belief

    def end_episode(self, belief: TensorDict, generator: torch.Generator) -> TensorDict:
        """The same policies, or after every `episodes_per_step` exploration episodes those after an inner step."""
        if self._has_adapted(belief):
            return belief
        belief["episode"] += 1
        belief["time"].zero_()
        if int(belief["episode"][0]) % self.episodes_per_step == 0:
            with torch.inference_mode(False):  # inference mode has no gradients, so its tensors are copied
                observation, raw_action, reward, valid = (
                    belief[key].clone() for key in ("observation", "raw_action", "reward", "valid")
                )
                inner_loop = self.inner_loop
                steps = inner_loop.steps_to_learn_from(observation, raw_action, reward, valid)
                parameters = {name: value.clone() for name, value in belief["parameters"].items()}
                with torch.no_grad():
                    adapted, _ = inner_loop.step(parameters, steps)
            belief["parameters"] = TensorDict(adapted, belief.batch_size)
            belief["valid"].zero_()
        return belief

    def _has_adapted(self, belief: TensorDict) -> bool:
        """Whether the trial's exploration episodes are over; all tasks are at the same episode."""
        return int(belief["episode"][0]) >= self.exploration_episodes

    def _theta(self) -> Parameters:
        return dict(self.policy.named_parameters())

    # Learning.

    @property
    def inner_loop(self) -> InnerLoop:
        """How a task's policy changes from its own episodes, as of now."""
        return InnerLoop(
            self.policy, self.input_moments, self.inner_rate, self.first_order, self.discount, self.gae_lambda
        )

    def meta_objective(self, steps: TensorDict) -> MetaObjective:
        """The outer objective on the `steps` of trials `[tasks, episodes, time]` that the present policy ran."""
        return MetaObjective(self.inner_loop, steps, self.episodes_per_step, self.exploration_episodes)

    def update(self, batch: TrialBatch) -> dict[str, Tensor]:
        """Improve the adapted episodes of the trials by an outer step on θ."""
        trials = batch.trials
        objective = self.meta_objective(trials.steps[worst(trials.returns, self.cvar_share)])
        scalars = self._update_by_trpo(objective) if self.outer == "trpo" else self._update_by_ppo(objective)
        valid = trials.steps["valid"]
        self.input_moments.update(trials.steps["observation"][valid])
        return {**scalars, "entropy": objective.entropy}

    def _update_by_trpo(self, objective: MetaObjective) -> dict[str, Tensor]:
        """A step within a trust region; θ does not change if the line search fails.

        The step is handed to the optimizer as a gradient, so that Lightning counts it.
        """
        theta = self._theta()
        sizes = [value.numel() for value in theta.values()]

        def named(vector: Tensor) -> Parameters:
            return {name: part.view_as(value) for (name, value), part in zip(theta.items(), vector.split(sizes))}

        of_named = objective.fisher_vector_product(theta)
        found = trust_region_step(
            lambda vector: objective.loss_and_kl(named(vector)),
            lambda vector: nn.utils.parameters_to_vector(of_named(named(vector)).values()),
            nn.utils.parameters_to_vector(theta.values()),
            self.trpo,
        )
        for value, part in zip(theta.values(), found.step.split(sizes)):
            value.grad = -part.view_as(value)
        optimizer = cast(torch.optim.Optimizer, self.optimizers())
        optimizer.step()
        return {
            "policy_loss": found.loss,
            "kl": found.kl,
            "gradient_norm": found.gradient_norm,
            "line_search_failed": found.loss.new_tensor(not found.found),
        }

    def _update_by_ppo(self, objective: MetaObjective) -> dict[str, Tensor]:
        """Gradient steps on the clipped objective."""
        optimizer = cast(torch.optim.Optimizer, self.optimizers())
        for _ in range(self.ppo.epochs):
            loss, kl = objective.loss_and_kl(self._theta(), self.ppo.clip)
            optimizer.zero_grad()
            self.manual_backward(loss)
            norm = nn.utils.clip_grad_norm_(self.policy.parameters(), self.ppo.max_grad_norm)
            optimizer.step()
        return {"policy_loss": loss.detach(), "kl": kl.detach(), "gradient_norm": norm.detach()}

    def configure_optimizers(self) -> Any:
        """SGD that applies the trust region step as it is, or the optimizer of the clipped gradient steps."""
        if self.outer == "trpo":
            return torch.optim.SGD(self.policy.parameters(), lr=1.0, fused=True)
        plan = self.ppo.optimizer
        return self.with_schedules((plan, plan.build(self.policy.parameters(), self.ppo.learning_rate)))
