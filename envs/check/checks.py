"""What could be wrong with an environment, one function each."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from envs.base import MetaEnv, Reward
from envs.meta_env_spec import TaskChanges

MakeEnv = Callable[[int, int], MetaEnv]
NUM_ENVS, PAIRS, SAMPLED, MAX_STEPS = 3, 3, 1000, 2000
TOLERANCE = 1e-5


class Finding(NamedTuple):
    """Something that was found.

    Attributes:
        text: one sentence.
        is_wrong: whether it must be corrected; otherwise it is good to know.
    """

    text: str
    is_wrong: bool = True


def check(make_env: MakeEnv) -> list[Finding]:
    """Everything that is found in an environment, the same sentence once.

    Args:
        make_env: makes the environment, given a number of sub-environments and a seed.
    """
    found: dict[str, Finding] = {}
    for look in (_whole_episodes, *CHECKS):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for finding in look(make_env):
                    found.setdefault(finding.text, finding)
        except Exception as error:  # whatever the user's class raises
            text = str(error) if isinstance(error, ValueError | RuntimeError) else f"{type(error).__name__}: {error}"
            found.setdefault(text, Finding(text))
            if look is _whole_episodes:  # nothing else can be said of an environment that does not run
                break
    return list(found.values())


class Record(NamedTuple):
    """What the steps of sub-environments showed, `[steps, num_envs, ...]`.

    Attributes:
        observation: before the first step, and after each.
        features: of each step.
        reward: of each step.
        running: which sub-environments made the step.
        terminated: which episodes terminated.
    """

    observation: Tensor
    features: Tensor
    reward: Tensor
    running: Tensor
    terminated: Tensor


def _actions(env: MetaEnv, steps: int) -> Tensor:
    """Random actions within the bounds, `[steps, num_envs, action_dim]`; every sub-environment has the same."""
    generator = torch.Generator().manual_seed(0)
    unit = torch.rand(steps, 1, env.meta_spec.action_dim, generator=generator)
    return (env.action_low + (env.action_high - env.action_low) * unit).expand(-1, env.num_envs, -1)


def _play(env: MetaEnv, tasks: Tensor, steps: int | None = None) -> Record:
    """Episodes on `tasks` `[n, task_dim]` from the seed 1 on, of `steps` steps at most."""
    env.reset(seed=1)
    return _continue(env, env.reset(options={"tasks": tasks})[0], _actions(env, steps or env.meta_spec.horizon))


def _continue(env: MetaEnv, observation: Tensor, actions: Tensor) -> Record:
    seen = [(observation, torch.empty(0), torch.empty(0), env.running, torch.empty(0))]
    for moment in actions[:MAX_STEPS]:
        if not bool(env.running.any()):
            break
        running = env.running
        observation, reward, terminated, _, info = env.step(moment)
        seen.append((observation, info["features"], reward, running, terminated))
    return Record(torch.stack([row[0] for row in seen]), *(torch.stack(part) for part in list(zip(*seen[1:]))[1:]))


def _tasks(env: MetaEnv, number: int) -> Tensor:
    return env.task_distribution.sample(number, torch.Generator().manual_seed(0))


def _whole_episodes(make_env: MakeEnv) -> Iterator[Finding]:
    """Shapes, kinds and finite numbers are checked by every step."""
    env = make_env(NUM_ENVS, 0)
    record = _play(env, _tasks(env, NUM_ENVS))
    if bool(record.terminated[0].all()):
        yield Finding("Every episode terminates at its first step.")
    choices = torch.eye(env.meta_spec.action_dim)
    ends = choices[[0, -1]] if env.meta_spec.discrete_actions else torch.stack((env.action_low, env.action_high))
    for end in ends:  # held, they lead farther than random actions
        _continue(env, env.reset()[0], end.expand(env.meta_spec.horizon, NUM_ENVS, -1))


def _same_seed(make_env: MakeEnv) -> Iterator[Finding]:
    first, second = make_env(NUM_ENVS, 0), make_env(NUM_ENVS, 0)
    tasks = _tasks(first, NUM_ENVS)
    for name, one, other in zip(Record._fields, _play(first, tasks), _play(second, tasks)):
        if not torch.equal(one, other):
            yield Finding(
                f"Two environments of the same seed, under the same actions, differ in `{name}`: take every random "
                "number from the environment's own generator (self.generator, or np_random of Gymnasium's)."
            )
            return


def _restored_state(make_env: MakeEnv) -> Iterator[Finding]:
    env, restored = make_env(NUM_ENVS, 0), make_env(NUM_ENVS, 99)
    before = min(5, env.meta_spec.horizon - 1)
    _play(env, _tasks(env, NUM_ENVS), before)
    state, running = env.state_dict(), env.running
    restored.load_state_dict(state)
    if not torch.equal(restored.running, running):
        yield Finding(
            "Its state cannot be saved in the middle of an episode, so a run is resumed at the next trial; "
            "state_dict() and load_state_dict(state) of the environment would make it exact.",
            is_wrong=False,
        )
        return
    if not bool(running.any()):
        return
    actions = _actions(env, env.meta_spec.horizon - before)
    observation = state.get("simulation/observations", torch.zeros(NUM_ENVS, env.meta_spec.observation_dim))
    one, other = _continue(env, observation, actions), _continue(restored, observation, actions)
    for name, mine, others in zip(Record._fields, one, other):
        if mine.shape != others.shape or not torch.equal(mine, others):
            yield Finding(
                f"After its saved state is restored, an episode goes on with another `{name}`: something that the "
                "simulation depends on is missing from the state."
            )
            return


def _tasks_make_a_difference(make_env: MakeEnv) -> Iterator[Finding]:
    env = make_env(2, 0)
    name, changes = env.meta_spec.name, env.meta_spec.task_changes
    same = True
    for pair in _tasks(env, 2 * PAIRS).split(2):
        one, other = (_play(env, task.expand(2, -1)) for task in pair)
        steps = min(len(one.reward), len(other.reward))
        both = one.running[:steps] & other.running[:steps]  # a reward function may let the task end an episode
        moved = not torch.equal(one.observation[0], other.observation[0]) or not torch.equal(
            one.observation[1 : steps + 1][both], other.observation[1 : steps + 1][both]
        )
        as_long = len(one.reward) == len(other.reward) and torch.equal(one.running, other.running)
        same = same and not moved and as_long and torch.equal(one.reward, other.reward)
        if moved and changes is TaskChanges.REWARD:
            yield Finding(
                f"{name} says that its tasks change the reward alone, but the same seed and actions give other "
                f"observations under {pair[0].tolist()} and {pair[1].tolist()}: relabeled transitions would be wrong."
            )
            return
    if same:
        yield Finding(
            f"The task does nothing: under {PAIRS} pairs of tasks, the last of them {pair[0].tolist()} and "
            f"{pair[1].tolist()}, the same seed and random actions give the same observations and rewards (unless the "
            "task shows only where random actions do not lead)."
        )


def _distribution(make_env: MakeEnv) -> Iterator[Finding]:
    env = make_env(1, 0)
    tasks = _tasks(env, SAMPLED)
    inside = env.has_tasks(tasks)
    if not bool(torch.isfinite(tasks).all()):
        yield Finding("The task distribution samples tasks that are not finite.")
    elif not bool(inside.all()):
        task = tasks[int((~inside).nonzero()[0, 0])].tolist()
        yield Finding(f"The task distribution samples {task}, but says that it does not contain it.")
    if bool(env.has_tasks(torch.full((1, env.meta_spec.task_dim), torch.nan)).any()):
        yield Finding("The task distribution says that it contains a task of NaN.")
    if not torch.equal(tasks, _tasks(env, SAMPLED)):
        yield Finding("The task distribution samples other tasks from the same generator: it uses another one too.")


def _reward_function(make_env: MakeEnv) -> Iterator[Finding]:
    env = make_env(NUM_ENVS, 0)
    tasks = _tasks(env, NUM_ENVS)
    record = _play(env, tasks)
    steps = len(record.reward)
    own = env.compute_rewards(record.features, tasks.expand(steps, -1, -1))
    apart = record.running & ((own.reward - record.reward).abs() > TOLERANCE * (1.0 + record.reward.abs()))
    if bool(apart.any()):
        step, env_id = apart.nonzero()[0].tolist()
        yield Finding(
            f"The reward of a step is {record.reward[step, env_id].item():.6g}, but reward() gives "
            f"{own.reward[step, env_id].item():.6g} for its features and its task {tasks[env_id].tolist()}."
        )
    features, kept = record.features[:, 0], (record.features[:, 0].clone(), tasks.clone())
    grid = env.reward(features[None], tasks[:, None])  # [tasks, time]
    if not (torch.equal(features, kept[0]) and torch.equal(tasks, kept[1])):
        yield Finding("reward() changes the features or the tasks that it is given.")
    again = env.reward(features[None], tasks[:, None])
    if not all(torch.equal(torch.as_tensor(one), torch.as_tensor(other)) for one, other in zip(grid, again)):
        yield Finding("reward() gives something else when it is called again: it must be a pure function.")
    rows = env.compute_rewards(features[None], tasks[:, None])
    for name, broadcast, row in zip(Reward._fields, grid, rows):
        values = torch.as_tensor(broadcast)
        if values.shape != row.shape or not torch.allclose(values.float(), row.float(), atol=TOLERANCE):
            yield Finding(
                f"reward() does not broadcast: features {tuple(features[None].shape)} and tasks "
                f"{tuple(tasks[:, None].shape)} give `{name}` of shape {tuple(values.shape)}, expected the values for "
                f"each pair, {tuple(row.shape)}."
            )


def _idle_sub_environments(make_env: MakeEnv) -> Iterator[Finding]:
    env, full = make_env(NUM_ENVS, 0), make_env(NUM_ENVS, 0)
    tasks = _tasks(env, 1)
    some, every = _play(env, tasks), _play(full, tasks.expand(NUM_ENVS, -1))
    steps = len(some.reward)
    env.reset(options={"tasks": tasks.expand(NUM_ENVS, -1)})
    before = env.generator.get_state()
    observation, *_ = env.step(_actions(env, 1)[0])
    is_noisy = not torch.equal(env.generator.get_state(), before)
    if not torch.equal(some.observation[:, 0], every.observation[: steps + 1, 0]):
        reason = ": its steps draw random numbers for those that run" if is_noisy else ""
        yield Finding(
            f"A sub-environment's episode depends on whether the others are running{reason}.", is_wrong=not is_noisy
        )
    after, _ = env.reset(options={"reset_mask": [True] + [False] * (NUM_ENVS - 1)})
    if not torch.equal(after[1:], observation[1:]):
        yield Finding("Resetting one sub-environment changes others.")


CHECKS = (
    _same_seed,
    _restored_state,
    _tasks_make_a_difference,
    _distribution,
    _reward_function,
    _idle_sub_environments,
)
