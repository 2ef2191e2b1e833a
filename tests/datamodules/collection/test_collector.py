"""The collector, with a scripted agent in an environment whose every number is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest
import torch
from tensordict import TensorDict
from torch import Tensor

from datamodules.collection import Collector, Trials
from datamodules.contracts import Agent, Decision, LearnsFrom, Transition
from envs import FourCorners, MetaEnv, MetaEnvSpec, Reward, TaskChanges
from envs.base import box
from envs.task_distributions import UniformBox

HORIZON = 4
LOW, HIGH = 1.0, 5.0


class CountingEnv(MetaEnv):
    """A sub-environment's episode terminates at the step that its task names; actions are bounded to [1, 5].

    Observation: index, episode, step. Features: applied action, step. Reward: the applied action;
    the sparse reward is 10 times the step. Success: at step 2.
    """

    single_observation_space = box(-np.inf, np.inf, 3)
    single_action_space = box(LOW, HIGH, 1)
    task_distribution = UniformBox([0.0], [100.0])
    meta_spec = MetaEnvSpec("CountingEnv", 3, 1, ("end",), ("action", "step"), HORIZON, TaskChanges.REWARD)

    def __init__(self, num_envs: int, seed: int = 0) -> None:
        super().__init__(num_envs, seed)
        self.episodes = torch.zeros(num_envs)
        self.steps = torch.zeros(num_envs)
        self.simulated = torch.zeros(num_envs, dtype=torch.long)

    def _start(self, env_ids: Tensor) -> None:
        self.episodes[env_ids] += 1
        self.steps[env_ids] = 0

    def _simulate(self, actions: Tensor, env_ids: Tensor) -> Tensor:
        self.steps[env_ids] += 1
        self.simulated[env_ids] += 1
        return torch.cat((actions, self.steps[env_ids, None]), -1)

    def _observe(self) -> Tensor:
        return torch.stack((torch.arange(self.num_envs).float(), self.episodes, self.steps), -1)

    def reward(self, features: Tensor, tasks: Tensor) -> Reward:
        action, step = features.unbind(-1)
        return Reward(action + 0 * tasks[..., 0], 10 * step, step >= tasks[..., 0])

    def success(self, features: Tensor, tasks: Tensor) -> Tensor:
        step = features[..., 1]
        return (step == 2) | (step == 0)  # 0 only in the rows of sub-environments that were not stepped

    def _simulation_state(self) -> dict[str, Tensor]:
        return {}

    def _load_simulation_state(self, state: dict[str, Tensor]) -> None:
        pass


@dataclass
class ScriptedAgent:
    """Acts by its index and how many calls it has had; remembers every call."""

    exploration_episodes: int = 1
    learns_from: ClassVar[LearnsFrom] = LearnsFrom.REPLAY
    remembers_trials: ClassVar[bool] = False
    extras: bool = False
    calls: list[str] = field(default_factory=list)
    transitions: list[Transition] = field(default_factory=list)
    observations: list[Tensor] = field(default_factory=list)
    deterministic: list[bool] = field(default_factory=list)
    generators: list[torch.Generator] = field(default_factory=list)

    def _next(self, belief: TensorDict, call: str) -> TensorDict:
        assert int(belief["calls"][0]) == len(self.calls), "the belief that was returned last must come back"
        self.calls.append(call)
        return TensorDict({"calls": belief["calls"] + 1}, belief.batch_size)

    def start_trial(self, n: int, generator: torch.Generator) -> TensorDict:
        self.generators.append(generator)
        self.calls.append("start_trial")
        return TensorDict({"calls": torch.ones(n, dtype=torch.long)}, [n])

    def act(self, observation: Tensor, belief: TensorDict, deterministic: bool, generator: torch.Generator) -> Decision:
        assert int(belief["calls"][0]) == len(self.calls)
        belief["calls"] += 1  # beliefs may be changed in place
        self.calls.append("act")
        self.observations.append(observation.clone())
        self.deterministic.append(deterministic)
        self.generators.append(generator)
        action = 0.1 * (observation[:, :1] + observation[:, 2:])
        return Decision(action, {"value": 7 * observation[:, 2] + 1} if self.extras else {})

    def observe(self, belief: TensorDict, transition: Transition) -> TensorDict:
        self.transitions.append(transition)
        return self._next(belief, "observe")

    def end_episode(self, belief: TensorDict, generator: torch.Generator) -> TensorDict:
        self.generators.append(generator)
        return self._next(belief, "end_episode")


def collect(
    ends: list[float], episodes: int = 2, *, num_envs: int | None = None, agent: ScriptedAgent | None = None
) -> tuple[Trials, ScriptedAgent, CountingEnv]:
    env, agent = CountingEnv(num_envs or len(ends)), agent or ScriptedAgent()
    tasks = torch.tensor(ends)[:, None]
    return Collector(env).collect(agent, tasks, episodes, torch.Generator()), agent, env


def test_the_scripted_agent_fulfils_the_contract() -> None:
    assert isinstance(ScriptedAgent(), Agent)


# The contract


def test_the_agent_is_called_in_the_order_of_the_contract() -> None:
    _, agent, _ = collect([100.0, 100.0], episodes=3)
    episode = ["act", "observe"] * HORIZON
    assert agent.calls == ["start_trial", *episode, "end_episode", *episode, "end_episode", *episode]


def test_the_agent_sees_each_step_as_it_happened() -> None:
    _, agent, _ = collect([100.0, 100.0], episodes=2)
    for index, (observation, transition) in enumerate(zip(agent.observations, agent.transitions)):
        episode, step = 1 + index // HORIZON, index % HORIZON
        assert observation.tolist() == [[0, episode, step], [1, episode, step]]
        assert torch.equal(transition.observation, observation)
        assert transition.next_observation.tolist() == [[0, episode, step + 1], [1, episode, step + 1]]
        assert transition.action[:, 0].tolist() == pytest.approx([0.1 * step, 0.1 * (1 + step)])
        assert transition.reward.tolist() == [10 * (step + 1)] * 2, "the reward that the task really pays"
        assert transition.active.tolist() == [True, True]
        assert transition.terminated.tolist() == [False, False]


@pytest.mark.parametrize("deterministic", [False, True])
def test_the_deterministic_flag_and_the_generator_reach_the_agent(deterministic: bool) -> None:
    agent, generator = ScriptedAgent(), torch.Generator()
    Collector(CountingEnv(1)).collect(agent, torch.tensor([[2.0]]), 2, generator, deterministic=deterministic)
    assert agent.deterministic == [deterministic] * 4
    assert all(given is generator for given in agent.generators)


def test_no_gradient_is_recorded() -> None:
    class LearningAgent(ScriptedAgent):
        weight = torch.ones(1, requires_grad=True)

        def act(
            self, observation: Tensor, belief: TensorDict, deterministic: bool, generator: torch.Generator
        ) -> Decision:
            decision = super().act(observation, belief, deterministic, generator)
            return Decision(decision.action * self.weight)

    trials, _, _ = collect([3.0], agent=LearningAgent())
    assert not trials.steps["action"].requires_grad


# The record


def test_actions_are_rescaled_to_the_environments_bounds_but_recorded_as_chosen() -> None:
    """The applied action is the environment's first feature: 1 + 2 (a + 1) for bounds [1, 5]."""
    trials, _, _ = collect([100.0, 100.0], episodes=1)
    chosen, applied = trials.steps["action"][..., 0], trials.steps["features"][..., 0]
    expected = [[0.1 * (env_id + step) for step in range(HORIZON)] for env_id in range(2)]
    assert chosen[:, 0].numpy() == pytest.approx(np.array(expected))
    assert applied.numpy() == pytest.approx(1 + 2 * (chosen.numpy() + 1))


