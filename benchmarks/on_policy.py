"""Environment frames a second of on-policy training: of a whole run, and over those of a bare loop.

VariBAD on KhazadDum (32 trials × 4 episodes × 32 steps an iteration) and on HalfCheetahMass (16 × 2 × 200), one thread.
The run goes through the trainer, the DataModule, the sampler and the collector, without evaluation. The bare loop
calls the same networks and losses and the same physics, and does nothing else: it checks nothing, resets and steps all
sub-environments alike, and keeps what is learned from in lists. They take turns in one process.
"""

from __future__ import annotations

import logging
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from benchmarks.report import finish
from datamodules import CollectionPlan, RolloutDataModule
from datamodules.collection import Trials, as_sequences
from datamodules.plans import BeliefPlan
from datamodules.relabeling import NoRelabeler
from datamodules.replay import TrialBuffer
from datamodules.tasks import CEMTaskSampler, ExponentialFamily, TaskSampler, UniformTaskSampler
from envs import HalfCheetahMass, KhazadDum, MetaEnv
from lit_metarl.algorithms import VariBAD
from lit_metarl.algorithms.on_policy import PolicySamples
from lit_metarl.algorithms.ppo_plan import PPOPlan
from lit_metarl.networks import ActingNetworks

WARM_UP, TURNS = 3, 20
LEAST_OVER_BARE = 0.85


class Stopwatch:
    """The time that a method of an object takes from now on.

    Args:
        owner: the object.
        method: the method's name.

    Attributes:
        seconds: sum of all calls.
    """

    def __init__(self, owner: Any, method: str) -> None:
        self._measured = getattr(owner, method)
        self.seconds = 0.0
        setattr(owner, method, self._call)

    def _call(self, *arguments: Any) -> Any:
        start = time.perf_counter()
        result = self._measured(*arguments)
        self.seconds += time.perf_counter() - start
        return result


class BareLoop:
    """Collects trials and learns from them.

    Args:
        env: its episodes end at the horizon only.
        model: what is trained.
        episodes: of a trial.
    """

    def __init__(self, env: MetaEnv, model: VariBAD, episodes: int) -> None:
        self.env, self.model, self.episodes = env, model, episodes
        self.generator = torch.Generator().manual_seed(0)
        self.remembered = TrialBuffer(BeliefPlan().capacity)
        self.belief_networks = [[*model.encoder.parameters(), *model.posterior.parameters()]]
        self.belief_networks += [list(decoder.parameters()) for decoder in model.decoders.values()]
        _, self.policy_optimizer = model.policy_optimizer()
        trained = [parameter for network in self.belief_networks for parameter in network]
        self.belief_optimizer = model.elbo.optimizer.build(trained, model.elbo.learning_rate)

    def iteration(self) -> None:
        """What a meta-iteration does."""
        trials = self.collect(self.env.task_distribution.sample(self.env.num_envs, self.generator))
        self.learn_policy(trials)
        self.remembered.add(trials)
        self.learn_belief(self.remembered.sample(BeliefPlan().trials, self.generator))

    def collect(self, tasks: Tensor) -> Trials:
        """One trial on each task."""
        self.env.set_tasks(tasks)
        with torch.inference_mode():
            episodes = list(self.run_episodes(tasks))
        steps = {
            key: torch.stack([torch.stack([step[key] for step in steps], 1) for steps in episodes], 1)
            for key in episodes[0][0]
        }
        exists = torch.ones(steps["reward"].shape, dtype=torch.bool)
        return Trials.of(tasks, {**steps, "sparse_reward": steps["reward"], "valid": exists})

    def run_episodes(self, tasks: Tensor) -> Iterator[list[dict[str, Tensor]]]:
        """The steps of one episode after the other, `[trials, ...]` each."""
        env, model, n = self.env, self.model, len(tasks)
        networks = ActingNetworks(model.actor_critic, model.encoder, model.input_moments)
        everyone, border, hidden = torch.arange(n), torch.zeros(n, 1), torch.zeros(n, model.encoder.hidden)
        belief = model.posterior(hidden)
        for _ in range(self.episodes):
            observation, _ = env.reset()
            steps = []
            for time_left in reversed(range(env.meta_spec.horizon)):
                features = networks.policy_features(torch.cat((observation, border, belief), -1))
                raw_action = networks.sample(features, False, self.generator)
                action = networks.applied(raw_action)
                reward, _, terminated = env.reward(env._simulate(action, everyone), tasks)
                env._elapsed += 1
                before, observation = observation, env._observe()
                seen = {"observation": before, "belief": belief, "action": action, "raw_action": raw_action}
                brought = {"next_observation": observation, "reward": reward, "terminated": terminated}
                steps.append({**seen, **brought})
                border = torch.full((n, 1), float(time_left == 0))
                step = torch.cat((action, observation, border, reward[:, None]), -1)
                hidden = networks.recurrent_state(step, hidden)
                belief = model.posterior(hidden)
            yield steps

    def learn_policy(self, trials: Trials) -> None:
        """PPO."""
        model, plan = self.model, self.model.ppo
        samples = model.policy_samples(as_sequences(trials), trials.returns)
        weights = torch.tensor([1.0, plan.value_weight, -plan.entropy_weight])
        size = len(samples.inputs) // plan.minibatches
        for _ in range(plan.epochs):
            order = torch.randperm(len(samples.inputs), generator=self.generator)
            for rows in order.split(size):
                minibatch = PolicySamples(*(values[rows] for values in samples))
                self.policy_optimizer.zero_grad()
                (model.policy_losses(minibatch) @ weights).backward()
                nn.utils.clip_grad_norm_(model.policy_parameters(), plan.max_grad_norm)
                self.policy_optimizer.step()

    def learn_belief(self, trials: Trials) -> None:
        """A gradient step on the evidence lower bound."""
        self.belief_optimizer.zero_grad()
        torch.stack(list(self.model.negative_elbo(trials).values())).sum().backward()
        for parameters in self.belief_networks:
            nn.utils.clip_grad_norm_(parameters, self.model.elbo.max_grad_norm)
        self.belief_optimizer.step()


