"""MAML: the adapting agent, the meta-gradient, and the outer updates."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from tensordict import TensorDict
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from datamodules.collection import Collector, Trials
from datamodules.contracts import Agent, Transition
from datamodules.experience import TrialBatch
from envs import ConfigurationError, GridNavi, MetaEnv, PointRobot
from lit_metarl.algorithms import MAML, maml_objective
from lit_metarl.algorithms.maml_inner_loop import standardized
from lit_metarl.algorithms.maml_objective import MetaObjective
from lit_metarl.algorithms.ppo_plan import PPOStepsPlan
from lit_metarl.losses.linear_baseline import fitted_values
from lit_metarl.optim.task_gradient import Parameters
from lit_metarl.optim.trust_region import TrustRegionPlan
from tests.environments import EndingPoint

TASKS, ADAPTED = 4, 2
SMALL: dict[str, Any] = {"layers": [6, 5], "episodes_per_step": 2, "inner_rate": 0.5, "initial_std": 0.6}
ENVIRONMENTS = [GridNavi, PointRobot, EndingPoint]  # discrete actions; continuous ones; with true ends too


def build(env_class: type[MetaEnv] = PointRobot, **settings: Any) -> MAML:
    torch.manual_seed(0)
    model = MAML(env_class.meta_spec, **{**SMALL, **settings})
    optimizers: Any = model.configure_optimizers()
    model.optimizers = lambda: optimizers  # type: ignore[method-assign]
    model.manual_backward = lambda loss, **kwargs: loss.backward(**kwargs)  # type: ignore[method-assign]
    return model


def collect(model: MAML, env_class: type[MetaEnv] = PointRobot, seed: int = 0, **how: Any) -> Trials:
    env = env_class(TASKS, seed)
    generator = torch.Generator().manual_seed(seed)
    tasks = env.task_distribution.sample(TASKS, generator)
    return Collector(env).collect(model, tasks, model.exploration_episodes + ADAPTED, generator, **how)


def final_parameters(model: MAML, env_class: type[MetaEnv], **how: Any) -> tuple[Trials, Parameters]:
    """A set of trials, and the parameters that every task's policy ended with."""
    beliefs: list[TensorDict] = []
    end_episode = model.end_episode
    model.end_episode = lambda *given: beliefs.append(end_episode(*given)) or beliefs[-1]  # type: ignore
    trials = collect(model, env_class, **how)
    model.end_episode = end_episode  # type: ignore[method-assign]
    return trials, dict(beliefs[-1]["parameters"].items())


def double(model: MAML, trials: Trials) -> TensorDict:
    """The steps of `trials` in double precision; the model too."""
    model.double()
    return trials.steps.apply(lambda values: values.double() if values.is_floating_point() else values)


