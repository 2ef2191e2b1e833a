"""MAML adapting to 40 tasks at once against a loop over the tasks, each with a policy module of its own.

Both run the same trials: exploration episodes in the batched environment, an inner step for every task, one adapted
episode. The loop takes one task at a time wherever a policy is evaluated or changed: in every step of the
rollout, and for the inner step, by plain autograd. Both draw the same noise, so that the adapted parameters can
be compared. Both take turns in one process.

Then the outer update at the size of published experiments, on trials of random numbers: 20 tasks × (20 + 20) episodes ×
200 steps of a half-cheetah, against a loop over the tasks that differentiates each one's KL twice.
"""

from __future__ import annotations

import copy
import statistics
import sys
import time

import torch
from tensordict import TensorDict
from torch import Tensor

from benchmarks.report import finish
from datamodules.collection import Collector, Trials
from datamodules.contracts import Decision
from datamodules.experience import TrialBatch
from envs import HalfCheetahVel, PointRobot
from envs.randomness import normal
from lit_metarl.algorithms import MAML
from lit_metarl.algorithms.maml_inner_loop import Steps
from lit_metarl.networks import GaussianActions, TaskPolicy
from lit_metarl.optim.trust_region import trust_region_step

TASKS, EPISODES, TURNS = 40, 20, 3
UPDATE_TASKS, UPDATE_TURNS = 20, 3


class TaskLoop(MAML):
    """The same agent, one task after the other."""

    policies: list[TaskPolicy]

    def start_trial(self, n: int, generator: torch.Generator) -> TensorDict:
        self.policies = [copy.deepcopy(self.policy) for _ in range(n)]
        return super().start_trial(n, generator)

    def act(self, observation: Tensor, belief: TensorDict, deterministic: bool, generator: torch.Generator) -> Decision:
        noise = normal((len(observation), self.meta_spec.action_dim), generator, observation)
        raw = torch.stack([self.act_alone(*of_task) for of_task in zip(self.policies, observation, noise)])
        return Decision(raw.clamp(-1.0, 1.0), {"raw_action": raw})

    def act_alone(self, policy: TaskPolicy, observation: Tensor, noise: Tensor) -> Tensor:
        mean, log_std = policy(self.input_moments.normalize(observation)[None])[0].chunk(2)
        raw_action: Tensor = mean + log_std.exp() * noise
        return raw_action

    def end_episode(self, belief: TensorDict, generator: torch.Generator) -> TensorDict:
        belief["episode"] += 1
        belief["time"].zero_()
        if int(belief["episode"][0]) == self.exploration_episodes:
            for task, policy in enumerate(self.policies):
                keys = ("observation", "raw_action", "reward", "valid")
                self.adapt_alone(
                    policy, self.inner_loop.steps_to_learn_from(*(belief[key][task : task + 1].clone() for key in keys))
                )
        return belief

    @torch.enable_grad()
    def adapt_alone(self, policy: TaskPolicy, steps: Steps) -> None:
        scores = policy.actions.log_probability(policy(steps.inputs[0]), steps.raw_action[0])
        loss = -(scores * steps.advantage[0]).mean()
        gradients = torch.autograd.grad(loss, list(policy.parameters()))
        with torch.no_grad():
            for value, gradient in zip(policy.parameters(), gradients):
                value.sub_(self.inner_rate * gradient)


class Watched(MAML):
    """Keeps the last belief."""

    belief: TensorDict

    def end_episode(self, belief: TensorDict, generator: torch.Generator) -> TensorDict:
        self.belief = super().end_episode(belief, generator)
        return self.belief


def seconds_of_trials(agent: MAML) -> float:
    """A trial on every task, on a fresh instance of the same environment with the same random numbers."""
    env, generator = PointRobot(TASKS, seed=0), torch.Generator().manual_seed(0)
    tasks = env.task_distribution.sample(TASKS, generator)
    collector = Collector(env)
    start = time.perf_counter()
    collector.collect(agent, tasks, EPISODES + 1, generator)
    return time.perf_counter() - start


