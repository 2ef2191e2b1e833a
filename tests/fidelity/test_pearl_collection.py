"""D9: from what z comes in the episodes that PEARL collects, and in those of an evaluation.

Recorded by running `collect_data_new` and `collect_paths` of the published code of HFR (michaelwan11/hfr,
`rlkit/core/rl_algorithm.py`) with its agent and its sampler, in an environment whose episodes never end early, for the
numbers of steps in its configurations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from datamodules import CollectionPlan, EvaluationPlan
from datamodules.collection import Collector
from envs import PointRobot
from lit_metarl.algorithms import PEARL

PUBLISHED = Path(__file__).parents[2] / "configs" / "published" / "hfr"
PEARL_EXPLORATION = 2  # PEARL's default
HORIZON = PointRobot.meta_spec.horizon


@dataclass(frozen=True)
class Recorded:
    """What the published code did in a visit, an episode a letter: z from the (p)rior or the posteri(o)r.

    Attributes:
        collected: source of z in the episodes of a collected visit.
        fed: how many of these, the first ones, went into the encoder's buffer.
        context: transitions that a posterior was inferred from while collecting.
        evaluated: source of z in the episodes of an evaluation.
        initial: episodes of a task before training.
    """

    collected: str
    fed: int
    context: int
    evaluated: str
    initial: int


RECORDED = {
    "ant_goal": Recorded("pppoo", 5, 256, "ppo", 10),
    "ant_vel": Recorded("pppoo", 2, 256, "ppo", 10),
    "cheetah_highdim": Recorded("pppoo", 2, 100, "ppo", 10),
    "cheetah_vel": Recorded("pppoo", 2, 100, "ppo", 10),
    "cheetah_vel_sparse": Recorded("pppoo", 5, 100, "ppo", 10),
    "four_corners": Recorded("p" * 6 + "o" * 44, 50, 1024, "p" * 5 + "o" * 15, 10),
    "sawyer_push": Recorded("ppppooo", 7, 64, "ppoo", 14),
    "sawyer_reach": Recorded("ppppooo", 7, 64, "ppoo", 14),
}


class Spy(PEARL):
    """Notes where the z of every episode comes from, and the size of every context that z is inferred from."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(PointRobot.meta_spec, layers=[8], encoder_layers=[8], **settings)
        self.sources = ""
        self.contexts: list[int] = []

    def observe(self, belief: Any, transition: Any) -> Any:
        if int(belief["steps"][0]) == len(self.sources) * HORIZON:
            self.sources += "p" if bool((belief["variance"] == 1).all()) else "o"
        return super().observe(belief, transition)

    def infer(self, context: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        assert valid is None or bool(valid.all())
        self.contexts.append(context.shape[-2])
        return super().infer(context, valid)


def plans(name: str) -> tuple[int, CollectionPlan, EvaluationPlan]:
    """The model's exploration episodes, and the plans of a configuration."""
    parts = ("pearl", "sawyer", name) if name.startswith("sawyer") else ("pearl", name)
    files = [yaml.safe_load((PUBLISHED / f"{part}.yaml").read_text(encoding="utf-8")) for part in parts]
    exploration: int
    exploration, collection, evaluation = PEARL_EXPLORATION, {}, {}
    for file in files:
        exploration = file.get("model", {}).get("init_args", {}).get("exploration_episodes", exploration)
        collection |= file["data"].get("collection", {})
        evaluation |= file["data"].get("evaluation", {})
    return exploration, CollectionPlan(**collection), EvaluationPlan(**evaluation)


def run(agent: PEARL, plan: CollectionPlan | None, episodes: int) -> None:
    schedule = None if plan is None else plan.schedule(agent.exploration_episodes)
    tasks, generator = torch.zeros(2, 2), torch.Generator().manual_seed(0)
    Collector(PointRobot(2)).collect(agent, tasks, episodes, generator, schedule=schedule)


def test_every_published_configuration_was_recorded() -> None:
    parts_of_others = {"pearl", "sawyer", "four_corners_cpu"}
    assert {path.stem for path in PUBLISHED.glob("*.yaml")} - parts_of_others == set(RECORDED)


@pytest.mark.parametrize("name", RECORDED)
def test_a_collected_visit_is_the_published_one(name: str) -> None:
    exploration, plan, _ = plans(name)
    recorded, agent = RECORDED[name], Spy(exploration_episodes=exploration)
    run(agent, plan, plan.exploration(exploration) + plan.adapted_episodes)
    assert agent.sources == recorded.collected
    assert set(agent.contexts) == {recorded.context}
    assert plan.exploration(exploration) + plan.adapted_context_episodes == recorded.fed
    assert plan.initial_episodes == recorded.initial


@pytest.mark.parametrize("name", RECORDED)
def test_an_evaluation_is_the_published_one_and_infers_z_from_the_whole_trial(name: str) -> None:
    exploration, _, plan = plans(name)
    agent = Spy(exploration_episodes=exploration)
    run(agent, None, exploration + plan.adapted_episodes)
    assert agent.sources == RECORDED[name].evaluated
    assert agent.contexts == [HORIZON * episodes for episodes in range(exploration, len(agent.sources))]


def test_without_the_settings_collecting_is_as_an_evaluation_and_draws_the_same_numbers() -> None:
    plan = CollectionPlan()
    agent = Spy(exploration_episodes=2)
    run(agent, plan, 5)
    assert (plan.schedule(2), agent.sources, agent.contexts) == (None, "ppooo", [40, 60, 80])
    as_scheduled = Spy(exploration_episodes=2)
    run(as_scheduled, replace(plan, exploration_episodes=2), 5)
    assert as_scheduled.contexts == agent.contexts