@pytest.mark.parametrize(("chosen", "applied"), [(-1.0, LOW), (0.0, 3.0), (1.0, HIGH)])
def test_the_ends_of_the_agents_range_are_the_ends_of_the_environments(chosen: float, applied: float) -> None:
    class ConstantAgent(ScriptedAgent):
        def act(
            self, observation: Tensor, belief: TensorDict, deterministic: bool, generator: torch.Generator
        ) -> Decision:
            super().act(observation, belief, deterministic, generator)
            return Decision(torch.full((len(observation), 1), chosen))

    trials, _, _ = collect([1.0], episodes=1, agent=ConstantAgent())
    assert trials.steps["features"][0, 0, 0, 0].item() == applied


def test_the_record_holds_every_step_of_every_episode() -> None:
    trials, _, _ = collect([100.0, 3.0], episodes=2)
    steps = trials.steps
    assert steps.batch_size == (2, 2, HORIZON)
    for task, length in ((0, 4), (1, 3)):
        for episode in range(2):
            for step in range(length):
                assert steps["observation"][task, episode, step].tolist() == [task, episode + 1, step]
                assert steps["next_observation"][task, episode, step].tolist() == [task, episode + 1, step + 1]
                assert steps["sparse_reward"][task, episode, step] == 10 * (step + 1)
                assert steps["reward"][task, episode, step] == steps["features"][task, episode, step, 0]
                assert steps["terminated"][task, episode, step] == (task == 1 and step == 2)


