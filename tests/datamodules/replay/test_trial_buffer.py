"""The buffer of trials: what comes out is what went in, and the oldest gives way."""

from __future__ import annotations

import pytest
import torch

from datamodules.collection import Collector, Trials
from datamodules.replay import TrialBuffer
from lit_metarl.algorithms import RL2
from lit_metarl.networks import RecurrentEncoderPlan
from tests.environments import EndingPoint


def collected(number: int, seed: int) -> Trials:
    torch.manual_seed(0)
    env = EndingPoint(number, seed)
    tasks = env.task_distribution.sample(number, torch.Generator().manual_seed(seed))
    return Collector(env).collect(
        RL2(env.meta_spec, encoder=RecurrentEncoderPlan(hidden=8)), tasks, 2, torch.Generator().manual_seed(seed)
    )


def test_drawn_trials_are_whole_and_as_they_were(generator: torch.Generator) -> None:
    trials = collected(5, seed=1)
    assert not bool(trials.steps["valid"].all())
    buffer = TrialBuffer(8)
    buffer.add(trials)
    drawn = buffer.sample(4, generator)
    assert len(drawn.tasks) == 4
    for task, steps in zip(drawn.tasks, drawn.steps):
        (index,) = (trials.tasks == task).all(-1).nonzero()[:, 0].tolist()
        valid = trials.steps[index]["valid"]
        assert torch.equal(steps["valid"], valid)
        for key in ("observation", "next_observation", "action", "reward", "sparse_reward", "terminated"):
            assert torch.equal(steps[key][valid], trials.steps[index][key][valid]), key


def test_the_oldest_give_way(generator: torch.Generator) -> None:
    buffer = TrialBuffer(6)
    batches = [collected(4, seed) for seed in (1, 2)]
    for batch in batches:
        buffer.add(batch)
    assert len(buffer) == 6
    drawn = buffer.sample(100, generator).tasks.tolist()
    held = {tuple(task) for task in drawn}
    assert len(drawn) == len(held)  # none twice
    assert held == {tuple(task) for task in torch.cat((batches[0].tasks[2:], batches[1].tasks)).tolist()}


def test_a_restored_buffer_that_has_wrapped_goes_on_overwriting_the_oldest() -> None:
    buffer, restored = TrialBuffer(6), TrialBuffer(6)
    for seed in (1, 2):
        buffer.add(collected(4, seed))
    restored.refill(buffer.oldest, [buffer.rows(buffer.oldest, 5), buffer.rows(5, buffer.written)])
    for each in (buffer, restored):
        each.add(collected(3, seed=3))
    assert restored.written == buffer.written
    drawn = (each.sample(6, torch.Generator().manual_seed(0)) for each in (buffer, restored))
    assert torch.equal(*(trials.tasks for trials in drawn))


def test_what_cannot_be_done_is_refused(generator: torch.Generator) -> None:
    buffer = TrialBuffer(3)
    with pytest.raises(ValueError, match="no trials yet"):
        buffer.sample(1, generator)
    with pytest.raises(ValueError, match="4 trials at once"):
        buffer.add(collected(4, seed=1))