class PlainUpdate:
    """The outer update written plainly: one task after the other, each with a graph of its own."""

    def __init__(self, agent: MAML, steps: TensorDict) -> None:
        self.agent, self.actions, loop = agent, agent.policy.actions, agent.inner_loop
        self.names = [name for name, _ in agent.policy.named_parameters()]
        self.theta = torch.nn.utils.parameters_to_vector(agent.policy.parameters()).detach()
        keys, first = ("observation", "raw_action", "reward", "valid"), agent.exploration_episodes
        self.tasks = []
        for task in steps.split(1):
            inner, outer = (loop.steps_to_learn_from(*(part[key] for key in keys)) for part in task.split(first, 1))
            inner, outer = (Steps(*(values[0] for values in part)) for part in (inner, outer))
            acted = self.forward(list(agent.policy.parameters()), inner).detach()
            outer_acted = self.forward(self.adapted(self.theta, inner, acted), outer).detach()
            self.tasks.append((inner, outer, acted, outer_acted))

    def forward(self, parameters: list[Tensor], steps: Steps) -> Tensor:
        parameters_of = dict(zip(self.names, parameters))
        distribution: Tensor = torch.func.functional_call(self.agent.policy, parameters_of, (steps.inputs,))
        return distribution

    def surrogate(self, distribution: Tensor, acted: Tensor, steps: Steps) -> Tensor:
        new, old = (self.actions.log_probability(of, steps.raw_action) for of in (distribution, acted))
        return -((new - old).exp() * steps.advantage).mean()

    def adapted(self, theta: Tensor, inner: Steps, acted: Tensor) -> list[Tensor]:
        own = self.agent.policy.parameters()
        with torch.enable_grad():
            theta = theta if theta.requires_grad else theta.clone().requires_grad_()
            parts = theta.split([value.numel() for value in self.agent.policy.parameters()])
            parameters = [part.view_as(value) for part, value in zip(parts, own)]
            loss = self.surrogate(self.forward(parameters, inner), acted, inner)
            gradients = torch.autograd.grad(loss, parameters, create_graph=True)
        return [value - self.agent.inner_rate * gradient for value, gradient in zip(parameters, gradients)]

    def losses_and_kls(self, theta: Tensor) -> list[tuple[Tensor, Tensor]]:
        terms = []
        for inner, outer, acted, outer_acted in self.tasks:
            distribution = self.forward(self.adapted(theta, inner, acted), outer)
            kl = self.actions.kl(outer_acted, distribution).mean()
            terms.append((self.surrogate(distribution, outer_acted, outer), kl))
        return terms

    def loss_and_kl(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        losses, kls = zip(*self.losses_and_kls(theta))
        return torch.stack(losses).mean(), torch.stack(kls).mean()

    def step(self) -> Tensor:
        start = self.theta.clone().requires_grad_()
        kls = [kl for _, kl in self.losses_and_kls(start)]
        slopes = [torch.autograd.grad(kl, start, create_graph=True)[0] for kl in kls]

        def product(vector: Tensor) -> Tensor:
            images = [torch.autograd.grad(slope @ vector, start, retain_graph=True)[0] for slope in slopes]
            return torch.stack(images).mean(0)

        return trust_region_step(self.loss_and_kl, product, self.theta, self.agent.trpo).step


def update_figures() -> dict[str, float]:
    """Seconds of an outer update, ours and that of the plain loop, and how much their steps differ."""
    generator = torch.Generator().manual_seed(0)
    spec = HalfCheetahVel.meta_spec
    agent = MAML(spec, episodes_per_step=EPISODES)
    agent.optimizers = lambda: torch.optim.SGD(agent.policy.parameters(), lr=1.0)  # type: ignore[method-assign, assignment]
    shape = (UPDATE_TASKS, 2 * EPISODES, spec.horizon)
    observation = torch.randn(*shape, spec.observation_dim, generator=generator)
    raw_action = torch.randn(*shape, spec.action_dim, generator=generator)
    reward, valid = -raw_action.square().sum(-1), torch.ones(shape, dtype=torch.bool)
    rewards = {"reward": reward, "sparse_reward": reward}
    trials = Trials.of(
        torch.zeros(UPDATE_TASKS, spec.task_dim),
        {"observation": observation, "raw_action": raw_action, "action": raw_action, "valid": valid, **rewards},
    )
    ours, theirs, initial = [], [], copy.deepcopy(agent.state_dict())
    for _ in range(UPDATE_TURNS):
        agent.load_state_dict(initial)
        before, start = torch.nn.utils.parameters_to_vector(agent.policy.parameters()).detach(), time.perf_counter()
        agent.update(TrialBatch(trials))
        ours.append(time.perf_counter() - start)
        step = torch.nn.utils.parameters_to_vector(agent.policy.parameters()).detach() - before
        agent.load_state_dict(initial)
        start = time.perf_counter()
        expected = PlainUpdate(agent, trials.steps).step()
        theirs.append(time.perf_counter() - start)
    ours_s, theirs_s = statistics.median(ours), statistics.median(theirs)
    return {
        "update_over_task_loop": theirs_s / ours_s,
        "update_s": ours_s,
        "update_task_loop_s": theirs_s,
        "update_difference": float((step - expected).norm() / expected.norm()),
    }


def main() -> int:
    """Measure and print the result; the exit status."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batched = Watched(PointRobot.meta_spec, episodes_per_step=EPISODES)
    assert isinstance(batched.policy.actions, GaussianActions)
    loop = TaskLoop(PointRobot.meta_spec, episodes_per_step=EPISODES)
    loop.load_state_dict(batched.state_dict())
    ours, theirs = [], []
    for _ in range(TURNS):
        ours.append(seconds_of_trials(batched))
        theirs.append(seconds_of_trials(loop))
    difference = max(
        float((value - torch.stack([policy.get_parameter(name).detach() for policy in loop.policies])).abs().max())
        for name, value in batched.belief["parameters"].items()
    )
    ours_s, theirs_s = statistics.median(ours), statistics.median(theirs)
    figures = {
        "over_task_loop": theirs_s / ours_s,
        "batched_s": ours_s,
        "task_loop_s": theirs_s,
        "max_difference": difference,
        **update_figures(),
    }
    targets = {
        "over_task_loop": (">=", 5.0),
        "max_difference": ("<=", 1e-4),
        "update_over_task_loop": (">=", 1.5),
        "update_difference": ("<=", 1e-3),
    }
    return finish("maml", figures, targets)


if __name__ == "__main__":
    sys.exit(main())
