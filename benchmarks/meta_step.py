"""A whole PEARL training step (replay draw and Lightning loop included) against a bare loop of the same mathematics.

Sizes are the published ones of half-cheetah-vel: 16 tasks × 256 transitions, 100 context transitions,
three hidden layers of 300. Both take turns, a few steps each, in one process.
"""

from __future__ import annotations

import copy
import itertools
import sys
import time
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.report import finish
from datamodules import CollectionPlan, EvaluationPlan, MetaBatchPlan, RolloutDataModule
from datamodules.relabeling import NoRelabeler
from datamodules.tasks import UniformTaskSampler
from envs import HalfCheetahVel
from lit_metarl.algorithms import PEARL

TASKS, BATCH, CONTEXT, LATENT = 16, 256, 100, 5
TURN, TURNS, WARM_UP_TURNS = 5, 10, 2


class BareLoop:
    """PEARL's update written plainly: tensors in, no framework."""

    def __init__(self, slots: int, stored: int) -> None:
        def mlp(inputs: int, outputs: int, width: int) -> nn.Sequential:
            sizes = [inputs, width, width, width]
            hidden = [layer for a, b in itertools.pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
            return nn.Sequential(*hidden, nn.Linear(width, outputs))

        self.encoder = mlp(27, 2 * LATENT, 200)
        self.q1, self.q2 = mlp(26 + LATENT, 1, 300), mlp(26 + LATENT, 1, 300)
        self.value, self.policy = mlp(20 + LATENT, 1, 300), mlp(20 + LATENT, 12, 300)
        self.target = copy.deepcopy(self.value)
        critics = [*self.encoder.parameters(), *self.q1.parameters(), *self.q2.parameters()]
        self.actors = [*self.value.parameters(), *self.policy.parameters()]
        self.critic_optimizer = torch.optim.Adam(critics, 3e-4, fused=True)
        self.actor_optimizer = torch.optim.Adam(self.actors, 3e-4, fused=True)
        self.data = {name: torch.randn(slots, stored, size) for name, size in (("o", 20), ("a", 6), ("n", 20))}
        self.velocity, self.cost = torch.randn(slots, stored), torch.rand(slots, stored)
        self.tasks = 3 * torch.rand(slots)

    def sample(self, slots: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        index = torch.randint(self.velocity.shape[1], (len(slots), n))
        rows = slots[:, None]
        reward = -(self.velocity[rows, index] - self.tasks[rows]).abs() - self.cost[rows, index]
        return self.data["o"][rows, index], self.data["a"][rows, index], reward, self.data["n"][rows, index]

    def step(self) -> None:
        slots = torch.randperm(len(self.tasks))[:TASKS]
        o, a, r, n = self.sample(slots, BATCH)
        co, ca, cr, _ = self.sample(slots, CONTEXT)
        mean, raw = self.encoder(torch.cat((co, ca, cr[..., None]), -1)).chunk(2, -1)
        precision = functional.softplus(raw).clamp(min=1e-7).reciprocal()
        variance = 1 / precision.sum(1)
        mean = variance * (mean * precision).sum(1)
        z = (mean + variance.sqrt() * torch.randn_like(mean))[:, None].expand(-1, BATCH, -1)
        with torch.no_grad():
            target = 5 * r + 0.99 * self.target(torch.cat((n, z), -1))[..., 0]
        inputs = torch.cat((o, a, z), -1)
        loss = (self.q1(inputs)[..., 0] - target).square().mean() + (self.q2(inputs)[..., 0] - target).square().mean()
        loss = loss + 0.1 * 0.5 * (variance + mean.square() - 1 - variance.log()).sum()
        self.critic_optimizer.zero_grad()
        loss.backward()
        self.critic_optimizer.step()
        z = z.detach()
        mean, log_std = self.policy(torch.cat((o, z), -1)).chunk(2, -1)
        log_std = log_std.clamp(-20, 2)
        noise = torch.randn_like(mean)
        raw = mean + log_std.exp() * noise
        log_slope = 2 * (0.6931471805599453 - raw - functional.softplus(-2 * raw))
        log_prob = (-0.5 * noise.square() - log_std - 0.9189385332046727 - log_slope).sum(-1)
        inputs = torch.cat((o, raw.tanh(), z), -1)
        min_q = torch.minimum(self.q1(inputs), self.q2(inputs))[..., 0]
        value = self.value(torch.cat((o, z), -1))[..., 0]
        loss = (value - (min_q - log_prob).detach()).square().mean() + (log_prob - min_q).mean()
        loss = loss + 1e-3 * mean.square().mean() + 1e-3 * log_std.square().mean()
        self.actor_optimizer.zero_grad()
        loss.backward(inputs=self.actors)
        self.actor_optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self.target.parameters()), list(self.value.parameters()), weight=0.005)


class TakeTurns(pl.Callback):
    """Times `TURN` steps of Lightning's loop, then as many of the bare loop, and so on."""

    def __init__(self, bare: BareLoop) -> None:
        self.bare = bare
        self.ours: list[float] = []
        self.theirs: list[float] = []
        self._resumed = 0.0

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if (batch_idx + 1) % TURN:
            return
        now = time.perf_counter()
        if batch_idx >= TURN:
            self.ours.append(now - self._resumed)
        for _ in range(TURN):
            self.bare.step()
        self.theirs.append(time.perf_counter() - now)
        self._resumed = time.perf_counter()


def main() -> int:
    torch.manual_seed(0)
    data = RolloutDataModule(
        lambda num_envs, seed: HalfCheetahVel(num_envs, seed),
        UniformTaskSampler(),
        NoRelabeler(),
        task_slots=32,
        collection=CollectionPlan(tasks_per_iteration=16, adapted_episodes=1, initial_episodes=1),
        batches=MetaBatchPlan(
            meta_steps=TURN * (TURNS + WARM_UP_TURNS), tasks=TASKS, transitions=BATCH, context=CONTEXT
        ),
        evaluation=EvaluationPlan(),
    )
    turns = TakeTurns(BareLoop(slots=32, stored=1000))
    trainer = pl.Trainer(
        max_epochs=1,
        limit_val_batches=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[turns],
    )
    trainer.fit(PEARL(data.meta_spec), datamodule=data)
    ours = sorted(turns.ours[WARM_UP_TURNS - 1 :])
    theirs = sorted(turns.theirs[WARM_UP_TURNS:])
    ours_ms, theirs_ms = (1000 * times[len(times) // 2] / TURN for times in (ours, theirs))
    figures = {"ratio_to_bare_loop": ours_ms / theirs_ms, "ours_ms": ours_ms, "bare_loop_ms": theirs_ms}
    return finish("meta_step", figures, {"ratio_to_bare_loop": ("<=", 1.15)})


if __name__ == "__main__":
    sys.exit(main())
