"""Relabeling at the published sizes of half-cheetah-vel against a loop that works as the published code does.

The sizes: 100 training tasks, a trajectory of 200 steps, 256 start states, three hidden layers of 300
(encoder: 200), 20 contexts for log Z. The loop takes one task at a time and, for the hindsight rewards,
one step at a time, with autograd on; for log Z it takes one task's data at a time and then one large
batch of all tasks. Both take turns in one process with one thread, as in this project's configurations, call
the same environment's reward function and use the same noise, so that the distributions over tasks can be compared.
The keys `..._in_numbers` are for a loop whose reward is written out for plain numbers, the least that a step at
a time can cost.
"""

from __future__ import annotations

import math
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from tensordict import TensorDict
from torch import Tensor, nn
from torch.distributions import Normal
from torch.nn import functional
from torchrl.modules import MLP

from benchmarks.report import finish
from datamodules.collection import Trials
from datamodules.relabeling import HFRRelabeler
from datamodules.replay import TaskReplay
from envs import HalfCheetahVel
from lit_metarl.algorithms import PEARL

T = TypeVar("T")
TASKS, HORIZON, EPISODES, STARTS, CONTEXTS, TURNS = 100, 200, 10, 256, 20, 5


def random_trials(replay: TaskReplay, generator: torch.Generator) -> Trials:
    """Ten episodes a task as after the initial collection, with made-up states."""
    shape = (TASKS, EPISODES, HORIZON)

    def draw(*size: int) -> Tensor:
        return torch.randn(*shape, *size, generator=generator)

    features = torch.stack((3.0 * draw().abs(), 0.1 * draw().square(), torch.zeros(shape)), -1)
    steps = {
        "observation": draw(20),
        "action": draw(6).tanh(),
        "next_observation": draw(20),
        "features": features,
        "valid": torch.ones(shape, dtype=torch.bool),
    }
    return Trials(replay.tasks, TensorDict(steps, list(shape)), None, 2)


def plain(network: MLP, rows: Tensor) -> Tensor:
    """The network with a new tensor for every operation."""
    *hidden, last = (layer for layer in network if isinstance(layer, nn.Linear))
    for layer in hidden:
        rows = functional.relu(layer(rows))
    outputs: Tensor = last(rows)
    return outputs


class PublishedLoop:
    """What the published code does, on the same networks, environment, replay and noise."""

    def __init__(self, agent: PEARL, replay: TaskReplay) -> None:
        self.agent, self.replay = agent, replay
        self.draws = torch.Generator()
        self.hindsight_s = 0.0

    def hindsight(self, features: Tensor) -> list[Tensor]:
        """The environment's rewards of one trajectory `[time, features]` under every task, a step at a time."""
        reward = self.replay.env.reward
        return [torch.stack([reward(step, task).sparse_reward for step in features]) for task in self.replay.tasks]

    def hindsight_in_numbers(self, features: Tensor) -> list[np.ndarray]:
        """The same with half-cheetah-vel's reward written for plain numbers."""
        rows = [{"velocity": row[0], "control_cost": row[1]} for row in features.numpy()]
        tasks = self.replay.tasks[:, 0].tolist()
        return [np.array([-abs(row["velocity"] - task) - row["control_cost"] for row in rows]) for task in tasks]

    def utility(self, context: Tensor, starts: Tensor, z_noise: Tensor, action_noise: Tensor) -> Tensor:
        """min Q of the adapted policy's action, averaged over start states; tasks in front, `[tasks]`."""
        agent, (tasks, number, _) = self.agent, starts.shape
        mean, raw = plain(agent.encoder, context.flatten(0, 1)).view(tasks, -1, 2 * agent.latent_dim).chunk(2, -1)
        z_rows = []
        for task_mean, task_raw, row_noise in zip(mean, raw, z_noise):
            precision = functional.softplus(task_raw).clamp(min=1e-7).reciprocal()
            variance = 1.0 / precision.sum(0)
            z_rows.append((variance * (task_mean * precision).sum(0) + variance.sqrt() * row_noise).repeat(number, 1))
        z = torch.cat(z_rows)
        start = starts.reshape(tasks * number, -1)
        policy_mean, log_std = plain(agent.policy.network, torch.cat((start, z), 1)).chunk(2, 1)
        log_std = log_std.clamp(-20.0, 2.0)
        std = log_std.exp()
        before = policy_mean + std * action_noise.reshape(tasks * number, -1)
        action = before.tanh()
        (Normal(policy_mean, std).log_prob(before) - torch.log(1 - action * action + 1e-6)).sum(1)  # as published
        q = [plain(critic, torch.cat((start, action, z.detach()), 1)) for critic in agent.critics]
        return torch.min(*q).view(tasks, number).mean(1)

    def utilities(self, trajectory: TensorDict) -> Tensor:
        """Utilities of one trajectory `[time]` under every task, one after the other."""
        self.hindsight_s, rewards = timed(lambda: self.hindsight(trajectory["features"]))
        index = torch.rand(TASKS, STARTS, generator=self.draws, dtype=torch.float64)
        z_noise = torch.randn(TASKS, self.agent.latent_dim, generator=self.draws)
        action_noise = torch.randn(TASKS, STARTS, 6, generator=self.draws)
        context = torch.cat((trajectory["observation"], trajectory["action"], torch.zeros(HORIZON, 1)), 1)[None]
        values = np.zeros(TASKS, np.float32)
        for task in range(TASKS):
            context[0, :, -1] = rewards[task]
            starts = self.start_states(task, index[task])
            noise = z_noise[task : task + 1], action_noise[task : task + 1]
            values[task] = self.utility(context, starts[None], *noise).detach().numpy()[0]
        return torch.from_numpy(values)

    def start_states(self, task: int, uniform: Tensor) -> Tensor:
        numbers = task * EPISODES * HORIZON + (uniform * EPISODES).long() * HORIZON
        states: Tensor = self.replay.store.get(numbers)["observation"]
        return states

    def log_partition(self, contexts: int) -> Tensor:
        """log Z of every task, all tasks in one batch a context, each task's data fetched by itself."""
        values = np.zeros((TASKS, contexts), np.float32)
        for column in range(contexts):
            position = torch.rand(TASKS, HORIZON, generator=self.draws, dtype=torch.float64)
            index = torch.rand(TASKS, STARTS, generator=self.draws, dtype=torch.float64)
            z_noise = torch.randn(TASKS, self.agent.latent_dim, generator=self.draws)
            action_noise = torch.randn(TASKS, STARTS, 6, generator=self.draws)
            rows = []
            for task in range(TASKS):
                numbers = task * EPISODES * HORIZON + (position[task] * EPISODES * HORIZON).long()
                data = self.replay.store.get(numbers)
                velocity, control_cost, _ = data["features"].unbind(-1)
                reward = -(velocity - self.replay.tasks[task, 0]).abs() - control_cost
                rows.append(torch.cat((data["observation"], data["action"], reward[:, None]), 1))
            starts = torch.stack([self.start_states(task, index[task]) for task in range(TASKS)])
            values[:, column] = self.utility(torch.stack(rows), starts, z_noise, action_noise).detach().numpy()
        return torch.from_numpy(values).logsumexp(1) - math.log(contexts)


