"""MAML adapting to 40 tasks at once against a loop over the tasks, each with a policy module of its own.

Both run the same trials: exploration episodes in the batched environment, an inner step for every task, one adapted
episode. The loop takes one task at a time wherever a policy is evaluated or changed: in every step of the
rollout, and for the inner step, by plain autograd. Both draw the same noise, so that the adapted parameters can
be compared. Both take turns in one process.
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
from datamodules.collection import Collector
from datamodules.contracts import Decision
from envs import PointRobot
from envs.randomness import normal
from lit_metarl.algorithms import MAML
from lit_metarl.algorithms.maml_inner_loop import Steps
from lit_metarl.networks import GaussianActions, TaskPolicy

TASKS, EPISODES, TURNS = 40, 20, 3


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
        return mean + log_std.exp() * noise

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
                value -= self.inner_rate * gradient


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
    }
    return finish("maml", figures, {"over_task_loop": (">=", 5.0), "max_difference": ("<=", 1e-4)})


if __name__ == "__main__":
    sys.exit(main())