class Turns(pl.Callback):
    """Runs an iteration of the bare loop after each of the run's own.

    Args:
        loop: the bare loop.

    Attributes:
        ours: seconds of the run's own iterations.
        bare: seconds of the bare loop's.
        parts: what the run's own consist of.
        ended: when the bare loop's last turn ended.
    """

    def __init__(self, loop: BareLoop) -> None:
        self.loop = loop
        self.ours: list[float] = []
        self.bare: list[float] = []
        self.parts: dict[str, Stopwatch] = {}
        self.ended = 0.0

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        now = time.perf_counter()
        if batch_idx >= WARM_UP:
            self.ours.append(now - self.ended)
        self.loop.iteration()
        self.ended = time.perf_counter()
        if batch_idx >= WARM_UP:
            self.bare.append(self.ended - now)
        if batch_idx + 1 == WARM_UP:
            data = trainer.datamodule
            self.parts = {
                "rollout": Stopwatch(data, "collect"),
                "policy": Stopwatch(pl_module, "update_policy"),
                "belief": Stopwatch(pl_module, "update_belief"),
                "physics": Stopwatch(data.env, "_simulate"),
            }


def measure(
    name: str, make: Callable[..., MetaEnv], sampler: TaskSampler, trials: int, episodes: int, **settings: Any
) -> dict[str, float]:
    """The figures of one environment."""
    torch.manual_seed(0)
    plan = CollectionPlan(trials, episodes, iterations=WARM_UP + TURNS)
    data = RolloutDataModule(make, sampler, NoRelabeler(), collection=plan)
    model, bare_model = (VariBAD(data.meta_spec, **settings) for _ in range(2))
    turns = Turns(BareLoop(make(trials, 0), bare_model, episodes))
    trainer = pl.Trainer(
        accelerator="cpu",
        max_epochs=1,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[turns],
    )
    trainer.fit(model, datamodule=data)
    frames = trials * episodes * data.meta_spec.horizon
    return {
        f"{name}_frames_per_s": frames / statistics.median(turns.ours),
        **{f"{name}_share_{part}": watch.seconds / sum(turns.ours) for part, watch in turns.parts.items()},
        f"{name}_over_bare": statistics.median(bare / ours for bare, ours in zip(turns.bare, turns.ours)),
    }


def main() -> int:
    """Measure and print the result; the exit status."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    torch.set_num_threads(1)  # the networks are small, and a second thread costs more than it gives
    robust = CEMTaskSampler(ExponentialFamily(), alpha=0.01, selection_share=0.05)
    running = {"layers": [128, 128], "ppo": PPOPlan(discount=0.97, entropy_weight=0.01)}
    figures = {
        **measure("khazad_dum", KhazadDum, robust, 32, 4),
        **measure("half_cheetah_mass", partial(HalfCheetahMass, threads=1), UniformTaskSampler(), 16, 2, **running),
    }
    targets = {f"{name}_over_bare": (">=", LEAST_OVER_BARE) for name in ("khazad_dum", "half_cheetah_mass")}
    return finish("on_policy", figures, targets)


if __name__ == "__main__":
    sys.exit(main())
