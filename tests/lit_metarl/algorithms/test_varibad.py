"""VariBAD's evidence lower bound against a plain loop over trials, posteriors and steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence
from torch.nn import functional

from datamodules.collection import Collector, Trials, as_sequences
from envs import GridNavi
from envs.errors import ConfigurationError
from envs.randomness import normal
from lit_metarl.algorithms import ELBOPlan, VariBAD
from lit_metarl.networks import RecurrentEncoderPlan
from tests.environments import EndingPoint

TASKS, EPISODES, LATENT, TERMS, STEPS = 4, 2, 3, 5, 6


def build(**elbo: Any) -> VariBAD:
    torch.manual_seed(0)
    plan = ELBOPlan([16, 8], state_weight=0.7, task_weight=0.3, terms=TERMS, decoded_steps=STEPS, **elbo)
    encoder = RecurrentEncoderPlan(hidden=12)
    return VariBAD(EndingPoint.meta_spec, latent_dim=LATENT, elbo=plan, encoder=encoder, seed=5)


def collect(model: VariBAD, seed: int = 0) -> Trials:
    env = EndingPoint(TASKS, seed)
    generator = torch.Generator().manual_seed(seed)
    trials = Collector(env).collect(model, env.task_distribution.sample(TASKS, generator), EPISODES, generator)
    trials.steps["reward"] += 1.0  # as if it were shaped: the belief is about the sparse reward
    return trials


@torch.no_grad()
def test_the_bound_is_that_of_a_plain_loop() -> None:
    model = build()
    trials = collect(model)
    sequences = as_sequences(trials)
    lengths = sequences["valid"].sum(1)
    assert len(lengths.unique()) > 1
    state = model.generator.get_state()
    terms = model.negative_elbo(trials)

    model.generator.set_state(state)
    times = model._sample_integers((TASKS, TERMS), lengths + 1)
    steps = model._sample_integers((TASKS, TERMS, STEPS), lengths)
    noise = normal((TASKS, TERMS, LATENT), model.generator, torch.zeros(1))
    expected = dict.fromkeys(("kl", "reward", "state", "task"), torch.zeros(()))
    for trial in range(TASKS):
        hidden, beliefs = torch.zeros(1, 12), []
        for time in range(int(lengths[trial]) + 1):
            mean, log_variance = model.posterior(hidden)[0].chunk(2)
            beliefs.append(Independent(Normal(mean, (0.5 * log_variance).exp()), 1))
            if time < lengths[trial]:
                step = sequences[trial, time]
                after = torch.cat((step["next_observation"], step["ends"][None].float()))
                embedded = model.encoder.embed(step["action"][None], after[None], step["sparse_reward"][None])
                hidden = torch.gru_cell(embedded, hidden, *model.encoder.gru.all_weights[0])
        for term in range(TERMS):
            time = int(times[trial, term])
            standard = Independent(Normal(torch.zeros(LATENT), torch.ones(LATENT)), 1)
            kl = kl_divergence(beliefs[time], beliefs[time - 1] if time else standard)
            expected["kl"] = expected["kl"] + 0.1 * kl
            z = beliefs[time].mean + beliefs[time].base_dist.stddev * noise[trial, term]
            task = model.decoders["task"](z)
            expected["task"] = expected["task"] + 0.3 * functional.mse_loss(task, trials.tasks[trial])
            for pair in range(STEPS):
                step = sequences[trial, int(steps[trial, term, pair])]
                assert bool(step["valid"])
                before = torch.cat((step["observation"], step["begins"][None].float()))
                after = torch.cat((step["next_observation"], step["ends"][None].float()))
                for name, states, target in (
                    ("reward", (after, before), step["sparse_reward"][None]),
                    ("state", (before,), after),
                ):
                    decoder = model.decoders[name]
                    embedded = [functional.relu(decoder.state(s)) for s in states]
                    inputs = torch.cat((z, *embedded, functional.relu(decoder.action(step["action"]))))
                    predicted = decoder.rest(functional.relu(decoder.first(inputs)))
                    weight = {"reward": 1.0, "state": 0.7}[name] / TASKS
                    expected[name] = expected[name] + weight * functional.mse_loss(predicted, target)
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value, rtol=1e-3, atol=1e-5)


def test_integers_are_sampled_equally_often_up_to_each_trials_own_end() -> None:
    sampled = build()._sample_integers((2, 6000), torch.tensor([3, 5]))
    for row, below in zip(sampled, (3, 5)):
        assert torch.bincount(row, minlength=below).tolist() == pytest.approx([6000 / below] * below, rel=0.1)


@pytest.mark.parametrize(("largest_norm", "rate"), [(0.01, 1.0), (1e9, 1e-4)])
def test_every_set_of_remembered_trials_is_a_gradient_step_in_which_each_network_is_clipped_by_itself(
    largest_norm: float, rate: float
) -> None:
    model, plain = (build(max_grad_norm=largest_norm) for _ in range(2))
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    model.optimizers = lambda: [None, optimizer]  # type: ignore[method-assign,assignment,return-value]
    model.manual_backward = lambda loss, **kwargs: loss.backward(**kwargs)  # type: ignore[method-assign]
    remembered = (collect(model), collect(model, seed=1))
    model.update_belief(remembered)
    for trials in remembered:
        loss = torch.stack(list(plain.negative_elbo(trials).values())).sum()
        for group in ([plain.encoder, plain.posterior], *([decoder] for decoder in plain.decoders.values())):
            parameters = [parameter for module in group for parameter in module.parameters()]
            gradients = torch.autograd.grad(loss, parameters, retain_graph=True)
            norm = float(torch.cat([gradient.flatten() for gradient in gradients]).norm())
            with torch.no_grad():
                for parameter, gradient in zip(parameters, gradients):
                    parameter -= rate * min(1.0, largest_norm / norm) * gradient
    for name, value in model.named_parameters():
        torch.testing.assert_close(value, plain.get_parameter(name), rtol=1e-4, atol=1e-6, msg=name)


def test_a_weight_of_zero_leaves_a_decoder_out() -> None:
    torch.manual_seed(0)
    assert set(VariBAD(EndingPoint.meta_spec).decoders) == {"reward"}
    assert set(build().decoders) == {"reward", "state", "task"}


@torch.no_grad()
def test_heads_of_a_finite_environment_predict_whether_the_entered_cell_is_rewarded() -> None:
    torch.manual_seed(0)
    model = VariBAD(
        GridNavi.meta_spec,
        latent_dim=LATENT,
        elbo=ELBOPlan([16], reward_likelihood="bernoulli", reward_by_state=True, terms=TERMS, decoded_steps=STEPS),
        encoder=RecurrentEncoderPlan(hidden=12),
        seed=5,
    )
    goals = torch.tensor([[0.0, 2.0], [2.0, 0.0], [2.0, 1.0], [1.0, 2.0]])
    trials = Collector(GridNavi(TASKS)).collect(model, goals, EPISODES, torch.Generator().manual_seed(0))
    sequences = as_sequences(trials)
    assert bool((sequences["sparse_reward"] > 0).any())
    state = model.generator.get_state()
    bound = model.negative_elbo(trials)["reward"]

    model.generator.set_state(state)
    lengths = sequences["valid"].sum(1)
    times = model._sample_integers((TASKS, TERMS), lengths + 1)
    steps = model._sample_integers((TASKS, TERMS, STEPS), lengths)
    noise = normal((TASKS, TERMS, LATENT), model.generator, torch.zeros(1))
    mean, log_variance = model.encode(sequences)
    expected = torch.zeros(())
    for trial in range(TASKS):
        for term in range(TERMS):
            time = int(times[trial, term])
            spread = (0.5 * log_variance[trial, time]).exp()
            logits = model.decoders["reward"].heads(mean[trial, time] + spread * noise[trial, term])
            for step in steps[trial, term].tolist():
                x, y = sequences["next_observation"][trial, step].tolist()
                found = Bernoulli(logits=logits[int(5 * x + y)])
                expected -= found.log_prob(((x, y) == tuple(goals[trial].tolist())) * torch.ones(())) / TASKS
    torch.testing.assert_close(bound, expected, rtol=1e-4, atol=1e-5)


def test_heads_by_state_are_refused_in_a_continuous_environment() -> None:
    with pytest.raises(ConfigurationError, match="reward_by_state.*no finite set of states"):
        VariBAD(EndingPoint.meta_spec, elbo=ELBOPlan(reward_by_state=True))
