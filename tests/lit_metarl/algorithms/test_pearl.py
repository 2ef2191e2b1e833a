"""PEARL against a plain re-computation of its belief, its foresight and its update."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor, nn
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn import functional
from torchrl.modules import TanhNormal

from datamodules import ranks
from datamodules.contracts import Agent, Foresight, PosteriorSampler, PosteriorSchedule, StartStates, Transition
from envs import ConfigurationError, KhazadDum, PointRobot
from lit_metarl.algorithms import PEARL

TASKS, TRANSITIONS, CONTEXT = 3, 7, 5


def pearl(**settings: object) -> PEARL:
    torch.manual_seed(0)
    small = {"latent_dim": 2, "layers": [16, 16], "encoder_layers": [16], **settings}
    model = PEARL(PointRobot.meta_spec, **small)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.target_value.parameters():  # as in training, it is not the value network
            parameter += 0.3 * torch.randn(parameter.shape)
    return model


def transitions(*shape: int, seed: int = 0) -> TensorDict:
    generator = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> Tensor:
        return torch.randn(*shape, *size, generator=generator)

    return TensorDict(
        {
            "observation": draw(2),
            "action": draw(2).tanh(),
            "next_observation": draw(2),
            "reward": draw(),
            "sparse_reward": draw(),
            "terminated": draw() > 1.0,
            "valid": torch.ones(shape, dtype=torch.bool),
        },
        list(shape),
    )


def meta_batch() -> TensorDict:
    return TensorDict(
        {"transitions": transitions(TASKS, TRANSITIONS, seed=1), "context": transitions(TASKS, CONTEXT, seed=2)},
        [TASKS],
    )


def run_update(model: PEARL, batch: TensorDict) -> dict[str, Tensor]:
    """One update without a trainer."""
    optimizers = model.configure_optimizers()
    model.optimizers = lambda: optimizers  # type: ignore[method-assign,assignment,return-value]
    model.manual_backward = lambda loss, **kwargs: loss.backward(**kwargs)  # type: ignore[method-assign]
    return model.update(batch)


def test_it_implements_its_contracts() -> None:
    assert isinstance(pearl(), Agent)
    assert isinstance(pearl(), Foresight)
    assert isinstance(pearl(), PosteriorSampler)


def published_update(model: PEARL, batch: TensorDict, z_noise: Tensor, action_noise: Tensor) -> None:
    """The update as published: one Adam a network, distributions from libraries, tasks in a loop."""
    adam = {
        name: torch.optim.Adam(module.parameters(), model.learning_rate)
        for name, module in {
            "encoder": model.encoder,
            "q1": model.critics[0],
            "q2": model.critics[1],
            "value": model.value,
            "policy": model.policy,
        }.items()
    }
    context = batch["context"]
    means, variances = [], []
    for task in range(TASKS):
        inputs = [context[task][key] for key in ("observation", "action")]
        parameters = model.encoder(torch.cat([*inputs, context[task]["sparse_reward"][:, None]], -1))
        factor_means, factor_variances = parameters[:, :2], functional.softplus(parameters[:, 2:])
        variance = 1.0 / (1.0 / factor_variances).sum(0)
        means.append(variance * (factor_means / factor_variances).sum(0))
        variances.append(variance)
    mean, variance = torch.stack(means), torch.stack(variances)
    z = mean + variance.sqrt() * z_noise
    kl = sum(kl_divergence(Normal(m, v.sqrt()), Normal(0.0, 1.0)).sum() for m, v in zip(mean, variance))

    data = batch["transitions"].flatten()
    z = z.repeat_interleave(TRANSITIONS, 0)

    def network(module: nn.Module, *inputs: Tensor) -> Tensor:
        return module(torch.cat(inputs, -1)).squeeze(-1)

    q1 = network(model.critics[0], data["observation"], data["action"], z)
    q2 = network(model.critics[1], data["observation"], data["action"], z)
    with torch.no_grad():
        next_value = network(model.target_value, data["next_observation"], z)
        target = model.reward_scale * data["reward"] + model.discount * next_value * (~data["terminated"]).float()
    critic_loss = functional.mse_loss(q1, target) + functional.mse_loss(q2, target) + model.kl_weight * kl
    critic_loss.backward()
    for name in ("encoder", "q1", "q2"):
        adam[name].step()

    z = z.detach()
    policy_mean, log_std = model.policy(torch.cat((data["observation"], z), -1))
    raw = policy_mean + log_std.exp() * action_noise.flatten(0, 1)
    action = raw.tanh()
    log_prob = Independent(Normal(policy_mean, log_std.exp()), 1).log_prob(raw)
    log_prob = log_prob - torch.log(1 - action.double().square()).sum(-1).float()
    temperature = model.log_temperature.detach().exp()
    min_q = torch.minimum(
        network(model.critics[0], data["observation"], action, z),
        network(model.critics[1], data["observation"], action, z),
    )
    value_target = (min_q - temperature * log_prob).detach()
    value_loss = functional.mse_loss(network(model.value, data["observation"], z), value_target)
    penalty = 1e-3 * policy_mean.square().mean() + 1e-3 * log_std.square().mean()
    for optimizer in adam.values():
        optimizer.zero_grad()
    value_loss.backward()
    adam["value"].step()
    adam["policy"].zero_grad()
    ((temperature * log_prob - min_q).mean() + penalty).backward()
    adam["policy"].step()
    for slow, fast in zip(model.target_value.parameters(), model.value.parameters()):
        slow.data.mul_(1 - model.target_rate).add_(model.target_rate * fast.data)


@pytest.mark.parametrize("log_temperature", [0.0, -1.0])
def test_an_update_equals_the_published_one_network_by_network(log_temperature: float) -> None:
    model = pearl()
    model.log_temperature.data.fill_(log_temperature)
    plain = copy.deepcopy(model)
    batch = meta_batch()
    noise = torch.Generator().manual_seed(5)
    model.generator = torch.Generator().manual_seed(5)
    z_noise = torch.randn(TASKS, 2, generator=noise)
    action_noise = torch.randn(TASKS, TRANSITIONS, 2, generator=noise)
    run_update(model, batch)
    published_update(plain, batch, z_noise, action_noise)
    before = pearl().state_dict()
    expected = plain.state_dict()
    for name, weight in model.state_dict().items():
        torch.testing.assert_close(weight, expected[name], rtol=1e-4, atol=1e-6, msg=name)
        if name != "log_temperature":
            assert not torch.equal(weight, before[name]), f"{name} was not trained"


def test_the_learned_temperature_moves_towards_the_target_entropy() -> None:
    model = pearl(learned_temperature=True)
    too_random = run_update(model, meta_batch())["entropy"] > model.target_entropy
    assert bool(model.log_temperature < 0) == bool(too_random)


def test_the_temperatures_gradient_is_that_of_the_entropy_constraint_alone() -> None:
    model = pearl(learned_temperature=True)
    entropy = run_update(model, meta_batch())["entropy"]
    torch.testing.assert_close(model.log_temperature.grad, entropy - -2.0)  # the target is −|A|


def test_of_several_ranks_whose_gradients_are_averaged_the_kl_is_still_a_sum_over_tasks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone = run_update(pearl(), meta_batch())["kl"]
    monkeypatch.setattr(ranks, "world_size", lambda: 3)
    torch.testing.assert_close(run_update(pearl(), meta_batch())["kl"], 3 * alone)


def test_the_fixed_temperature_stays() -> None:
    model = pearl()
    run_update(model, meta_batch())
    assert float(model.log_temperature) == 0.0


def observe(model: PEARL, belief: TensorDict, data: TensorDict, active: Tensor | None = None) -> TensorDict:
    """Show the belief the transitions `[tasks, time]` one step at a time."""
    for step in data.unbind(1):
        transition = Transition(
            step["observation"],
            step["action"],
            step["sparse_reward"],
            step["next_observation"],
            step["terminated"],
            torch.zeros(len(step), dtype=torch.bool),
            torch.ones(len(step), dtype=torch.bool) if active is None else active,
        )
        belief = model.observe(belief, transition)
    return belief


@pytest.mark.parametrize("context_next_observation", [False, True])
@pytest.mark.parametrize("length", [5, 300])
@torch.no_grad()
def test_after_exploration_the_belief_is_the_posterior_given_everything_seen(
    length: int, context_next_observation: bool
) -> None:
    model = pearl(exploration_episodes=1, context_next_observation=context_next_observation)
    generator = torch.Generator().manual_seed(0)
    data = transitions(TASKS, length)
    belief = model.end_episode(observe(model, model.start_trial(TASKS, generator), data), generator)
    mean, variance = model.infer(model.context_features(data))
    torch.testing.assert_close(belief["mean"], mean)
    torch.testing.assert_close(belief["variance"], variance)


@torch.no_grad()
def test_the_agent_says_what_it_believes_given_everything_seen_during_exploration_too() -> None:
    model = pearl(exploration_episodes=2)
    generator = torch.Generator().manual_seed(0)
    data = transitions(TASKS, 4)
    belief = model.end_episode(observe(model, model.start_trial(TASKS, generator), data), generator)
    torch.testing.assert_close(model.belief_vector(belief), model.infer(model.context_features(data))[0])
    assert bool((belief["mean"] == 0).all())


@torch.no_grad()
def test_during_exploration_z_comes_from_the_prior_anew_every_episode() -> None:
    model = pearl(exploration_episodes=2)
    generator = torch.Generator().manual_seed(0)
    start = model.start_trial(1000, generator)
    first = start["z"].clone()
    second = model.end_episode(observe(model, start, transitions(1000, 3)), generator)["z"]
    for z in (first, second):
        assert abs(float(z.mean())) < 0.1
        assert abs(float(z.std()) - 1.0) < 0.1
    assert not torch.equal(first, second)


@torch.no_grad()
def test_steps_after_an_episode_ended_do_not_enter_the_belief() -> None:
    model = pearl(exploration_episodes=1)
    generator = torch.Generator().manual_seed(0)
    data = transitions(TASKS, 4)
    belief = observe(model, model.start_trial(TASKS, generator), data)
    ended = torch.tensor([True, False, True])
    belief = model.end_episode(observe(model, belief, transitions(TASKS, 2, seed=9), active=ended), generator)
    mean, _ = model.infer(model.context_features(data))
    torch.testing.assert_close(belief["mean"][1], mean[1])
    assert not torch.allclose(belief["mean"][0], mean[0])


def adapted_z(model: PEARL, data: TensorDict, noise: Tensor, task: int) -> Tensor:
    """z of one task from the existing steps of its trajectory, `[1, latent]`."""
    seen = data[task][data[task]["valid"]]
    mean, variance = model.infer(model.context_features(seen))
    return (mean + variance.sqrt() * noise[task])[None]


def both_q(model: PEARL, observation: Tensor, action: Tensor, z: Tensor) -> list[Tensor]:
    inputs = torch.cat((observation, action, z.expand(len(observation), -1)), -1)
    return [critic(inputs)[:, 0] for critic in model.critics]


@pytest.mark.parametrize("context_next_observation", [False, True])
@torch.no_grad()
def test_the_foresight_is_the_mean_min_q_of_the_adapted_policy_task_by_task(context_next_observation: bool) -> None:
    model = pearl(context_next_observation=context_next_observation)
    data = transitions(TASKS, 6)
    data["valid"][1, 4:] = False
    starts = StartStates(torch.randn(TASKS, 3, 2), torch.tensor([[0, 2, 2, 1], [0, 0, 0, 0], [1, 2, 0, 2]]))
    utility = model.adaptation_utility(data, starts, torch.Generator().manual_seed(3))
    generator = torch.Generator().manual_seed(3)
    z_noise = torch.randn(TASKS, 2, generator=generator)
    action_noise = torch.randn(TASKS, 4, 2, generator=generator)
    for task in range(TASKS):
        z = adapted_z(model, data, z_noise, task)
        start = starts.distinct[task, starts.draws[task]]
        policy_mean, log_std = model.policy(torch.cat((start, z.expand(4, -1)), -1))
        action = torch.tanh(policy_mean + log_std.exp() * action_noise[task])
        expected = torch.minimum(*both_q(model, start, action, z)).mean()
        torch.testing.assert_close(utility[task], expected)


@torch.no_grad()
def test_one_trajectory_expanded_over_tasks_is_foreseen_as_copies_of_it_are() -> None:
    model = pearl()
    one = transitions(1, 6).expand(TASKS, 6)
    rewards = torch.randn(TASKS, 6)
    expanded = one.copy().update({"sparse_reward": rewards})
    starts = StartStates(torch.randn(TASKS, 3, 2), torch.randint(3, (TASKS, 4)))
    copied = one.clone().update({"sparse_reward": rewards})
    assert expanded["observation"].stride(0) == 0
    utilities = [model.adaptation_utility(d, starts, torch.Generator().manual_seed(3)) for d in (expanded, copied)]
    torch.testing.assert_close(*utilities)


@torch.no_grad()
def test_the_bellman_foresight_is_minus_the_critic_loss_on_the_tasks_data_under_the_adapted_z() -> None:
    model = pearl()
    trajectories, data = transitions(TASKS, 6), transitions(TASKS, 9, seed=4)
    trajectories["valid"][2, 3:] = False
    utility = model.bellman_utility(trajectories, data, torch.Generator().manual_seed(3))
    z_noise = torch.randn(TASKS, 2, generator=torch.Generator().manual_seed(3))
    for task in range(TASKS):
        z = adapted_z(model, trajectories, z_noise, task)
        rows = data[task]
        next_value = model.target_value(torch.cat((rows["next_observation"], z.expand(9, -1)), -1))[:, 0]
        target = model.reward_scale * rows["reward"] + model.discount * next_value * (~rows["terminated"]).float()
        loss = sum(functional.mse_loss(q, target) for q in both_q(model, rows["observation"], rows["action"], z))
        torch.testing.assert_close(utility[task], -torch.as_tensor(loss))


@torch.no_grad()
def test_action_values_are_the_min_q_of_the_same_transitions_under_every_tasks_own_z() -> None:
    model = pearl()
    contexts, data = transitions(TASKS, 6), transitions(9, seed=4)
    values = model.action_values(contexts, data, torch.Generator().manual_seed(3))
    z_noise = torch.randn(TASKS, 2, generator=torch.Generator().manual_seed(3))
    for task in range(TASKS):
        z = adapted_z(model, contexts, z_noise, task)
        expected = torch.minimum(*both_q(model, data["observation"], data["action"], z))
        torch.testing.assert_close(values[task], expected)


@torch.no_grad()
def test_the_deterministic_action_is_the_policys_mode() -> None:
    model = pearl()
    generator = torch.Generator().manual_seed(0)
    belief = model.start_trial(TASKS, generator)
    observation = torch.randn(TASKS, 2)
    mean, log_std = model.policy(torch.cat((observation, belief["z"]), -1))
    mode = TanhNormal(mean, log_std.exp()).deterministic_sample
    torch.testing.assert_close(model.act(observation, belief, True, generator).action, mode)


def test_an_environment_of_discrete_actions_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="KhazadDum.*continuous"):
        PEARL(KhazadDum.meta_spec)


@pytest.mark.parametrize(
    "settings",
    [
        {"exploration_episodes": 0},
        {"latent_dim": 0},
        {"learning_rate": -1.0},
        {"learning_rate": math.inf},
        {"kl_weight": math.nan},
        {"kl_weight": -0.1},
        {"reward_scale": math.nan},
        {"reward_scale": 0.0},
        {"mean_penalty": math.inf},
        {"log_std_penalty": math.nan},
        {"target_rate": math.nan},
        {"target_rate": math.inf},
        {"discount": 1.0},
        {"layers": []},
        {"layers": [-3]},
        {"encoder_layers": [8, 0]},
        {"initialization": "Published"},
    ],
)
def test_impossible_settings_are_refused_by_name(settings: dict[str, Any]) -> None:
    (key,) = settings
    with pytest.raises(ConfigurationError, match=f": {key} = "):
        pearl(**settings)


def test_a_deterministic_context_gives_the_mean_vector_as_z_and_zero_before_there_is_any() -> None:
    model = pearl(exploration_episodes=1, deterministic_context=True)
    generator = torch.Generator().manual_seed(0)
    belief = model.start_trial(3, generator)
    assert belief["z"].abs().sum() == 0
    data = transitions(3, 4)
    belief = observe(model, belief, data)
    belief = model.end_episode(belief, generator)
    vectors = model.encoder(model.context_features(data))
    torch.testing.assert_close(belief["z"], vectors.mean(1))


def test_with_a_deterministic_context_the_encoder_learns_from_the_critics_alone() -> None:
    model = pearl(deterministic_context=True, kl_weight=1e9)
    before = [parameter.clone() for parameter in model.encoder.parameters()]
    logged = run_update(model, meta_batch())
    assert float(logged["kl"]) == 0.0
    assert any(not torch.equal(old, new) for old, new in zip(before, model.encoder.parameters()))
    assert all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters())


def scheduled_belief(valid: Tensor, context: int | None) -> tuple[PEARL, TensorDict]:
    """A model, and a belief after one episode in which every transition is its own number."""
    model = pearl(exploration_episodes=1)
    generator = torch.Generator().manual_seed(0)
    belief = model.start_scheduled_trial(len(valid), generator, PosteriorSchedule(1, context))
    steps = valid.shape[1]
    belief["context"][:, :steps] = torch.arange(steps)[:, None].float()
    belief["valid"][:, :steps] = valid
    belief["steps"][:] = steps
    return model, belief


def test_a_scheduled_posterior_is_inferred_from_transitions_drawn_evenly_from_those_that_exist() -> None:
    valid = torch.ones(3, 10, dtype=torch.bool)
    valid[1, [0, 3, 4, 9]] = False
    valid[2] = False  # a row that is not in use
    model, belief = scheduled_belief(valid, context=6000)
    seen: list[tuple[Tensor, Tensor]] = []
    infer = model.infer

    def spy(context: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        assert valid is not None
        seen.append((context[..., 0], valid))
        return infer(context, valid)

    model.infer = spy  # type: ignore[method-assign]
    belief = model.end_episode(belief, torch.Generator().manual_seed(1))
    ((numbers, drawn_valid),) = seen
    assert drawn_valid.all(1).tolist() == [True, True, False]
    for row, existing in ((0, list(range(10))), (1, [1, 2, 5, 6, 7, 8])):
        counts = torch.bincount(numbers[row].long(), minlength=10)
        assert counts.nonzero()[:, 0].tolist() == existing
        expected = 6000 / len(existing)
        assert float((counts[existing] - expected).abs().max()) < 5 * math.sqrt(expected)
    assert torch.equal(belief["mean"][2], torch.zeros(2))
    assert torch.equal(belief["variance"][2], infer(torch.zeros(1, 1, 5), torch.zeros(1, 1, dtype=torch.bool))[1][0])


def test_a_posterior_of_fewer_transitions_is_wider() -> None:
    variances = []
    for context in (None, 5):
        model, belief = scheduled_belief(torch.ones(1, 50, dtype=torch.bool), context)
        variances.append(float(model.end_episode(belief, torch.Generator())["variance"].detach().mean()))
    assert variances[1] > 5 * variances[0]


def test_the_prior_lasts_as_long_as_the_schedule_says() -> None:
    model = pearl(exploration_episodes=1)
    belief = model.start_scheduled_trial(2, torch.Generator(), PosteriorSchedule(3))
    belief["steps"][:] = 4
    belief["valid"][:, :4] = True
    sources = []
    for _ in range(4):
        sources.append(bool((belief["variance"] == 1).all()))
        belief = model.end_episode(belief, torch.Generator())
    assert sources == [True, True, True, False]