def timed(work: Callable[[], T]) -> tuple[float, T]:
    """Seconds, and what `work` returned."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def main() -> int:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    env = HalfCheetahVel(1)
    agent = PEARL(env.meta_spec)
    for critic in agent.critics:  # spread the values, as training does: fresh networks hardly tell tasks apart
        critic[-1].weight.data.mul_(30.0)  # type: ignore[index]
    replay = TaskReplay(env, TASKS, TASKS * EPISODES * HORIZON)
    replay.tasks.copy_(env.task_distribution.sample(TASKS, torch.Generator().manual_seed(1)))
    trials = random_trials(replay, torch.Generator().manual_seed(2))
    trajectories = replay.add(trials, torch.arange(TASKS), torch.ones(EPISODES, dtype=torch.bool))
    replay.keep(trajectories, trajectories.slots)
    relabeler = HFRRelabeler(utility_batch=STARTS, partition_contexts=CONTEXTS // TURNS)
    loop = PublishedLoop(agent, replay)
    slots = torch.arange(TASKS)
    times: dict[str, list[float]] = {}
    difference = 0.0

    def record(name: str, work: Callable[[], T]) -> T:
        seconds, result = timed(work)
        times.setdefault(name, []).append(seconds)
        return result

    for turn in range(TURNS + 1):  # the first to warm up
        one = trajectories.select(torch.arange(len(trajectories.slots)) == turn)
        steps = replay.trajectory_steps(one)
        relabeler.generator = torch.Generator().manual_seed(turn)
        loop.draws = torch.Generator().manual_seed(turn)
        record("hindsight", partial(replay.compute_rewards, steps, torch.arange(TASKS)[:, None]))
        record("hindsight_in_numbers_loop", partial(loop.hindsight_in_numbers, steps["features"][0]))
        with torch.no_grad():
            utilities = record("relabel", partial(relabeler.utilities, one, slots, replay, agent))[0]
            log_z = record("log_z", lambda: relabeler.log_partition(slots, replay, agent))
        expected = record("relabel_loop", partial(loop.utilities, steps[0]))
        times.setdefault("hindsight_loop", []).append(loop.hindsight_s)
        expected_log_z = record("log_z_loop", lambda: loop.log_partition(CONTEXTS // TURNS))
        distribution, same = (utilities - log_z).softmax(-1), (expected - expected_log_z).softmax(-1)
        difference = max(difference, float((distribution - same).abs().max()))

    seconds = {name: statistics.median(values[1:]) for name, values in times.items()}
    numbers = seconds["relabel_loop"] - seconds["hindsight_loop"] + seconds["hindsight_in_numbers_loop"]
    figures = {
        "hindsight_over_loop": seconds["hindsight_loop"] / seconds["hindsight"],
        "relabel_over_loop": seconds["relabel_loop"] / seconds["relabel"],
        "log_z_over_loop": seconds["log_z_loop"] / seconds["log_z"],
        "max_difference": difference,
        "relabel_ms": 1000 * seconds["relabel"],
        "log_z_ms": 1000 * seconds["log_z"] * TURNS,
        "hindsight_over_loop_in_numbers": seconds["hindsight_in_numbers_loop"] / seconds["hindsight"],
        "relabel_over_loop_in_numbers": numbers / seconds["relabel"],
    }
    targets = {
        "hindsight_over_loop": (">=", 100.0),
        "relabel_over_loop": (">=", 3.0),
        "log_z_over_loop": (">=", 2.5),
        "max_difference": ("<=", 1e-4),
    }
    return finish("relabeling", figures, targets)


if __name__ == "__main__":
    sys.exit(main())
