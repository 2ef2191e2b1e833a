"""What VariBAD and RL² share: an agent with a recurrent belief, trained by PPO on the trials just collected."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from tensordict import TensorDict
from torch import Tensor, nn

from datamodules import ranks
from datamodules.collection import Trials, as_sequences
from datamodules.contracts import Decision, LearnsFrom, Transition
from datamodules.experience import TrialBatch
from envs.errors import require, require_choice, require_positive, require_positive_and_finite, require_widths
from envs.meta_env_spec import MetaEnvSpec
from lit_metarl.algorithms.base import MetaRLModule
from lit_metarl.algorithms.ppo_plan import PPOPlan
from lit_metarl.evaluation import worst
from lit_metarl.losses import ppo as ppo_losses
from lit_metarl.networks import (
    ActingNetworks,
    ActionBounds,
    ActorCritic,
    GeneratedLinear,
    HypernetworkPlan,
    Initialization,
    NetworkPlan,
    RecurrentEncoder,
    RecurrentEncoderPlan,
    RunningMoments,
    TaskLinear,
    action_distribution,
    initialized,
)
from lit_metarl.optim.optimizer_plan import OptimizerPlan

LARGEST_REWARD = 10.0  # in standard deviations of the return


class PolicySamples(NamedTuple):
    """What PPO learns from; one row a step, or one a trial `[trials, time]`, as the algorithm cuts minibatches.

    Attributes:
        inputs: what `OnPolicyModule.evaluate_actions` takes, `[..., inputs]`.
        raw_action: the sampled action, before it was bounded, `[..., action_dim]`.
        log_probability: of the action when learning began.
        advantage: normalized.
        target: of the value.
        value: when the trial was run.
        counts: 1 for a step that exists, 0 for padding.
    """

    inputs: Tensor
    raw_action: Tensor
    log_probability: Tensor
    advantage: Tensor
    target: Tensor
    value: Tensor
    counts: Tensor


OtherTrials = Literal["zero_advantage", "left_out"]
"""What happens to trials outside the tail."""


class OnPolicyModule(MetaRLModule):
    """A recurrent belief and a policy given state and belief, trained by proximal policy optimization.

    A state is an observation and a flag for the borders between a trial's episodes: 1 in the state that an episode
    ends in and in the one that the next begins with. The belief is not reset between the episodes of a trial. The
    defaults are the settings that RoML was published with on KhazadDum.

    Args:
        meta_spec: sizes of the environment to act in.
        belief_dim: size of what the policy sees of the recurrent state.
        normalize_belief: normalize it by running statistics.
        layers: widths of the layers of policy and value, each.
        network: what lies between them; with normalization "critics", the value alone is normalized.
        policy_state_embedding: size of the policy's embedding of the state; None passes it on as it is.
        policy_belief_embedding: size of the policy's embedding of the belief; None passes it on as it is.
        initialization: of the layers of policy and value.
        hypernetwork: whether the belief's embedding generates these layers, which then see the state's embedding alone.
        action_bounds: how a continuous action is brought into [-1, 1]. Environment and belief see the bounded action;
            in the published VariBAD, both see the one that was sampled.
        initial_std: standard deviation of continuous actions at the start.
        encoder: settings of the recurrent network.
        ppo: settings of the policy update.
        cvar_share: share α of the trials, those with the lowest returns, that the policy learns from:
            the baseline CVaR-ML of the RoML paper. 1 for all. Each of several ranks takes its own share.
        cvar_rest: what happens to the other trials. `zero_advantage` keeps them, with an advantage of 0 before
            advantages are normalized and their own value as its target, which matches the published code;
            `left_out` drops them first, which makes the policy term stronger relative to the entropy.
        **common: what every algorithm takes (`MetaRLModule`).
    """

    learns_from: ClassVar[LearnsFrom] = LearnsFrom.TRIALS
    splits_by_trial: ClassVar[bool]
    """Whether a minibatch is made of whole trials, not of steps."""

    def __init__(
        self,
        meta_spec: MetaEnvSpec,
        belief_dim: int,
        normalize_belief: bool,
        layers: list[int] = [64, 64],  # noqa: B006 - read only; jsonargparse shows it
        network: NetworkPlan = NetworkPlan(activation="tanh"),
        policy_state_embedding: int | None = 64,
        policy_belief_embedding: int | None = 64,
        initialization: Initialization = "normc",
        hypernetwork: HypernetworkPlan = HypernetworkPlan(),
        action_bounds: ActionBounds = "clip",
        initial_std: float = 1.0,
        encoder: RecurrentEncoderPlan = RecurrentEncoderPlan(),
        ppo: PPOPlan = PPOPlan(),
        cvar_share: float = 1.0,
        cvar_rest: OtherTrials = "zero_advantage",
        **common: Any,
    ) -> None:
        require(0.0 < cvar_share <= 1.0, "cvar_share", cvar_share, "it must lie in (0, 1]", "Correct it.", of=self)
        require_positive_and_finite("initial_std", initial_std, "Correct it.", of=self)
        for name, optional in (
            ("policy_state_embedding", policy_state_embedding),
            ("policy_belief_embedding", policy_belief_embedding),
        ):
            if optional is not None:
                require_positive(name, optional, of=self)
        require_widths("layers", layers, "The published runs have two.", of=self)
        for name, choice, choices in (
            ("initialization", initialization, Initialization),
            ("action_bounds", action_bounds, ActionBounds),
            ("cvar_rest", cvar_rest, OtherTrials),
        ):
            require_choice(name, choice, choices, of=self)
        require(
            meta_spec.horizon > 1 or not ppo.proper_time_limits,
            "ppo.proper_time_limits",
            ppo.proper_time_limits,
            f"{meta_spec.name} has episodes of one step, and what follows a step that is cut off is unknown",
            "Set it to false.",
            of=self,
        )
        super().__init__(meta_spec, exploration_episodes=0, **common)
        self.ppo = ppo
        self.cvar_share = cvar_share
        self.cvar_rest = cvar_rest

        self.state_dim = meta_spec.observation_dim + 1
        self.belief_dim = belief_dim
        if hypernetwork.enabled:
            hypernetwork.require_room([policy_state_embedding or self.state_dim, *layers], [meta_spec.action_dim, 1])
        self.encoder = RecurrentEncoder(self.state_dim, meta_spec.action_dim, encoder)
        actions = action_distribution(
            meta_spec,
            layers[-1],
            initial_std,
            action_bounds,
            # Published with unit rows, also where the other layers are orthogonal.
            lambda layer: initialized(layer, "normc" if initialization == "orthogonal" else initialization, gain=1.0),
            partial(GeneratedLinear, embedding=policy_belief_embedding or belief_dim)
            if hypernetwork.enabled
            else TaskLinear,
        )
        self.actor_critic = ActorCritic(
            self.state_dim,
            belief_dim,
            policy_state_embedding,
            policy_belief_embedding,
            layers,
            network,
            initialization,
            actions,
            generated=hypernetwork.enabled,
        )
        self.input_moments = RunningMoments(self.state_dim + (belief_dim if normalize_belief else 0))
        self.return_moments = RunningMoments(1)
        self._networks: ActingNetworks | None = None

    @abstractmethod
    def belief_features(self, hidden: Tensor) -> Tensor:
        """What the policy sees of the recurrent state `[..., hidden]`, `[..., belief_dim]`."""

    @abstractmethod
    def policy_inputs(self, sequences: TensorDict) -> Tensor:
        """What `evaluate_actions` takes for `sequences` `[trials, time]`; the first columns are normalized."""

    @abstractmethod
    def state_and_belief(self, inputs: Tensor) -> Tensor:
        """What the policy sees, `[..., state_dim + belief_dim]`, from `policy_inputs`; under the present parameters."""

    @abstractmethod
    def policy_parameters(self) -> list[nn.Parameter]:
        """The parameters that PPO trains."""

    @abstractmethod
    def update_belief(self, remembered: tuple[Trials, ...]) -> dict[str, Tensor]:
        """Updates of the belief model besides PPO's; the scalars to log."""

    # The agent.

    def start_trial(self, n: int, generator: torch.Generator) -> TensorDict:
        """The belief before the first step: flag of a border, what the policy sees, recurrent state, side by side."""
        self._networks = None
        hidden = torch.zeros(n, self.encoder.hidden, device=self.device)
        state = torch.cat((torch.zeros(n, 1, device=self.device), self.belief_features(hidden), hidden), -1)
        return TensorDict({"state": state}, [n])

    def act(self, observation: Tensor, belief: TensorDict, deterministic: bool, generator: torch.Generator) -> Decision:
        """An action for the state and the belief."""
        seen = belief["state"][:, : 1 + self.belief_dim]
        networks = self._acting_networks()
        raw = networks.sample(networks.policy_features(torch.cat((observation, seen), -1)), deterministic, generator)
        return Decision(networks.applied(raw), self.recorded(raw, seen[:, 1:]))

    def recorded(self, raw_action: Tensor, features: Tensor) -> dict[str, Tensor]:
        """What to keep of a decision for learning."""
        return {} if self.meta_spec.discrete_actions else {"raw_action": raw_action}

    def observe(self, belief: TensorDict, transition: Transition) -> TensorDict:
        """One more step of the recurrent network, for the tasks whose episode was running."""
        state, networks = belief["state"], self._acting_networks()
        border = (transition.terminated | transition.truncated)[:, None].to(state.dtype)
        step = (transition.action, transition.next_observation, border, transition.reward[:, None])
        hidden = networks.recurrent_state(torch.cat(step, -1), state[:, 1 + self.belief_dim :])
        following = torch.cat((border, self.belief_features(hidden), hidden), -1)
        torch.where(
            transition.active[:, None], following, state, out=state
        )  # cheaper than to ask whether all are active
        return belief

    def end_episode(self, belief: TensorDict, generator: torch.Generator) -> TensorDict:
        """The same belief: it is kept over all episodes of a trial."""
        return belief

    def _acting_networks(self) -> ActingNetworks:
        """The networks as they were when the trial began."""
        if self._networks is None:
            self._networks = ActingNetworks(self.actor_critic, self.encoder, self.input_moments)
        return self._networks

    def belief_vector(self, belief: TensorDict) -> Tensor:
        """What the policy sees of the belief, `[tasks, belief_dim]`."""
        state: Tensor = belief["state"]
        return state[:, 1 : 1 + self.belief_dim]

    # Learning.

    def states(self, sequences: TensorDict) -> tuple[Tensor, Tensor]:
        """States before and after every step of `sequences` `[trials, time]`, `[trials, time, state_dim]` each."""
        observation, next_observation = sequences["observation"], sequences["next_observation"]
        begins, ends = (sequences[key][..., None].to(observation.dtype) for key in ("begins", "ends"))
        return torch.cat((observation, begins), -1), torch.cat((next_observation, ends), -1)

    def normalize(self, inputs: Tensor) -> Tensor:
        """State and belief side by side `[..., state_dim + belief_dim]`, normalized as far as statistics are kept."""
        kept = self.input_moments.size
        if kept == inputs.shape[-1]:
            return self.input_moments.normalize(inputs)
        return torch.cat((self.input_moments.normalize(inputs[..., :kept]), inputs[..., kept:]), -1)

    def evaluate_actions(self, inputs: Tensor, raw_action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities of raw actions, entropies and values, `[...]` each, under the present parameters."""
        outputs: tuple[Tensor, Tensor, Tensor] = self.actor_critic(self._policy_view(inputs), raw_action)
        return outputs

    def _policy_view(self, inputs: Tensor) -> Tensor:
        """State and belief, normalized by the present statistics."""
        return self.normalize(self.state_and_belief(inputs))

    def update(self, batch: TrialBatch) -> dict[str, Tensor]:
        """PPO on the trials just collected, then what the belief model learns besides."""
        sequences = as_sequences(batch.trials)
        scalars = self.update_policy(sequences, batch.trials.returns)
        return {**scalars, **self.update_belief(batch.remembered)}

    def update_policy(self, sequences: TensorDict, returns: Tensor) -> dict[str, Tensor]:
        """Proximal policy optimization on `sequences` `[trials, time]` of trials with `returns` `[trials]`."""
        plan = self.ppo
        samples = self.policy_samples(sequences, returns)
        optimizer = self._policy_optimizer()
        parameters = self.policy_parameters()
        totals = torch.zeros(3, device=self.device)
        number = ranks.smallest(min(plan.minibatches, len(samples.inputs)))
        steps = int(samples.counts.sum())
        share = ranks.world_size() * steps / ranks.total(steps)  # gradients are averaged over ranks, losses over steps
        weights = share * torch.tensor([1.0, plan.value_weight, -plan.entropy_weight], device=self.device)
        for _ in range(plan.epochs):
            order = torch.randperm(len(samples.inputs), generator=self.generator).to(self.device)
            shuffled = PolicySamples(*(values[order] for values in samples))
            for minibatch in map(PolicySamples._make, zip(*(values.tensor_split(number) for values in shuffled))):
                losses = self.policy_losses(minibatch)
                optimizer.zero_grad()
                self.manual_backward(losses @ weights)
                nn.utils.clip_grad_norm_(parameters, plan.max_grad_norm)
                optimizer.step()
                totals += losses.detach()
        return dict(zip(("policy_loss", "value_loss", "entropy"), totals / (plan.epochs * number)))

    def policy_losses(self, samples: PolicySamples) -> Tensor:
        """Policy loss, value loss and entropy, averaged over the steps that exist, `[3]`."""
        log_probability, entropy, value = self.evaluate_actions(samples.inputs, samples.raw_action)
        terms = torch.stack(
            (
                ppo_losses.policy_loss(log_probability - samples.log_probability, samples.advantage, self.ppo.clip),
                ppo_losses.value_loss(value, samples.value, samples.target, self.ppo.clip),
                entropy,
            )
        )
        return (terms * samples.counts).flatten(1).sum(1) / samples.counts.sum()

    @torch.no_grad()
    def policy_samples(self, sequences: TensorDict, returns: Tensor) -> PolicySamples:
        """What PPO learns from; updates the running statistics."""
        valid = sequences["valid"]
        reward = self.normalized_rewards(sequences["reward"], valid)
        inputs = self.policy_inputs(sequences)
        raw_action = sequences.get("raw_action", sequences["action"])
        value = self.actor_critic.values(self._policy_view(inputs))  # with the statistics that the trials were run with
        self.input_moments.update(inputs[valid][:, : self.input_moments.size])

        unknown = sequences["truncated"] & self.ppo.proper_time_limits
        tail = worst(returns, self.cvar_share)
        if self.cvar_rest == "left_out":
            inputs, raw_action, valid = inputs[tail], raw_action[tail], valid[tail]
            reward, value, unknown = reward[tail], value[tail], unknown[tail]
        else:
            rest = torch.ones_like(returns, dtype=torch.bool).index_fill(0, tail, False)
            unknown = unknown | rest[:, None]  # a step whose successor is not known has advantage 0
        value = torch.where(valid, value, 0.0)
        advantage = ppo_losses.generalized_advantages(reward, value, unknown, self.ppo.discount, self.ppo.gae_lambda)
        target = advantage + value
        counted = ranks.gather(advantage[valid])
        advantage = (advantage - counted.mean()) / (counted.std() + 1e-5)
        log_probability = self.actor_critic.log_probabilities(self._policy_view(inputs), raw_action)
        samples = PolicySamples(inputs, raw_action, log_probability, advantage, target, value, valid.float())
        return samples if self.splits_by_trial else PolicySamples(*(values[valid] for values in samples))

    def normalized_rewards(self, reward: Tensor, valid: Tensor) -> Tensor:
        """`reward` `[trials, time]` over the running std of the discounted return so far, 0 where not `valid`."""
        reward = torch.where(valid, reward, 0.0)
        sums = ppo_losses.discounted_sums(reward, torch.full_like(reward, self.ppo.discount))
        self.return_moments.update(sums[valid][:, None])
        return (reward * self.return_moments.scale).clamp(-LARGEST_REWARD, LARGEST_REWARD)

    def _policy_optimizer(self) -> Any:
        """PPO's optimizer, as Lightning wraps it."""
        optimizers: Any = self.optimizers()
        return optimizers[0] if isinstance(optimizers, list) else optimizers

    def policy_optimizer(self) -> tuple[OptimizerPlan, torch.optim.Optimizer]:
        """A new optimizer of what PPO trains, with its plan."""
        plan = self.ppo.optimizer
        return plan, plan.build(self.policy_parameters(), self.ppo.learning_rate)