def test_what_the_algorithm_wants_recorded_is_recorded_and_padded() -> None:
    trials, _, _ = collect([2.0, 3.0], agent=ScriptedAgent(extras=True))
    assert trials.steps["value"].shape == (2, 2, HORIZON)
    assert trials.steps["value"][1, 0].tolist() == [1.0, 8.0, 15.0, 0.0]
    assert trials.steps["value"][0, 1, :2].tolist() == [1.0, 8.0]


def test_the_record_does_not_change_with_later_trials() -> None:
    env, agent = CountingEnv(1), ScriptedAgent()
    collector = Collector(env)
    first = collector.collect(agent, torch.tensor([[100.0]]), 1, torch.Generator())
    copy = first.steps.clone()
    collector.collect(ScriptedAgent(), torch.tensor([[2.0]]), 2, torch.Generator())
    assert bool((first.steps == copy).all())
    assert first.tasks.tolist() == [[100.0]]


@pytest.mark.parametrize(("of_agent", "episodes", "expected"), [(2, 3, 2), (2, 1, 1), (0, 2, 0)])
def test_a_trial_has_no_more_exploration_episodes_than_episodes(of_agent: int, episodes: int, expected: int) -> None:
    trials, _, _ = collect([2.0], episodes, agent=ScriptedAgent(exploration_episodes=of_agent))
    assert trials.exploration_episodes == expected


# Episodes that end early


def test_steps_after_an_episodes_end_are_masked_and_the_others_go_on() -> None:
    trials, agent, _ = collect([1.0, 3.0, 100.0], episodes=2)
    lengths = trials.steps["valid"].sum(-1)
    assert lengths.tolist() == [[1, 1], [3, 3], [4, 4]]
    assert torch.equal(trials.steps["valid"], torch.arange(HORIZON) < lengths[..., None])
    active = [transition.active.tolist() for transition in agent.transitions[:HORIZON]]
    assert active == [[True] * 3, [False, True, True], [False, True, True], [False, False, True]]


def test_the_agent_is_not_asked_again_once_every_episode_has_ended() -> None:
    trials, agent, env = collect([1.0, 2.0], episodes=2)
    assert agent.calls.count("act") == agent.calls.count("observe") == 4
    assert env.simulated.tolist() == [2, 4]
    assert trials.steps["valid"].shape == (2, 2, HORIZON)


def test_returns_are_sums_of_the_sparse_reward_over_the_steps_that_happened() -> None:
    trials, _, _ = collect([1.0, 3.0, 100.0], episodes=2)
    assert trials.episode_returns.tolist() == [[10, 10], [60, 60], [100, 100]]
    assert trials.returns.tolist() == [20, 120, 200]


def test_environment_steps_count_the_steps_that_happened() -> None:
    reported: list[int] = []
    env = CountingEnv(5)
    tasks = torch.tensor([[1.0], [3.0], [100.0]])
    trials = Collector(env).collect(ScriptedAgent(), tasks, 2, torch.Generator(), report=reported.append)
    assert trials.environment_steps == 2 * (1 + 3 + 4) == int(env.simulated.sum())
    assert reported == [3, 2, 2, 1] * 2


