"""PEARL: off-policy meta-RL with a probabilistic context variable (Rakelly et al. 2019, arXiv 1903.08254)."""

from __future__ import annotations

import copy
from typing import Any, cast

import torch
from tensordict import TensorDict
from torch import Tensor, nn
from torch.nn import functional

from datamodules import RolloutDataModule, ranks
from datamodules.contracts import Decision, PosteriorSchedule, StartStates, Transition
from envs.errors import (
    require,
    require_choice,
    require_positive,
    require_positive_and_finite,
    require_weight,
    require_widths,
)
from envs.meta_env_spec import MetaEnvSpec
from envs.randomness import normal
from lit_metarl.algorithms.base import MetaRLModule
from lit_metarl.losses import soft_actor_critic as sac
from lit_metarl.losses.gaussian import kl_to_standard_normal, mean_of_valid, product_of_gaussians
from lit_metarl.networks import (
    MLPInitialization,
    NetworkPlan,
    TanhGaussianPolicy,
    Unwrapped,
    bounded,
    build_mlp,
    calls_of,
    evaluate_frozen,
    squash,
)
from lit_metarl.optim.optimizer_plan import OptimizerPlan

CONTEXT_CHUNK = 256


class PEARL(MetaRLModule):
    """A belief over a latent task variable z, and a soft actor-critic conditioned on a sample of it.

    The belief is a product of Gaussian factors, one a context transition. During exploration
    episodes z comes from the prior, afterwards from the posterior given all that the trial has
    shown, inferred again after every episode. The encoder learns from the critics' loss and the KL to
    the prior only. The defaults are the settings that HFR was published with.

    Args:
        meta_spec: sizes of the environment to act in.
        exploration_episodes: episodes of a trial with z from the prior.
        latent_dim: size of z.
        layers: widths of the hidden layers of policy, critics and value network.
        encoder_layers: widths of the encoder's hidden layers.
        network: what lies between the layers; with normalization "critics", critics and value network are normalized.
        discount: γ.
        reward_scale: factor on rewards, the inverse of the fixed entropy temperature.
        kl_weight: weight of the KL between belief and prior, summed over the tasks of a batch.
        target_rate: Polyak rate of the target value network.
        learning_rate: of all networks.
        optimizer: of all networks.
        learned_temperature: learn the entropy temperature towards an entropy of −|A| instead of
            keeping it at 1 (use reward_scale 1 with it): beyond the paper, and much faster to learn.
        context_next_observation: whether a context transition includes the next observation.
        deterministic_context: let z be the mean of one vector a context transition, and 0 before there
            is any, instead of a sample of a belief; there is no KL then.
        mean_penalty: weight of the squared pre-squash mean in the policy loss.
        log_std_penalty: weight of the squared log-standard-deviation in the policy loss.
        initialization: of all networks: "published" for small last layers and hidden biases of 0.1
            (`lit_metarl.networks.mlp.initialize_as_published`), or "torch" for torch's defaults.
        **common: what every algorithm takes (`MetaRLModule`).
    """

    def __init__(
        self,
        meta_spec: MetaEnvSpec,
        exploration_episodes: int = 2,
        latent_dim: int = 5,
        layers: list[int] = [300, 300, 300],  # noqa: B006 - read only; jsonargparse shows it
        encoder_layers: list[int] = [200, 200, 200],  # noqa: B006
        network: NetworkPlan = NetworkPlan(),
        discount: float = 0.99,
        reward_scale: float = 5.0,
        kl_weight: float = 0.1,
        target_rate: float = 0.005,
        learning_rate: float = 3e-4,
        optimizer: OptimizerPlan = OptimizerPlan(),
        learned_temperature: bool = False,
        context_next_observation: bool = False,
        deterministic_context: bool = False,
        mean_penalty: float = 1e-3,
        log_std_penalty: float = 1e-3,
        initialization: MLPInitialization = "published",
        **common: Any,
    ) -> None:
        require(
            exploration_episodes >= 1,
            "exploration_episodes",
            exploration_episodes,
            "PEARL needs at least one episode to gather context in",
            "The published runs use 2.",
            of=self,
        )
        require_positive("latent_dim", latent_dim, of=self)
        require(0.0 < discount < 1.0, "discount", discount, "it must lie in (0, 1)", "HFR uses 0.99.", of=self)
        require_positive_and_finite("learning_rate", learning_rate, "HFR uses 0.0003.", of=self)
        require(
            0.0 < target_rate <= 1.0, "target_rate", target_rate, "it must lie in (0, 1]", "HFR uses 0.005.", of=self
        )
        require_positive_and_finite("reward_scale", reward_scale, "HFR uses 5.", of=self)
        for name, value, usual in (
            ("kl_weight", kl_weight, "0.1"),
            ("mean_penalty", mean_penalty, "0.001"),
            ("log_std_penalty", log_std_penalty, "0.001"),
        ):
            require_weight(name, value, f"HFR uses {usual}.", of=self)
        require_choice("initialization", initialization, MLPInitialization, of=self)
        for name, widths in (("layers", layers), ("encoder_layers", encoder_layers)):
            require_widths(name, widths, "The published runs have three.", of=self)
        super().__init__(meta_spec, exploration_episodes, **common)
        require(
            not meta_spec.discrete_actions,
            "env",
            meta_spec.name,
            "PEARL's policy needs continuous actions, and this environment's actions are discrete",
            "Choose another environment, or its continuous variant if it has one (KhazadDum's `continuous`).",
            of=RolloutDataModule,
        )
        self.latent_dim = latent_dim
        self.discount = discount
        self.reward_scale = reward_scale
        self.kl_weight = kl_weight
        self.target_rate = target_rate
        self.learning_rate = learning_rate
        self.optimizer_plan = optimizer
        self.learned_temperature = learned_temperature
        self.context_next_observation = context_next_observation
        self.deterministic_context = deterministic_context
        self.mean_penalty = mean_penalty
        self.log_std_penalty = log_std_penalty
        self.target_entropy = -float(meta_spec.action_dim)

        observation, action = meta_spec.observation_dim, meta_spec.action_dim
        self.context_dim = observation + action + 1 + (observation if context_next_observation else 0)
        z = latent_dim
        parameters = (1 if deterministic_context else 2) * z
        self.encoder = build_mlp(self.context_dim, parameters, encoder_layers, network, initialization=initialization)
        self.policy = TanhGaussianPolicy(observation + z, action, layers, network, initialization)
        self._acting_policy = Unwrapped(*calls_of(self.policy.network))
        self.critics = nn.ModuleList(
            build_mlp(observation + action + z, 1, layers, network, critic=True, initialization=initialization)
            for _ in range(2)
        )
        self.value = build_mlp(observation + z, 1, layers, network, critic=True, initialization=initialization)
        self.target_value = copy.deepcopy(self.value).requires_grad_(False)
        self.log_temperature = nn.Parameter(torch.zeros(()), requires_grad=learned_temperature)

    # The belief: a posterior over z.

    def infer(self, context: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Posterior mean and variance `[..., latent]` of z given `context` `[..., transitions, context_dim]`.

        `valid` `[..., transitions]` marks the transitions that exist; None for all.
        """
        rows = self.encoder(context.flatten(0, -2))
        return self._posterior(rows.unflatten(0, context.shape[:-1]), valid)

    def _posterior(self, factors: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        if self.deterministic_context:
            mean = mean_of_valid(factors, valid)
            return mean, torch.zeros_like(mean)
        mean, raw_variance = factors.chunk(2, -1)
        return product_of_gaussians(mean, functional.softplus(raw_variance), valid)

    def context_features(self, transitions: TensorDict) -> Tensor:
        """What the encoder sees of transitions: the reward is the sparse one, `[..., context_dim]`."""
        return torch.cat(self._context_parts(transitions), -1)

    def _context_parts(self, transitions: TensorDict) -> list[Tensor]:
        parts = [transitions["observation"], transitions["action"], transitions["sparse_reward"][..., None]]
        if self.context_next_observation:
            parts.append(transitions["next_observation"])
        return parts

    def start_trial(self, n: int, generator: torch.Generator) -> TensorDict:
        """Prior beliefs and z ~ N(0, I); the context is empty."""
        return self.start_scheduled_trial(n, generator, PosteriorSchedule(self.exploration_episodes))

    def start_scheduled_trial(self, n: int, generator: torch.Generator, schedule: PosteriorSchedule) -> TensorDict:
        """As `start_trial`; `schedule` says when the posterior is inferred and from what."""
        zeros = torch.zeros(n, self.latent_dim, device=self.device)
        variance = torch.zeros_like(zeros) if self.deterministic_context else torch.ones_like(zeros)
        return TensorDict(
            {
                "mean": zeros,
                "variance": variance,
                "z": variance * normal((n, self.latent_dim), generator, zeros),
                "context": zeros.new_zeros(n, CONTEXT_CHUNK, self.context_dim),
                "valid": torch.zeros(n, CONTEXT_CHUNK, dtype=torch.bool, device=self.device),
                "steps": torch.zeros(n, dtype=torch.long),
                "episodes": torch.zeros(n, dtype=torch.long),
                "prior_episodes": torch.full((n,), schedule.prior_episodes),
                "posterior_context": torch.full((n,), schedule.context or 0),  # 0: all transitions
            },
            [n],
        )

    def act(self, observation: Tensor, belief: TensorDict, deterministic: bool, generator: torch.Generator) -> Decision:
        """π(a | o, z), or its mode."""
        mean, log_std = bounded(self._acting_policy(torch.cat((observation, belief["z"]), -1)))
        if deterministic:
            return Decision(torch.tanh(mean))
        return Decision(torch.tanh(mean + log_std.exp() * normal(tuple(mean.shape), generator, mean)))

    def observe(self, belief: TensorDict, transition: Transition) -> TensorDict:
        """Write the transition into the context."""
        steps, context, valid = belief["steps"], belief["context"], belief["valid"]
        step = int(steps[0])
        if step == valid.shape[1]:
            context = belief["context"] = functional.pad(context, (0, 0, 0, step))
            valid = belief["valid"] = functional.pad(valid, (0, step))
        parts = [transition.observation, transition.action, transition.reward[:, None]]
        if self.context_next_observation:
            parts.append(transition.next_observation)
        torch.cat(parts, -1, out=context[:, step])
        valid[:, step] = transition.active
        steps += 1
        return belief

    def end_episode(self, belief: TensorDict, generator: torch.Generator) -> TensorDict:
        """A fresh z: from the prior during exploration, then from the posterior given the context."""
        belief["episodes"] += 1
        if int(belief["episodes"][0]) >= int(belief["prior_episodes"][0]):
            belief["mean"], belief["variance"] = self.infer(*_context_to_infer_from(belief, generator))
        noise = normal(tuple(belief["mean"].shape), generator, belief["mean"])
        belief["z"] = belief["mean"] + belief["variance"].sqrt() * noise
        return belief

    def belief_vector(self, belief: TensorDict) -> Tensor:
        """The posterior's mean given the whole context, `[tasks, latent]`, also after exploration episodes."""
        steps = int(belief["steps"][0])
        return self.infer(belief["context"][:, :steps], belief["valid"][:, :steps])[0]

    # Foresight: the utility of adapting from a trajectory (HFR).

    def adaptation_utility(self, trajectories: TensorDict, starts: StartStates, generator: torch.Generator) -> Tensor:
        """Mean of min Q(s0, π(s0, z), z) over start states, with z from the belief given the trajectory (eq. 4)."""
        z = self._adapted_z(trajectories, generator)
        draws = starts.draws.to(self.device)
        tasks = torch.arange(len(draws), device=self.device)[:, None]
        distinct = starts.distinct.to(self.device)
        policy = bounded(evaluate_frozen(self.policy.network, (distinct, z)))  # the same for equal start states
        mean, log_std = (values[tasks, draws] for values in policy)
        action, _ = squash(mean, log_std, normal(tuple(mean.shape), generator, mean))
        return self._frozen_min_q(distinct[tasks, draws], action, z).mean(-1).cpu()

    def bellman_utility(self, trajectories: TensorDict, transitions: TensorDict, generator: torch.Generator) -> Tensor:
        """Minus the critics' loss on the task's transitions, with z from the belief given the trajectory."""
        z = self._adapted_z(trajectories, generator)
        data = transitions.to(self.device)
        next_value = evaluate_frozen(self.target_value, (data["next_observation"], z))[..., 0]
        target = sac.bellman_target(self.reward_scale * data["reward"], data["terminated"], next_value, self.discount)
        inputs = (data["observation"], data["action"], z)
        errors = [(evaluate_frozen(critic, inputs)[..., 0] - target).square().mean(-1) for critic in self._critics()]
        return -torch.stack(errors).sum(0).cpu()

    def action_values(self, contexts: TensorDict, transitions: TensorDict, generator: torch.Generator) -> Tensor:
        """min Q(s, a, z) of the same transitions under the z of every task's own context."""
        z = self._adapted_z(contexts, generator)
        data = transitions.to(self.device)
        return self._frozen_min_q(data["observation"], data["action"], z).cpu()

    @torch.no_grad()
    def _adapted_z(self, trajectories: TensorDict, generator: torch.Generator) -> Tensor:
        """z from the belief given each trajectory, `[tasks, 1, latent]`."""
        parts = [part.to(self.device) for part in self._context_parts(trajectories)]
        mean, variance = self._posterior(evaluate_frozen(self.encoder, parts), trajectories["valid"].to(self.device))
        return (mean + variance.sqrt() * normal(tuple(mean.shape), generator, mean))[:, None]

    def _frozen_min_q(self, observation: Tensor, action: Tensor, z: Tensor) -> Tensor:
        first, second = (evaluate_frozen(critic, (observation, action, z))[..., 0] for critic in self._critics())
        return torch.minimum(first, second)

    def _critics(self) -> list[nn.Sequential]:
        return [cast(nn.Sequential, critic) for critic in self.critics]

    # Learning.

    def _q_values(self, observation: Tensor, action: Tensor, z: Tensor) -> tuple[Tensor, ...]:
        inputs = torch.cat((observation, action, z), -1)
        return tuple(critic(inputs)[..., 0] for critic in self.critics)

    def _min_q(self, observation: Tensor, action: Tensor, z: Tensor) -> Tensor:
        first, second = self._q_values(observation, action, z)
        return torch.minimum(first, second)

    def update(self, batch: TensorDict) -> dict[str, Tensor]:
        """Critics and encoder first, then value network, policy and temperature against the new critics."""
        critic_optimizer, actor_optimizer = self.optimizers()  # type: ignore[attr-defined]
        tasks, transitions = batch["transitions"].batch_size
        data = batch["transitions"].flatten()  # rows: every layer is one plain matrix product
        observation, action = data["observation"], data["action"]
        mean, variance = self.infer(self.context_features(batch["context"]))
        z = mean + variance.sqrt() * normal(tuple(mean.shape), self.generator, mean)
        z = z[:, None].expand(-1, transitions, -1).reshape(tasks * transitions, -1)
        fixed_z = z.detach()

        with torch.no_grad():
            next_value = self.target_value(torch.cat((data["next_observation"], fixed_z), -1))[..., 0]
            target = sac.bellman_target(
                self.reward_scale * data["reward"], data["terminated"], next_value, self.discount
            )
        kl = mean.new_zeros(())
        if not self.deterministic_context:  # a sum over tasks, also of several ranks, whose gradients are averaged
            kl = ranks.world_size() * kl_to_standard_normal(mean, variance).sum()
        critic_loss = sac.critic_loss(self._q_values(observation, action, z), target)
        critic_optimizer.zero_grad()
        self.manual_backward(critic_loss + self.kl_weight * kl)
        critic_optimizer.step()

        inputs = torch.cat((observation, fixed_z), -1)
        noise = normal((len(inputs), self.meta_spec.action_dim), self.generator, inputs)
        sample = self.policy.sample(inputs, noise)
        min_q = self._min_q(observation, sample.action, fixed_z)
        temperature = self.log_temperature.detach().exp()
        value_loss = sac.value_loss(self.value(inputs)[..., 0], min_q, sample.log_prob, temperature)
        policy_loss = (
            sac.policy_loss(min_q, sample.log_prob, temperature)
            + self.mean_penalty * sample.mean.square().mean()
            + self.log_std_penalty * sample.log_std.square().mean()
        )
        actor_loss = value_loss + policy_loss
        if self.learned_temperature:
            actor_loss = actor_loss + sac.temperature_loss(self.log_temperature, sample.log_prob, self.target_entropy)
        actor_optimizer.zero_grad()
        self.manual_backward(actor_loss, inputs=self._actor_parameters())
        actor_optimizer.step()
        self._update_target()
        return {
            "critic_loss": critic_loss.detach(),
            "value_loss": value_loss.detach(),
            "policy_loss": policy_loss.detach(),
            "kl": kl.detach(),
            "q": target.mean(),
            "entropy": -sample.log_prob.detach().mean(),
            "temperature": temperature,
            "belief_variance": variance.detach().mean(),
        }

    @torch.no_grad()
    def _update_target(self) -> None:
        torch._foreach_lerp_(
            list(self.target_value.parameters()), list(self.value.parameters()), weight=self.target_rate
        )

    def _actor_parameters(self) -> list[nn.Parameter]:
        parameters = [*self.value.parameters(), *self.policy.parameters()]
        return [*parameters, self.log_temperature] if self.learned_temperature else parameters

    def configure_optimizers(self) -> Any:
        """One optimizer for encoder and critics, one for value network, policy and temperature.

        Each works parameter by parameter, so this equals one optimizer a network.
        """
        critic_side = [*self.encoder.parameters(), *self.critics.parameters()]
        plan, sides = self.optimizer_plan, (critic_side, self._actor_parameters())
        return self.with_schedules(*((plan, plan.build(side, self.learning_rate)) for side in sides))


def _context_to_infer_from(belief: TensorDict, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Context `[tasks, transitions, context_dim]` and which of it is valid `[tasks, transitions]`, as scheduled."""
    steps, number = int(belief["steps"][0]), int(belief["posterior_context"][0])
    context, valid = belief["context"][:, :steps], belief["valid"][:, :steps]
    if number == 0:
        return context, valid
    fractions = torch.rand(len(valid), number, generator=generator, dtype=torch.double).to(valid.device)
    valid_first = valid.argsort(dim=1, descending=True, stable=True)
    chosen = valid_first.gather(1, (fractions * valid.sum(1, keepdim=True)).long())
    rows = torch.arange(len(valid), device=valid.device)[:, None]
    return context[rows, chosen], valid[rows, chosen]
