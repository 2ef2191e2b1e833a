"""VariBAD: a variational belief over the task, and a policy that sees it (Zintgraf et al. 2020, arXiv 1910.08348)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from datamodules import ranks
from datamodules.collection import Trials, as_sequences
from envs.errors import (
    require,
    require_choice,
    require_limit,
    require_positive,
    require_positive_and_finite,
    require_weight,
    require_widths,
)
from envs.meta_env_spec import MetaEnvSpec
from envs.randomness import normal
from lit_metarl.algorithms.on_policy import OnPolicyModule
from lit_metarl.losses.belief import RewardLikelihood, consecutive_kl, reward_error
from lit_metarl.networks import RecurrentEncoderPlan, StateHeads, StepDecoder, Unwrapped, build_mlp, calls_of
from lit_metarl.optim.optimizer_plan import OptimizerPlan


@dataclass(frozen=True)
class ELBOPlan:
    """The evidence lower bound that VariBAD's belief model is trained on.

    Attributes:
        decoder_layers: widths of the decoders' hidden layers.
        reward_weight: weight of the prediction of rewards; 0 for no such decoder.
        reward_likelihood: "gaussian" predicts the reward, "bernoulli" whether it is positive.
        reward_by_state: predict by one output for each state of a finite environment, from the belief alone; else
            from the belief and the step.
        state_weight: weight of the prediction of next states; 0 for no such decoder.
        task_weight: weight of the prediction of the task; 0 for no such decoder.
        kl_weight: weight of the KL between consecutive posteriors, summed over the trials of an update.
        terms: posteriors of a trial that are decoded, sampled at random.
        decoded_steps: steps of the trial that each is decoded to, sampled at random.
        learning_rate: of the belief model.
        optimizer: of the belief model.
        max_grad_norm: largest norm of the gradient of the encoder, and of each decoder.
    """

    decoder_layers: list[int] = field(default_factory=lambda: [64, 32])
    reward_weight: float = 1.0
    reward_likelihood: RewardLikelihood = "gaussian"
    reward_by_state: bool = False
    state_weight: float = 0.0
    task_weight: float = 0.0
    kl_weight: float = 0.1
    terms: int = 50
    decoded_steps: int = 50
    learning_rate: float = 1e-3
    optimizer: OptimizerPlan = OptimizerPlan()
    max_grad_norm: float = 1.0

    def __post_init__(self) -> None:
        for name in ("terms", "decoded_steps"):
            require_positive(name, getattr(self, name), of=self)
        require_positive_and_finite("learning_rate", self.learning_rate, "VariBAD uses 0.001.", of=self)
        require_choice("reward_likelihood", self.reward_likelihood, RewardLikelihood, of=self)
        for name in ("reward_weight", "state_weight", "task_weight", "kl_weight"):
            require_weight(name, getattr(self, name), "Correct it.", of=self)
        require(
            self.reward_weight + self.state_weight + self.task_weight > 0.0,
            "reward_weight",
            self.reward_weight,
            "with state_weight and task_weight at 0 too, the belief learns nothing about the task",
            "VariBAD uses 1.",
            of=self,
        )
        require_limit("max_grad_norm", self.max_grad_norm, of=self)
        require_widths("decoder_layers", self.decoder_layers, "The published runs have two.", of=self)


class VariBAD(OnPolicyModule):
    """The belief is a Gaussian posterior over a latent task variable, given all steps of the trial so far.

    It learns, from remembered trials, to predict the rewards of the whole trial (and optionally its next states, or
    the task itself) from the posterior at any time; the policy's gradients do not reach it. The policy sees the
    posterior's mean and log-variance.

    Args:
        meta_spec: sizes of the environment to act in.
        latent_dim: size of the latent task variable.
        normalize_belief: normalize what the policy sees of the belief.
        elbo: settings of the belief model's training.
        encoder: settings of the recurrent network; the decoders embed states and actions in the same sizes.
        **on_policy: what every on-policy algorithm takes (`OnPolicyModule`).
    """

    remembers_trials: ClassVar[bool] = True
    splits_by_trial: ClassVar[bool] = False

    def __init__(
        self,
        meta_spec: MetaEnvSpec,
        latent_dim: int = 5,
        normalize_belief: bool = True,
        elbo: ELBOPlan = ELBOPlan(),
        encoder: RecurrentEncoderPlan = RecurrentEncoderPlan(),
        **on_policy: Any,
    ) -> None:
        require_positive("latent_dim", latent_dim, of=self)
        require(
            not elbo.reward_by_state or len(meta_spec.states) > 0,
            "reward_by_state",
            elbo.reward_by_state,
            f"{meta_spec.name} has no finite set of states",
            "Leave it at false, or use an environment such as GridNavi.",
            of=self,
        )
        super().__init__(
            meta_spec, belief_dim=2 * latent_dim, normalize_belief=normalize_belief, encoder=encoder, **on_policy
        )
        self.latent_dim = latent_dim
        self.elbo = elbo
        self.posterior = nn.Linear(encoder.hidden, 2 * latent_dim)
        self._posterior = Unwrapped(*calls_of(self.posterior))
        layers = elbo.decoder_layers

        def step_decoder(states: int, outputs: int) -> StepDecoder:
            embeddings = (encoder.state_embedding, encoder.action_embedding)
            return StepDecoder(self.state_dim, states, meta_spec.action_dim, *embeddings, latent_dim, layers, outputs)

        self.decoders = nn.ModuleDict()
        if elbo.reward_weight > 0 and elbo.reward_by_state:
            self.decoders["reward"] = StateHeads(torch.tensor(meta_spec.states), latent_dim, layers)
        elif elbo.reward_weight > 0:
            self.decoders["reward"] = step_decoder(2, 1)
        if elbo.state_weight > 0:
            self.decoders["state"] = step_decoder(1, self.state_dim)
        if elbo.task_weight > 0:
            self.decoders["task"] = build_mlp(latent_dim, meta_spec.task_dim, layers)

    def belief_features(self, hidden: Tensor) -> Tensor:
        return self._posterior(hidden)

    def belief_vector(self, belief: TensorDict) -> Tensor:
        """The posterior's mean, `[tasks, latent]`."""
        return super().belief_vector(belief)[:, : self.latent_dim]

    def recorded(self, raw_action: Tensor, features: Tensor) -> dict[str, Tensor]:
        return {**super().recorded(raw_action, features), "belief": features}

    def policy_inputs(self, sequences: TensorDict) -> Tensor:
        """State and belief as recorded when the trial was run."""
        return torch.cat((self.states(sequences)[0], sequences["belief"]), -1)

    def state_and_belief(self, inputs: Tensor) -> Tensor:
        return inputs

    def policy_parameters(self) -> list[nn.Parameter]:
        return list(self.actor_critic.parameters())

    def encode(self, sequences: TensorDict) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the posterior before the first step of `sequences` and after every step.

        Args:
            sequences: batch shape `[trials, time]`.

        Returns:
            `[trials, time + 1, latent]` each.
        """
        _, next_state = self.states(sequences)
        hidden = self.encoder(sequences["action"], next_state, sequences["sparse_reward"])
        mean, log_variance = self.posterior(hidden).chunk(2, -1)
        return mean, log_variance

    def update_belief(self, remembered: tuple[Trials, ...]) -> dict[str, Tensor]:
        """A gradient step on the negative evidence lower bound for each set of trials."""
        _, optimizer = self.optimizers()  # type: ignore[attr-defined]
        groups = [[*self.encoder.parameters(), *self.posterior.parameters()]]
        groups += [list(decoder.parameters()) for decoder in self.decoders.values()]
        totals: dict[str, Tensor] = {}
        for trials in remembered:
            terms = self.negative_elbo(trials)
            optimizer.zero_grad()
            self.manual_backward(torch.stack(list(terms.values())).sum())
            for group in groups:
                nn.utils.clip_grad_norm_(group, self.elbo.max_grad_norm)
            optimizer.step()
            for name, term in terms.items():
                totals[f"belief_{name}"] = totals.get(f"belief_{name}", 0.0) + term.detach() / len(remembered)
        return totals

    def negative_elbo(self, trials: Trials) -> dict[str, Tensor]:
        """The weighted terms of the negative evidence lower bound (eq. 5) of `trials`, by name.

        Sums over the sampled posteriors and steps. As in the published code, the errors of rewards and states are
        averaged over the trials and the other terms summed, over the trials of all ranks too, whose gradients are
        averaged.
        """
        plan, sequences = self.elbo, as_sequences(trials)
        mean, log_variance = self.encode(sequences)
        lengths = sequences["valid"].sum(1)
        times = self._sample_integers((len(lengths), plan.terms), lengths + 1)
        steps = self._sample_integers((len(lengths), plan.terms, plan.decoded_steps), lengths)
        chosen_mean, chosen_log_variance = (_at(times, values) for values in (mean, log_variance))
        noise = normal(tuple(chosen_mean.shape), self.generator, mean)
        latent = chosen_mean + (0.5 * chosen_log_variance).exp() * noise
        before, after = self.states(sequences)
        terms = {"kl": plan.kl_weight * ranks.world_size() * consecutive_kl(mean, log_variance).gather(1, times).sum()}
        if "reward" in self.decoders:
            both = torch.stack((after, before), 2)
            predicted = self.decoders["reward"](both, sequences["action"], latent, steps)[..., 0]
            reward = sequences["sparse_reward"].gather(1, steps.flatten(1)).view_as(predicted)
            errors = reward_error(predicted, reward, plan.reward_likelihood)
            terms["reward"] = plan.reward_weight * errors.sum((1, 2)).mean()
        if "state" in self.decoders:
            predicted = self.decoders["state"](before[:, :, None], sequences["action"], latent, steps)
            state = _at(steps.flatten(1), after).view_as(predicted)
            terms["state"] = plan.state_weight * (predicted - state).square().mean(-1).sum((1, 2)).mean()
        if "task" in self.decoders:
            predicted = self.decoders["task"](latent.flatten(0, 1)).unflatten(0, latent.shape[:2])
            errors = (predicted - trials.tasks[:, None]).square().mean(-1)
            terms["task"] = plan.task_weight * ranks.world_size() * errors.sum()
        return terms

    def _sample_integers(self, shape: tuple[int, ...], below: Tensor) -> Tensor:
        """Uniform integers `shape` in [0, `below`), with a bound for every trial, `[trials]`."""
        unit = torch.rand(shape, generator=self.generator).to(self.device)
        limit = below.view(-1, *[1] * (len(shape) - 1))
        return (unit * limit).long().minimum(limit - 1)

    def configure_optimizers(self) -> Any:
        """One optimizer for policy and value, one for the belief model."""
        belief = [*self.encoder.parameters(), *self.posterior.parameters(), *self.decoders.parameters()]
        plan = self.elbo.optimizer
        return self.with_schedules(self.policy_optimizer(), (plan, plan.build(belief, self.elbo.learning_rate)))


def _at(times: Tensor, values: Tensor) -> Tensor:
    """`values` `[trials, time, size]` at `times` `[trials, n]`, `[trials, n, size]`."""
    return values.gather(1, times[..., None].expand(-1, -1, values.shape[-1]))