def test_success_is_reached_at_any_step_of_the_episode_that_happened() -> None:
    trials, _, _ = collect([1.0, 2.0, 100.0], episodes=2)
    assert trials.success is not None
    assert trials.success.tolist() == [[False, False], [True, True], [True, True]]


def test_four_corners_ends_at_the_goal_and_its_return_is_what_the_walk_costs() -> None:
    """Straight along the diagonal: to (0.9, 0.9), within 0.2 of the corner, in 9 steps, 3 of them in the trap."""

    class DiagonalAgent(ScriptedAgent):
        def act(
            self, observation: Tensor, belief: TensorDict, deterministic: bool, generator: torch.Generator
        ) -> Decision:
            self.calls.append("act")
            belief["calls"] += 1
            return Decision(torch.ones(len(observation), 2))

    tasks = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    trials = Collector(FourCorners(2)).collect(DiagonalAgent(), tasks, 1, torch.Generator())
    assert trials.steps["valid"].sum(-1).tolist() == [[9], [20]]
    assert trials.steps["terminated"][0, 0].nonzero().tolist() == [[8]]
    assert not bool(trials.steps["terminated"][1].any())
    in_trap = [step for step in range(9) if 0.1 < round(0.1 * (step + 1), 3) < 0.5]
    assert trials.episode_returns[0, 0] == -3 * len(in_trap) - (8 - len(in_trap))
    assert trials.episode_returns[1, 0] == -20
    assert trials.success is not None
    assert trials.success.tolist() == [[True], [False]]


# Spare sub-environments


def test_spare_sub_environments_are_neither_stepped_nor_counted_nor_recorded() -> None:
    trials, agent, env = collect([2.0, 100.0], episodes=2, num_envs=5)
    assert env.simulated.tolist() == [4, 8, 0, 0, 0]
    assert trials.steps.batch_size == (2, 2, HORIZON)
    assert trials.tasks.tolist() == [[2.0], [100.0]]
    assert trials.success is not None
    assert trials.success.shape == (2, 2)
    assert trials.environment_steps == 12
    assert all(transition.active[2:].tolist() == [False] * 3 for transition in agent.transitions)


def test_a_task_fares_the_same_with_and_without_spare_sub_environments() -> None:
    alone, _, _ = collect([3.0, 100.0])
    beside, _, _ = collect([3.0, 100.0], num_envs=4)
    assert torch.equal(alone.steps["valid"], beside.steps["valid"])
    valid = alone.steps["valid"]
    for key in ("observation", "action", "next_observation", "features", "reward", "sparse_reward", "terminated"):
        assert torch.equal(alone.steps[key][valid], beside.steps[key][valid])


def test_more_tasks_than_sub_environments_are_refused() -> None:
    with pytest.raises(ValueError, match="3 tasks do not fit .* 2 sub-environments"):
        collect([1.0, 2.0, 3.0], num_envs=2)


# Randomness


def test_collecting_leaves_the_global_generator_alone_and_repeats_with_the_same_one() -> None:
    class NoisyAgent(ScriptedAgent):
        def act(
            self, observation: Tensor, belief: TensorDict, deterministic: bool, generator: torch.Generator
        ) -> Decision:
            super().act(observation, belief, deterministic, generator)
            return Decision(2 * torch.rand(len(observation), 1, generator=generator) - 1)

    before = torch.get_rng_state()
    runs = [
        Collector(CountingEnv(2)).collect(
            NoisyAgent(), torch.full((2, 1), 100.0), 2, torch.Generator().manual_seed(seed)
        )
        for seed in (0, 0, 1)
    ]
    assert bool((runs[0].steps == runs[1].steps).all())
    assert not torch.equal(runs[0].steps["action"], runs[2].steps["action"])
    assert torch.equal(torch.get_rng_state(), before)


# Trials


def test_moving_trials_to_a_device_keeps_every_number() -> None:
    trials, _, _ = collect([2.0, 100.0])
    moved = trials.to(torch.device("cpu"))
    assert bool((moved.steps == trials.steps).all())
    assert torch.equal(moved.tasks, trials.tasks)
    assert moved.success is not None
    assert moved.exploration_episodes == trials.exploration_episodes
