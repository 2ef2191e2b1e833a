"""Whether foresight foresees: the utilities of hindsight foresight relabeling against what adapting really brings.

    python examples/foresight.py runs/NAME/version_0/checkpoints/last.ckpt

An agent runs a trial on every one of many tasks. Then, for a trajectory τ and every task ψ, it is given the belief that
τ with ψ's rewards leads to, and acts on ψ. The return of that episode is compared with U_ψ(τ) − log Z_ψ, from which the
relabeling distribution P is made. Printed, for trajectories of exploration and of adapted episodes:

- rank correlation of U − log Z with the gain, the return less that of ψ's own adapted episodes; mean over τ;
- the mean gain of tasks drawn uniformly, and of tasks drawn from P;
- the entropy of P, and the share of all its mass that the fifth of the tasks with most of it has.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from scipy.stats import spearmanr
from tensordict import TensorDict
from torch import Tensor

from datamodules.collection import Collector, Trials
from datamodules.contracts import StartStates
from envs import ConfigurationError, MetaEnv, TaskChanges
from envs.errors import require
from lit_metarl.algorithms import PEARL
from lit_metarl.trained import load_trained

ADAPTED_EPISODES = 2
OWN_TRIALS = 5
CONTEXTS = 20  # from which log Z is estimated, as in training
STARTS = 256


@dataclass(frozen=True)
class Foresight:
    """What was foreseen and what came.

    Attributes:
        logits: U − log Z, `[trajectories, tasks]`.
        gains: return after adapting from the relabeled trajectory, less that of the task's own adapted episodes.
    """

    logits: Tensor
    gains: Tensor

    @property
    def probabilities(self) -> Tensor:
        """The relabeling distribution, `[trajectories, tasks]`."""
        return self.logits.softmax(-1)

    @property
    def rank_correlation(self) -> float:
        """Spearman's, mean over trajectories."""
        found = [spearmanr(foreseen, came).statistic for foreseen, came in zip(self.logits, self.gains)]
        return float(sum(found) / len(found))

    @property
    def gain_under_p(self) -> float:
        """Mean gain of tasks drawn from the relabeling distribution."""
        return float((self.probabilities * self.gains).sum(-1).mean())

    @property
    def entropy(self) -> float:
        """Of the relabeling distribution, in nats, mean over trajectories."""
        return float(torch.special.entr(self.probabilities).sum(-1).mean())

    @property
    def largest_fifth(self) -> float:
        """Share of the mass of all distributions together that the fifth of the tasks with most of it has."""
        mass = self.probabilities.mean(0).sort(descending=True).values
        return float(mass[: math.ceil(len(mass) / 5)].sum())