def moved(model: MAML, seed: int, size: float) -> Parameters:
    """The model's parameters and a random step of `size` a coordinate."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: value.detach() + size * torch.randn(value.shape, generator=generator, dtype=value.dtype)
        for name, value in model.policy.named_parameters()
    }


@pytest.mark.parametrize(("inner_steps", "episodes"), [(1, 2), (3, 6)])
def test_it_implements_the_contract_and_explores_until_the_last_inner_step(inner_steps: int, episodes: int) -> None:
    model = build(inner_steps=inner_steps)
    assert isinstance(model, Agent)
    assert model.exploration_episodes == episodes
    assert collect(model).exploration_episodes == episodes


@pytest.mark.parametrize("env_class", ENVIRONMENTS)
@pytest.mark.parametrize("inner_steps", [1, 2])
def test_learning_adapts_to_the_policies_that_acted(env_class: type[MetaEnv], inner_steps: int) -> None:
    model = build(env_class, inner_steps=inner_steps)
    trials, parameters = final_parameters(model, env_class)
    objective = model.meta_objective(trials.steps)
    theta = dict(model.policy.named_parameters())
    for adapted in (objective.behavior, objective.adapt(theta)):
        for name, value in parameters.items():
            torch.testing.assert_close(adapted[name], value, rtol=1e-4, atol=1e-6)
            assert not torch.allclose(value, theta[name].expand_as(value))


@torch.no_grad()
def test_an_inner_step_learns_from_its_own_episodes_alone() -> None:
    model = build(inner_steps=2)
    generator = torch.Generator().manual_seed(0)

    def play(belief: TensorDict, length: int) -> TensorDict:
        for _ in range(2):
            for _ in range(length):
                sampled = torch.randn(2, TASKS, 2, generator=generator)
                reward, no = torch.randn(TASKS, generator=generator), torch.zeros(TASKS, dtype=torch.bool)
                extras = {"raw_action": sampled[1]}
                belief = model.observe(
                    belief, Transition(sampled[0], sampled[1], reward, sampled[0], no, no, ~no, extras)
                )
            belief = model.end_episode(belief, generator)
        return belief

    after_a_long_one = play(model.start_trial(TASKS, generator), 9)
    fresh = model.start_trial(TASKS, generator)
    fresh["parameters"] = after_a_long_one["parameters"].clone()
    state = generator.get_state()
    second = play(after_a_long_one, 4)["parameters"]
    generator.set_state(state)
    alone = play(fresh, 4)["parameters"]
    for name, value in second.items():
        torch.testing.assert_close(value, alone[name])


def test_all_tasks_adapt_at_once_as_each_alone() -> None:
    model = build(EndingPoint, inner_steps=2)
    trials = collect(model, EndingPoint)
    theta = dict(model.policy.named_parameters())
    together = model.meta_objective(trials.steps).adapt(theta)
    for task in range(TASKS):
        alone = model.meta_objective(trials.steps[task : task + 1]).adapt(theta)
        for name, value in alone.items():
            torch.testing.assert_close(together[name][task], value[0], rtol=1e-4, atol=1e-6)


def test_an_inner_step_is_a_policy_gradient_step_with_standardized_advantages() -> None:
    model = build(EndingPoint)
    model.input_moments.update(1.0 + 3.0 * torch.randn(50, 2, generator=torch.Generator().manual_seed(0)))
    steps = double(model, collect(model, EndingPoint))
    steps["reward"].neg_()  # as if it were shaped: inner steps learn from the sparse reward
    adapted = model.meta_objective(steps).behavior
    for task in range(TASKS):
        total, count, advantages, scores = 0.0, 0, [], []
        explored = steps[task : task + 1, :2]
        returns = torch.zeros(1, 2, 20, dtype=torch.float64)
        for episode in range(2):
            valid = explored["valid"][0, episode]
            to_come = 0.0
            for time in reversed(range(int(valid.sum()))):
                to_come = float(explored["sparse_reward"][0, episode, time]) + 0.99 * to_come
                returns[0, episode, time] = to_come
        advantage = returns - fitted_values(explored["observation"], returns, explored["valid"])
        for episode in range(2):
            valid = explored["valid"][0, episode]
            hidden = model.input_moments.normalize(explored["observation"][0, episode, valid])
            for layer in model.policy.layers:
                hidden = (hidden @ layer.weight.T + layer.bias).tanh()
            mean = hidden @ model.policy.actions.mean.weight.T + model.policy.actions.mean.bias
            scored = Normal(mean, model.policy.actions.log_std.exp()).log_prob(
                explored["raw_action"][0, episode, valid]
            )
            scores.append(scored.sum(-1))
            advantages.append(advantage[0, episode, valid])
            count += int(valid.sum())
        joined = torch.cat(advantages)
        weights = (joined - joined.mean()) / joined.std(correction=0)
        total = (torch.cat(scores) * weights).sum() / count
        gradients = torch.autograd.grad(total, list(model.policy.parameters()))
        for (name, value), gradient in zip(model.policy.named_parameters(), gradients):
            torch.testing.assert_close(adapted[name][task], value + 0.5 * gradient, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("env_class", ENVIRONMENTS)
@pytest.mark.parametrize("clip", [None, 0.2])
def test_the_meta_gradient_is_that_of_finite_differences_through_the_inner_steps(
    env_class: type[MetaEnv], clip: float | None
) -> None:
    model = build(env_class, inner_steps=2)
    objective = model.meta_objective(double(model, collect(model, env_class)))
    theta = {name: value.requires_grad_() for name, value in moved(model, seed=1, size=0.01).items()}
    direction = {name: value.detach() - theta[name].detach() for name, value in moved(model, seed=2, size=1.0).items()}
    for part in range(2):  # loss and KL
        gradients = torch.autograd.grad(objective.loss_and_kl(theta, clip)[part], list(theta.values()))
        slope = sum((gradient * way).sum() for gradient, way in zip(gradients, direction.values()))
        ahead, behind = (
            objective.loss_and_kl(
                {name: theta[name].detach() + sign * 1e-6 * way for name, way in direction.items()}, clip
            )
            for sign in (1.0, -1.0)
        )
        torch.testing.assert_close(slope, (ahead[part] - behind[part]) / 2e-6, rtol=1e-5, atol=1e-9)


@torch.no_grad()
def test_the_divergence_is_from_the_adapted_policies_that_acted() -> None:
    model = build()
    objective = model.meta_objective(collect(model).steps)
    theta = moved(model, seed=1, size=0.1)
    old, new = (
        Normal(*(part if index == 0 else part.exp() for index, part in enumerate(distribution.chunk(2, -1))))
        for distribution in (
            model.policy.with_parameters(parameters, objective._groups[0]._outer.inputs)
            for parameters in (objective.behavior, objective.adapt(theta))
        )
    )
    torch.testing.assert_close(objective.loss_and_kl(theta)[1], kl_divergence(old, new).sum(-1).mean())


def meta_gradient(objective: MetaObjective, theta: Parameters) -> Tensor:
    leaves = {name: value.detach().requires_grad_() for name, value in theta.items()}
    gradients = torch.autograd.grad(objective.loss_and_kl(leaves)[0], list(leaves.values()))
    return torch.cat([gradient.flatten() for gradient in gradients])


def test_to_first_order_the_meta_gradient_is_the_gradient_at_the_adapted_parameters() -> None:
    model = build(first_order=True)
    trials = collect(model)
    steps = double(model, trials)
    steps["sparse_reward"].neg_()  # as if "reward" were shaped: the outer objective counts it
    objective = model.meta_objective(steps)
    first_order = meta_gradient(objective, dict(model.policy.named_parameters()))
    adapted = {name: value.detach().requires_grad_() for name, value in objective.behavior.items()}
    outer = model.inner_loop.steps_to_learn_from(
        *(steps[:, 2:][key] for key in ("observation", "raw_action", "reward", "valid"))
    )
    distribution = model.policy.with_parameters(adapted, outer.inputs)
    scores = model.policy.actions.log_probability(distribution, outer.raw_action)
    loss = -(scores * outer.advantage).mean()
    at_adapted = torch.autograd.grad(loss, list(adapted.values()))
    expected = torch.cat([gradient.sum(0).flatten() for gradient in at_adapted])
    torch.testing.assert_close(first_order, expected, rtol=1e-8, atol=1e-10)
    model.first_order = False
    second_order = meta_gradient(model.meta_objective(steps), dict(model.policy.named_parameters()))
    assert float((second_order - first_order).norm()) > 0.01 * float(first_order.norm())


@pytest.mark.parametrize("env_class", [GridNavi, PointRobot])
@pytest.mark.parametrize("inner_steps", [1, 2])
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("group_rows", [1, 4096])
def test_the_fisher_vector_product_is_that_of_the_hessian_of_the_kl(
    env_class: type[MetaEnv],
    inner_steps: int,
    first_order: bool,
    group_rows: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(maml_objective, "GROUP_ROWS", group_rows)
    model = build(env_class, layers=[3], inner_steps=inner_steps, first_order=first_order)
    objective = model.meta_objective(double(model, collect(model, env_class)))
    parameters = dict(model.policy.named_parameters())
    sizes = [value.numel() for value in parameters.values()]

    def kl(vector: Tensor) -> Tensor:
        parts = zip(parameters.items(), vector.split(sizes))
        return objective.loss_and_kl({name: part.view_as(value) for (name, value), part in parts})[1]

    def product(vector: Tensor) -> Tensor:
        parts = zip(parameters.items(), vector.split(sizes))
        image = of_named({name: part.view_as(value) for (name, value), part in parts})
        return torch.nn.utils.parameters_to_vector(image.values())

    start = torch.nn.utils.parameters_to_vector(parameters.values()).detach()
    of_named = objective.fisher_vector_product(parameters)
    hessian = torch.stack([product(row) for row in torch.eye(len(start), dtype=start.dtype)])
    torch.testing.assert_close(hessian, torch.autograd.functional.hessian(kl, start), rtol=1e-6, atol=1e-9)
    assert float(torch.linalg.eigvalsh(hessian)[0]) > -1e-9


@pytest.mark.parametrize("env_class", ENVIRONMENTS)
@pytest.mark.parametrize("first_order", [False, True])
def test_a_trust_region_update_improves_the_objective_within_the_kl_limit(
    env_class: type[MetaEnv], first_order: bool
) -> None:
    model = build(env_class, first_order=first_order)
    trials = collect(model, env_class)
    objective = model.meta_objective(trials.steps)
    before, _ = objective.loss_and_kl(dict(model.policy.named_parameters()))
    scalars = model.update(TrialBatch(trials))
    model.input_moments = type(model.input_moments)(model.meta_spec.observation_dim)  # as it was
    with torch.no_grad():
        loss, kl = objective.loss_and_kl(dict(model.policy.named_parameters()))
    assert float(loss) < float(before.detach())
    assert 0 < float(kl) <= model.trpo.max_kl * 1.01
    assert float(scalars["line_search_failed"]) == 0
    torch.testing.assert_close(scalars["kl"], kl, rtol=1e-3, atol=1e-6)
    torch.testing.assert_close(scalars["policy_loss"], loss, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("outer", ["trpo", "ppo"])
def test_trials_with_equal_returns_change_nothing_and_a_failed_line_search_is_counted(outer: str) -> None:
    model = build(outer=outer)
    trials = collect(model)
    trials.steps["reward"].zero_()
    trials.steps["sparse_reward"].zero_()
    before = {name: value.clone() for name, value in model.policy.state_dict().items()}
    scalars = model.update(TrialBatch(trials))
    assert all(torch.equal(before[name], value) for name, value in model.policy.state_dict().items())
    assert outer == "ppo" or float(scalars["line_search_failed"]) == 1


def test_cvar_ml_learns_from_the_worst_trials_only_and_the_statistics_from_all() -> None:
    trials = collect(build())
    worst = trials.returns.argsort()[:2].sort().values
    alone = replace(trials, tasks=trials.tasks[worst], steps=trials.steps[worst])
    share, theirs, everything = build(cvar_share=0.5), build(), build()
    share.update(TrialBatch(trials))
    theirs.update(TrialBatch(alone))
    everything.update(TrialBatch(trials))
    for name, value in share.policy.named_parameters():
        assert torch.equal(value, theirs.policy.get_parameter(name))
    assert torch.equal(share.input_moments.mean, everything.input_moments.mean)


@pytest.mark.parametrize("env_class", ENVIRONMENTS)
@pytest.mark.parametrize("settings", [{"outer": "trpo"}, {"outer": "ppo", "first_order": True}])
def test_updates_are_finite_and_deterministic(env_class: type[MetaEnv], settings: dict[str, Any]) -> None:
    def run() -> dict[str, Tensor]:
        model = build(env_class, **settings)
        for seed in range(2):
            scalars = model.update(TrialBatch(collect(model, env_class, seed)))
            assert all(torch.isfinite(value) for value in scalars.values())
        return dict(model.state_dict())

    first, second = run(), run()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_ppo_takes_as_many_steps_as_epochs_are_asked_for() -> None:
    trials = collect(build())
    five, one = (build(outer="ppo", ppo=PPOStepsPlan(epochs=epochs, learning_rate=1e-2)) for epochs in (5, 1))
    for model in (five, one):
        model.update(TrialBatch(trials))
    (state,) = {int(entry["step"]) for entry in five.optimizers().state.values()}  # type: ignore[union-attr]
    assert state == 5
    objective = build().meta_objective(trials.steps)
    with torch.no_grad():
        losses = [float(objective.loss_and_kl(dict(model.policy.named_parameters()))[0]) for model in (one, five)]
    assert losses[1] < losses[0] < 0


def test_ppo_takes_clipped_gradient_steps_on_the_clipped_objective() -> None:
    plan = PPOStepsPlan(epochs=4, clip=0.01, max_grad_norm=0.1)
    model, plain = build(outer="ppo", ppo=plan), build(outer="ppo", ppo=plan)
    optimizer: Any = torch.optim.SGD(model.parameters(), lr=1.0)
    model.optimizers = lambda: optimizer  # type: ignore[method-assign]
    trials = collect(model)
    model.update(TrialBatch(trials))
    objective = plain.meta_objective(trials.steps)
    for _ in range(4):
        loss, _ = objective.loss_and_kl(dict(plain.policy.named_parameters()), 0.01)
        gradients = torch.autograd.grad(loss, list(plain.policy.parameters()))
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        with torch.no_grad():
            for parameter, gradient in zip(plain.policy.parameters(), gradients):
                parameter -= gradient * min(1.0, 0.1 / float(norm))
    for name, value in model.policy.named_parameters():
        torch.testing.assert_close(value, plain.policy.get_parameter(name), rtol=1e-4, atol=1e-6, msg=name)


def test_an_action_of_all_tasks_is_one_evaluation_of_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build()
    shapes: list[torch.Size] = []
    forward = type(model.policy).forward

    def counted(policy: Any, inputs: Tensor) -> Tensor:
        shapes.append(inputs.shape)
        return forward(policy, inputs)

    monkeypatch.setattr(type(model.policy), "forward", counted)
    belief = model.start_trial(7, torch.Generator())
    model.act(torch.zeros(7, 2), belief, False, torch.Generator())
    assert shapes == [(7, 1, 2)]


@torch.no_grad()
def test_evaluation_keeps_the_noise_of_exploration_and_of_adapted_episodes_only_if_asked() -> None:
    def adapted_noise(**settings: Any) -> tuple[Tensor, Tensor]:
        model = build(**settings)
        trials, parameters = final_parameters(model, PointRobot, deterministic=True)
        inputs = trials.steps["observation"][:, -1]
        mean, _ = model.policy.with_parameters(parameters, inputs).chunk(2, -1)
        theta = dict(model.policy.named_parameters())
        first, _ = model.policy(trials.steps["observation"][:, 0]).chunk(2, -1)
        assert set(theta) == set(parameters)
        raw = trials.steps["raw_action"]
        return (raw[:, 0] - first).abs().mean(), (raw[:, -1] - mean).abs().mean()

    exploration, adapted = adapted_noise()
    assert float(exploration) > 0.3
    assert float(adapted) < 1e-5
    assert float(adapted_noise(noise_in_evaluation=True)[1]) > 0.3


def test_evaluation_in_inference_mode_adapts_the_same_and_changes_nothing() -> None:
    model = build(inner_steps=2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.inference_mode():
        trials = collect(model, deterministic=True)
    assert torch.equal(trials.steps["action"], collect(model, deterministic=True).steps["action"])
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_of_episodes_longer_than_in_training_the_first_steps_count() -> None:
    class Longer(PointRobot):
        meta_spec = replace(PointRobot.meta_spec, horizon=PointRobot.meta_spec.horizon + 5)

    model = build()
    trials = collect(model, Longer)
    assert trials.steps["valid"].shape[2] == Longer.meta_spec.horizon
    assert bool(trials.steps["valid"].all())


def test_advantages_are_standardized_over_the_steps_that_exist() -> None:
    values = torch.tensor([[1.0, 2.0, 6.0, 99.0], [4.0, 4.0, 4.0, 4.0], [7.0, 8.0, 9.0, 9.0]])
    valid = torch.tensor([[True, True, True, False], [True] * 4, [False] * 4])
    result = standardized(values, valid)
    expected = (values[0, :3] - 3.0) / values[0, :3].std(correction=0)
    torch.testing.assert_close(result[0, :3], expected)
    assert (result[0, 3], result[1].abs().sum(), result[2].abs().sum()) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"inner_steps": 0}, "inner_steps"),
        ({"episodes_per_step": 0}, "episodes_per_step"),
        ({"inner_rate": 0.0}, "inner_rate"),
        ({"inner_rate": math.inf}, "inner_rate"),
        ({"initial_std": 0.0}, "initial_std"),
        ({"layers": []}, "layers"),
        ({"layers": [8, 0]}, "layers"),
        ({"cvar_share": 0.0}, "cvar_share"),
        ({"discount": 1.5}, "discount"),
        ({"gae_lambda": 0.0}, "gae_lambda"),
        ({"ppo": {"epochs": 0}}, "ppo.epochs"),
        ({"ppo": {"learning_rate": -1.0}}, "ppo.learning_rate"),
        ({"ppo": {"learning_rate": math.inf}}, "ppo.learning_rate"),
        ({"ppo": {"clip": math.nan}}, "ppo.clip"),
        ({"ppo": {"max_grad_norm": 0.0}}, "ppo.max_grad_norm"),
        ({"trpo": {"max_kl": 0.0}}, "trpo.max_kl"),
        ({"outer": "TRPO"}, "outer"),
        ({"initialization": "Orthogonal"}, "initialization"),
        ({"action_bounds": "Tanh"}, "action_bounds"),
    ],
)
def test_impossible_settings_are_refused_by_name(settings: dict[str, Any], key: str) -> None:
    plans: dict[str, Any] = {"ppo": PPOStepsPlan, "trpo": TrustRegionPlan}
    with pytest.raises(ConfigurationError, match=f": {key.rpartition('.')[2]} = "):
        build(**{name: plans[name](**value) if name in plans else value for name, value in settings.items()})
