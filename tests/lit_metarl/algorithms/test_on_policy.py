"""What VariBAD and RL² share: the recurrent agent, what PPO is given, and which gradients go where."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.collection import Collector, Trials, as_sequences
from datamodules.contracts import Agent, Transition
from datamodules.experience import TrialBatch
from envs import ConfigurationError, GridNavi, KhazadDum, MetaEnv, PointRobot, SparsePointRobot
from lit_metarl.algorithms import RL2, ELBOPlan, OnPolicyModule, PPOPlan, VariBAD, on_policy
from lit_metarl.losses import ppo
from lit_metarl.networks import ActingNetworks, RecurrentEncoderPlan
from tests.environments import EndingPoint

TASKS, EPISODES = 6, 3
SMALL: dict[str, Any] = {
    "layers": [16, 16],
    "policy_state_embedding": 8,
    "policy_belief_embedding": 8,
    "encoder": RecurrentEncoderPlan(hidden=12, truncation=7),
    "ppo": PPOPlan(minibatches=2),
}
ALGORITHMS = [VariBAD, RL2]
ENVIRONMENTS = [
    GridNavi,
    EndingPoint,
    SparsePointRobot,
]  # discrete actions; true ends; a shaped reward beside the true one


def build(algorithm: type[OnPolicyModule], env_class: type[MetaEnv] = GridNavi, **settings: Any) -> OnPolicyModule:
    torch.manual_seed(0)
    model = algorithm(env_class.meta_spec, **{**SMALL, **settings})
    optimizers: Any = model.configure_optimizers()
    model.optimizers = lambda: optimizers  # type: ignore[method-assign]
    model.manual_backward = lambda loss, **kwargs: loss.backward(**kwargs)  # type: ignore[method-assign]
    return model


def collect(model: OnPolicyModule, env_class: type[MetaEnv] = GridNavi, seed: int = 0, tasks: int = TASKS) -> Trials:
    env = env_class(tasks, seed)
    generator = torch.Generator().manual_seed(seed)
    return Collector(env).collect(model, env.task_distribution.sample(tasks, generator), EPISODES, generator)


def changed(model: OnPolicyModule, batch: TrialBatch) -> set[str]:
    """The parts of the model whose parameters an update changes."""
    before = {name: value.clone() for name, value in model.named_parameters()}
    model.update(batch)
    return {name.split(".")[0] for name, value in model.named_parameters() if not torch.equal(before[name], value)}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_they_implement_the_contract_and_explore_all_the_time(algorithm: type[OnPolicyModule]) -> None:
    model = build(algorithm)
    assert isinstance(model, Agent)
    assert model.exploration_episodes == 0
    assert collect(model).exploration_episodes == 0


@pytest.mark.parametrize("env_class", ENVIRONMENTS)
@torch.no_grad()
def test_varibads_belief_during_the_trial_is_that_of_the_whole_trial(env_class: type[MetaEnv]) -> None:
    model = build(VariBAD, env_class)
    assert isinstance(model, VariBAD)
    trials = collect(model, env_class)
    assert bool(trials.steps["valid"].all()) == (env_class is not EndingPoint)
    sequences = as_sequences(trials)
    recomputed = torch.cat(model.encode(sequences), -1)[:, :-1]
    valid = sequences["valid"]
    torch.testing.assert_close(recomputed[valid], sequences["belief"][valid], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("env_class", ENVIRONMENTS)
@torch.no_grad()
def test_learning_sees_the_policy_that_acted(
    algorithm: type[OnPolicyModule], env_class: type[MetaEnv], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build(algorithm, env_class)
    seen: list[Tensor] = []
    features = ActingNetworks.policy_features
    monkeypatch.setattr(
        ActingNetworks, "policy_features", lambda *arguments: seen.append(features(*arguments)) or seen[-1]
    )
    trials = collect(model, env_class)
    sequences = as_sequences(trials)
    raw_action = sequences.get("raw_action", sequences["action"])
    log_probability, _, _ = model.evaluate_actions(model.policy_inputs(sequences), raw_action)
    valid = trials.steps["valid"]
    running = valid.flatten(1)[:, valid.any(0).flatten()]  # whose episode ran, call by call
    exists = sequences["valid"]
    acted, _ = model.actor_critic.actions.log_prob_and_entropy(torch.stack(seen, 1)[running], raw_action[exists])
    torch.testing.assert_close(log_probability[exists], acted, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_border_between_episodes_is_marked_before_and_after() -> None:
    model = build(VariBAD)
    horizon = GridNavi.meta_spec.horizon
    before, after = model.states(as_sequences(collect(model)))
    assert [int(step) for step in before[0, :, -1].nonzero()] == [horizon, 2 * horizon]
    assert [int(step) for step in after[0, :, -1].nonzero()] == [horizon - 1, 2 * horizon - 1, 3 * horizon - 1]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@torch.no_grad()
def test_what_comes_after_the_end_of_a_sub_environments_episode_leaves_its_belief_alone(
    algorithm: type[OnPolicyModule],
) -> None:
    model, generator = build(algorithm, PointRobot), torch.Generator().manual_seed(0)
    belief, no = model.start_trial(2, generator), torch.zeros(2, dtype=torch.bool)
    for terminated, active in ((torch.tensor([True, False]), ~no), (no, torch.tensor([False, True]))):
        before = belief.clone()
        observation, action, after = torch.randn(3, 2, 2, generator=generator)
        reward = torch.randn(2, generator=generator)
        belief = model.observe(belief, Transition(observation, action, reward, after, terminated, no, active))
    assert bool((belief[0] == before[0]).all())
    assert belief["state"][:, 0].tolist() == [1.0, 0.0]  # the border
    assert not torch.equal(belief["state"][1], before["state"][1])


def test_rl_gradients_do_not_enter_varibads_belief() -> None:
    model = build(VariBAD)
    trials = collect(model)
    assert changed(model, TrialBatch(trials)) == {"actor_critic"}
    assert changed(model, TrialBatch(trials, (trials,))) == {"actor_critic", "encoder", "posterior", "decoders"}


def test_rl_gradients_shape_the_belief_of_rl2() -> None:
    model = build(RL2)
    assert changed(model, TrialBatch(collect(model))) == {"actor_critic", "encoder"}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_gradient_is_that_of_finite_differences(algorithm: type[OnPolicyModule]) -> None:
    model = build(algorithm, env_class=PointRobot, encoder=RecurrentEncoderPlan(hidden=12, truncation=None))
    trials = collect(model, PointRobot)
    sequences = as_sequences(trials)
    samples = model.policy_samples(sequences, trials.returns)
    model.double()
    samples = type(samples)(*(values.double() for values in samples))
    samples = samples._replace(log_probability=samples.log_probability + 0.02)  # away from the objective's kink
    parameter = model.actor_critic.actor[0].weight if algorithm is VariBAD else model.encoder.gru.weight_hh_l0
    assert isinstance(parameter, Tensor)
    weights = torch.tensor([1.0, 0.5, -0.05], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(model.policy_losses(samples) @ weights, parameter)
    with torch.no_grad():
        direction = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        values = []
        for sign in (1.0, -2.0):
            parameter += sign * 1e-6 * direction
            values.append(model.policy_losses(samples) @ weights)
    slope = (values[0] - values[1]) / 2e-6
    torch.testing.assert_close((gradient * direction).sum(), slope, rtol=1e-4, atol=1e-8)


def test_rewards_are_divided_by_the_running_std_of_the_discounted_return() -> None:
    model = build(VariBAD, ppo=PPOPlan(discount=0.9))
    generator = torch.Generator().manual_seed(0)
    rewards = [torch.randn(4, 10, generator=generator) for _ in range(2)]
    valid = torch.arange(10) < torch.tensor([10, 10, 6, 3])[:, None]
    seen: list[float] = []
    for reward in rewards:
        normalized = model.normalized_rewards(reward, valid)
        for row, exists in zip(reward, valid):
            total = 0.0
            for value in row[exists].tolist():
                total = 0.9 * total + value
                seen.append(total)
        std = torch.tensor(seen).std(correction=0)
        expected = torch.where(valid, reward / std, 0.0)
        torch.testing.assert_close(normalized, expected, rtol=1e-3, atol=1e-4)


def test_normalized_rewards_are_kept_within_ten_standard_deviations() -> None:
    reward = torch.zeros(1, 1000)
    reward[0, 500] = -1.0
    assert (
        float(build(VariBAD, ppo=PPOPlan(discount=0.1)).normalized_rewards(reward, torch.ones(1, 1000).bool()).min())
        == -10.0
    )


RETURNS = torch.tensor([3.0, 1.0, 2.0, 5.0, 0.5, 4.0])


def test_cvar_ml_learns_the_policy_from_the_worst_trials_only_and_the_statistics_from_all() -> None:
    everything, worst = build(VariBAD), build(VariBAD, cvar_share=0.3, cvar_rest="left_out")
    trials = collect(everything)
    sequences = as_sequences(trials)
    samples = worst.policy_samples(sequences, RETURNS)
    target = everything.policy_samples(sequences, RETURNS).target
    expected = worst.policy_inputs(sequences)[[1, 4]].flatten(0, 1)
    assert torch.equal(samples.inputs, expected)
    torch.testing.assert_close(samples.target, target.view(TASKS, -1)[[1, 4]].flatten())
    assert torch.equal(worst.input_moments.mean, everything.input_moments.mean)
    assert torch.equal(worst.return_moments.variance, everything.return_moments.variance)


def test_published_cvar_ml_keeps_the_other_trials_with_advantage_0_before_advantages_are_normalized() -> None:
    everything, published = build(VariBAD), build(VariBAD, cvar_share=0.3)
    trials = collect(everything)
    sequences = as_sequences(trials)
    full = everything.policy_samples(sequences, RETURNS)
    samples = published.policy_samples(sequences, RETURNS)
    assert torch.equal(samples.inputs, full.inputs)
    raw = (full.target - full.value).view(TASKS, -1)
    raw[[0, 2, 3, 5]] = 0.0
    expected = (raw - raw.mean()) / (raw.std() + 1e-5)
    torch.testing.assert_close(samples.advantage.view(TASKS, -1), expected)
    torch.testing.assert_close(samples.target, raw.flatten() + samples.value)


def test_time_limits_are_left_out_of_the_advantages_only_if_they_are_proper() -> None:
    def targets(proper: bool) -> Tensor:
        model = build(RL2, ppo=PPOPlan(proper_time_limits=proper))
        trials = collect(model)
        samples = model.policy_samples(as_sequences(trials), trials.returns)
        return (samples.target - samples.value)[:, GridNavi.meta_spec.horizon - 1 :: GridNavi.meta_spec.horizon]

    assert (targets(True) == 0).all()
    assert (targets(False) != 0).all()


def test_true_ends_and_time_limits_are_told_apart() -> None:
    model = build(RL2, EndingPoint)
    trials = collect(model, EndingPoint)
    sequences = as_sequences(trials)
    ended = sequences["ends"] & sequences["terminated"]
    assert ended.any()
    assert sequences["truncated"].any()
    assert torch.equal(ended | sequences["truncated"], sequences["ends"])
    samples = model.policy_samples(sequences, trials.returns)
    advantage = samples.target - samples.value
    assert bool((advantage[sequences["truncated"]] == 0).all())
    assert bool((advantage[ended] != 0).all())


def test_the_running_statistics_are_of_the_steps_that_exist() -> None:
    model = build(VariBAD, EndingPoint)
    trials = collect(model, EndingPoint)
    sequences = as_sequences(trials)
    assert not sequences["valid"].all()
    model.policy_samples(sequences, trials.returns)
    inputs = model.policy_inputs(sequences)[sequences["valid"]]
    torch.testing.assert_close(model.input_moments.mean, inputs.mean(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("largest_norm", "rate"), [(0.1, 1.0), (1e9, 0.01)])
def test_an_update_is_clipped_gradient_steps_on_shuffled_minibatches_of_existing_steps(
    algorithm: type[OnPolicyModule], largest_norm: float, rate: float
) -> None:
    model, plain = (
        build(algorithm, EndingPoint, ppo=PPOPlan(minibatches=2, max_grad_norm=largest_norm)) for _ in range(2)
    )
    optimizer: Any = torch.optim.SGD(model.parameters(), lr=rate)
    model.optimizers = lambda: optimizer  # type: ignore[method-assign]
    trials = collect(model, EndingPoint)
    sequences = as_sequences(trials)
    assert not sequences["valid"].all()
    generator = model.generator.clone_state()
    model.update_policy(sequences, trials.returns)
    samples = plain.policy_samples(sequences, trials.returns)
    size = len(samples.inputs) // plain.ppo.minibatches
    for _ in range(plain.ppo.epochs):
        order = torch.randperm(len(samples.inputs), generator=generator)[: size * plain.ppo.minibatches]
        for rows in order.split(size):
            of = type(samples)(*(values[rows] for values in samples))
            exists = of.counts > 0
            log_probability, entropy, value = plain.evaluate_actions(of.inputs, of.raw_action)
            loss = ppo.policy_loss(log_probability - of.log_probability, of.advantage, plain.ppo.clip)[exists].mean()
            loss = loss + 0.5 * ppo.value_loss(value, of.value, of.target, plain.ppo.clip)[exists].mean()
            loss = loss - 0.05 * entropy[exists].mean()
            parameters = plain.policy_parameters()
            gradients = torch.autograd.grad(loss, parameters)
            norm = float(torch.cat([gradient.flatten() for gradient in gradients]).norm())
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients):
                    parameter -= rate * min(1.0, largest_norm / norm) * gradient
    for name, value in model.named_parameters():
        torch.testing.assert_close(value, plain.get_parameter(name), rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("env_class", ENVIRONMENTS)
def test_updates_are_finite_and_deterministic(algorithm: type[OnPolicyModule], env_class: type[MetaEnv]) -> None:
    def run() -> TensorDict:
        model = build(algorithm, env_class)
        for seed in range(2):
            trials = collect(model, env_class, seed)
            scalars = model.update(TrialBatch(trials, (trials, trials) if model.remembers_trials else ()))
            assert all(torch.isfinite(value) for value in scalars.values())
        return TensorDict({name.replace(".", "/"): value for name, value in model.state_dict().items()}, [])

    assert bool((run() == run()).all())


def test_a_rank_counts_by_its_share_of_all_ranks_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[Tensor] = []
    for factor in (1.0, 0.5):
        model = build(VariBAD, ppo=PPOPlan(epochs=1, minibatches=1))
        monkeypatch.setattr(model, "manual_backward", lambda loss: losses.append(loss.detach()) or loss.backward())
        sequences = as_sequences(collect(model))
        with monkeypatch.context() as patch:
            if factor < 1.0:  # a second rank has three times as many steps
                patch.setattr(on_policy.ranks, "world_size", lambda: 2)
                patch.setattr(on_policy.ranks, "total", lambda steps: 4 * steps)
                patch.setattr(on_policy.ranks, "smallest", lambda number: number)
                patch.setattr(on_policy.ranks, "gather", lambda rows: rows)
            model.update_policy(sequences, torch.arange(float(TASKS)))
    torch.testing.assert_close(losses[1], 0.5 * losses[0])


@pytest.mark.parametrize("minibatches", [2, 3, 4])
def test_every_trial_is_in_one_minibatch_of_an_epoch(monkeypatch: pytest.MonkeyPatch, minibatches: int) -> None:
    model = build(RL2, ppo=PPOPlan(epochs=1, minibatches=minibatches))
    seen: list[Tensor] = []
    losses = model.policy_losses
    monkeypatch.setattr(model, "policy_losses", lambda samples: seen.append(samples.advantage) or losses(samples))
    sequences = as_sequences(collect(model, tasks=5))
    model.update_policy(sequences, torch.arange(5.0))
    assert len(seen) == minibatches
    assert sum(len(advantages) for advantages in seen) == 5
    assert len(torch.cat(seen).unique(dim=0)) == 5


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_episodes_of_one_step_are_refused_where_nothing_could_be_learned_from_them(
    algorithm: type[OnPolicyModule],
) -> None:
    bandit = replace(PointRobot.meta_spec, horizon=1)
    with pytest.raises(ConfigurationError, match="ppo.proper_time_limits = True .* Set it to false"):
        algorithm(bandit, **SMALL)
    algorithm(bandit, **{**SMALL, "ppo": PPOPlan(proper_time_limits=False)})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_trial_after_an_update_acts_with_the_updated_networks(algorithm: type[OnPolicyModule]) -> None:
    model, generator = build(algorithm, PointRobot), torch.Generator().manual_seed(0)
    trials = collect(model, PointRobot)
    model.update(TrialBatch(trials, (trials,)))
    new = build(algorithm, PointRobot)
    new.load_state_dict(model.state_dict())
    observation = torch.randn(TASKS, 2, generator=generator)
    with torch.no_grad():
        updated, loaded = (
            agent.act(observation, agent.start_trial(TASKS, generator), True, generator).action
            for agent in (model, new)
        )
    assert torch.equal(updated, loaded)


def test_evaluation_changes_no_statistics() -> None:
    model = build(VariBAD, KhazadDum)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    collect(model, KhazadDum, tasks=2)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"cvar_share": 0.0}, "cvar_share"),
        ({"ppo": {"discount": 1.5}}, "ppo.discount"),
        ({"ppo": {"gae_lambda": -1.0}}, "ppo.gae_lambda"),
        ({"ppo": {"epochs": 0}}, "ppo.epochs"),
        ({"ppo": {"minibatches": 0}}, "ppo.minibatches"),
        ({"ppo": {"learning_rate": -1.0}}, "ppo.learning_rate"),
        ({"ppo": {"learning_rate": math.inf}}, "ppo.learning_rate"),
        ({"ppo": {"clip": math.nan}}, "ppo.clip"),
        ({"ppo": {"max_grad_norm": 0.0}}, "ppo.max_grad_norm"),
        ({"ppo": {"entropy_weight": math.inf}}, "ppo.entropy_weight"),
        ({"ppo": {"value_weight": math.nan}}, "ppo.value_weight"),
        ({"layers": []}, "layers"),
        ({"layers": [0]}, "layers"),
        ({"elbo": {"decoder_layers": []}}, "elbo.decoder_layers"),
        ({"elbo": {"decoder_layers": [8, -3]}}, "elbo.decoder_layers"),
        ({"elbo": {"terms": 0}}, "elbo.terms"),
        ({"elbo": {"decoded_steps": 0}}, "elbo.decoded_steps"),
        ({"elbo": {"learning_rate": -1.0}}, "elbo.learning_rate"),
        ({"elbo": {"learning_rate": math.nan}}, "elbo.learning_rate"),
        ({"elbo": {"max_grad_norm": math.nan}}, "elbo.max_grad_norm"),
        ({"elbo": {"reward_weight": math.nan}}, "elbo.reward_weight"),
        ({"elbo": {"state_weight": math.inf}}, "elbo.state_weight"),
        ({"elbo": {"task_weight": math.nan}}, "elbo.task_weight"),
        ({"elbo": {"kl_weight": -0.1}}, "elbo.kl_weight"),
        ({"elbo": {"reward_weight": 0.0}}, "elbo.reward_weight"),
        ({"elbo": {"reward_likelihood": "Bernoulli"}}, "elbo.reward_likelihood"),
        ({"ppo": {"value_weight": -1.0}}, "ppo.value_weight"),
        ({"cvar_rest": "left-out"}, "cvar_rest"),
        ({"action_bounds": "Tanh"}, "action_bounds"),
        ({"initialization": "Orthogonal"}, "initialization"),
        ({"latent_dim": 0}, "latent_dim"),
        ({"initial_std": 0.0}, "initial_std"),
        ({"policy_state_embedding": 0}, "policy_state_embedding"),
        ({"policy_belief_embedding": 0}, "policy_belief_embedding"),
        ({"encoder": {"truncation": -1}}, "encoder.truncation"),
        ({"encoder": {"truncation": 0}}, "encoder.truncation"),
        ({"encoder": {"hidden": 0}}, "encoder.hidden"),
        ({"encoder": {"state_embedding": 0}}, "encoder.state_embedding"),
        ({"encoder": {"action_embedding": 0}}, "encoder.action_embedding"),
        ({"encoder": {"reward_embedding": 0}}, "encoder.reward_embedding"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings: dict[str, Any], key: str) -> None:
    plans: dict[str, Any] = {"ppo": PPOPlan, "elbo": ELBOPlan, "encoder": RecurrentEncoderPlan}
    with pytest.raises(ConfigurationError, match=f": {key.rpartition('.')[2]} = "):
        build(VariBAD, **{name: plans[name](**value) if name in plans else value for name, value in settings.items()})


def test_infinity_sets_no_limit() -> None:
    build(VariBAD, ppo=PPOPlan(clip=math.inf, max_grad_norm=math.inf), elbo=ELBOPlan(max_grad_norm=math.inf))