class Check:
    """Runs an agent on tasks and measures how it would adapt from relabeled trajectories.

    Args:
        agent: the agent.
        env: with as many sub-environments as there are tasks.
        seed: of tasks and random numbers.
    """

    def __init__(self, agent: PEARL, env: MetaEnv, seed: int = 1) -> None:
        self.agent, self.env = agent, env
        self.generator = torch.Generator().manual_seed(seed)
        self.tasks = env.task_distribution.sample(env.num_envs, self.generator)
        episodes = agent.exploration_episodes + ADAPTED_EPISODES
        collector = Collector(env)
        self.trials: Trials = collector.collect(agent, self.tasks, episodes, self.generator)
        # Gains are measured without exploration noise, which has its own cost, and over several trials: P may be
        # concentrated on one task, and whether a trial identifies that task is a matter of chance.
        own = [self._adapted_returns(collector, episodes) for _ in range(OWN_TRIALS)]
        self.own = torch.stack(own).mean(0)

    def _adapted_returns(self, collector: Collector, episodes: int) -> Tensor:
        """Mean returns of the adapted episodes of one more trial on every task, `[tasks]`."""
        trials = collector.collect(self.agent, self.tasks, episodes, self.generator, deterministic=True)
        return trials.episode_returns[:, self.agent.exploration_episodes :].mean(-1)

    @torch.no_grad()
    def of_episode(self, episode: int, trajectories: int) -> Foresight:
        """Foresight from `trajectories` of the trials' `episode`, evenly spread over the tasks."""
        log_z = self.log_partition()
        logits, gains = [], []
        for number in torch.linspace(0, len(self.tasks) - 1, trajectories).long().tolist():
            hindsight = self.relabeled(self.trials.steps[number, episode])
            logits.append(self.utility(hindsight) - log_z)
            gains.append(self.adapted_return(hindsight) - self.own)
        return Foresight(torch.stack(logits), torch.stack(gains))

    def relabeled(self, steps: TensorDict) -> TensorDict:
        """`steps` `[time]` with the rewards of every task, `[tasks, time]`."""
        reward = self.env.compute_rewards(steps["features"][None], self.tasks[:, None])
        same = {key: steps[key].expand(len(self.tasks), *steps[key].shape) for key in (*KEPT, "valid")}
        return TensorDict({**same, **reward._asdict()}, [len(self.tasks), len(steps)])

    def utility(self, hindsight: TensorDict) -> Tensor:
        """U of every task's relabeled trajectory, `[tasks]`."""
        distinct = self.trials.steps["observation"][:, :, 0]
        draws = torch.randint(distinct.shape[1], (len(distinct), STARTS), generator=self.generator)
        return self.agent.adaptation_utility(hindsight, StartStates(distinct, draws), self.generator)

    def log_partition(self) -> Tensor:
        """log Z of every task, from contexts of its own data, `[tasks]`."""
        steps = self.trials.steps.flatten(1, 2)
        horizon = self.env.meta_spec.horizon
        utilities = []
        for _ in range(CONTEXTS):
            chosen = torch.multinomial(steps["valid"].float(), horizon, True, generator=self.generator)
            utilities.append(self.utility(steps[torch.arange(len(steps))[:, None], chosen]))
        return torch.logsumexp(torch.stack(utilities), 0) - math.log(CONTEXTS)

    @torch.no_grad()
    def adapted_return(self, hindsight: TensorDict) -> Tensor:
        """Return of an episode on every task, with the belief from its relabeled trajectory, `[tasks]`."""
        belief = self.agent.start_trial(len(self.tasks), self.generator)
        mean, variance = self.agent.infer(self.agent.context_features(hindsight), hindsight["valid"])
        belief["z"] = mean + variance.sqrt() * torch.randn(mean.shape, generator=self.generator)
        observation, _ = self.env.reset(options={"tasks": self.tasks})
        total = torch.zeros(len(self.tasks))
        while bool(self.env.running.any()):
            action = self.agent.act(observation, belief, True, self.generator).action
            observation, *_, info = self.env.step(self.env.action_units.rescaled(action))
            total += info["sparse_reward"]
        return total


KEPT = ("observation", "action", "next_observation")


def main(args: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(description="Compares HFR's utilities with the gain from adapting.")
    parser.add_argument("checkpoints", type=Path, nargs="+", help="of PEARL")
    parser.add_argument("--tasks", type=int, default=50)
    parser.add_argument("--trajectories", type=int, default=50, help="of each kind")
    options = parser.parse_args(args)
    torch.set_num_threads(1)
    print("checkpoint,episode,rank_correlation,gain_uniform,gain_under_p,entropy,largest_fifth")
    try:
        for path in options.checkpoints:
            trained = load_trained(path)
            agent, env = trained.algorithm, trained.make_env(options.tasks)
            known = isinstance(agent, PEARL) and env.meta_spec.task_changes is TaskChanges.REWARD
            hint = "Give those of PEARL in an environment whose tasks differ in the reward."
            require(known, "checkpoints", str(path), f"{type(agent).__name__} on {env.meta_spec.name}", hint)
            assert isinstance(agent, PEARL)
            check = Check(agent, env)
            for episode in (0, agent.exploration_episodes):
                found = check.of_episode(episode, options.trajectories)
                figures = (found.rank_correlation, float(found.gains.mean()), found.gain_under_p)
                rounded = ",".join(f"{figure:.2f}" for figure in (*figures, found.entropy, found.largest_fifth))
                print(f"{path},{episode + 1},{rounded}", flush=True)
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
