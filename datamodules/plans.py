"""How much a run collects, learns from and evaluates on. All numbers are totals over the ranks of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace

from datamodules.contracts import PosteriorSchedule
from envs.errors import require, require_positive


def share_of(key: str, total: int, ranks: int, of: object) -> int:
    """What each of several ranks has of a `total` that is configured for all, as argument `key` of `of`.

    Raises:
        ConfigurationError: if it is not a whole number.
    """
    require(
        total % ranks == 0,
        key,
        total,
        f"it counts over all ranks, and {ranks} cannot share it evenly",
        f"Use a multiple of {ranks}.",
        of,
    )
    return total // ranks


@dataclass(frozen=True)
class CollectionPlan:
    """How much is collected.

    Attributes:
        tasks_per_iteration: trials (one a task, all at once) in a meta-iteration; with a fixed set of
            fewer tasks, some have several.
        adapted_episodes: episodes of a trial after the exploration episodes.
        adapted_context_episodes: how many of the adapted episodes, the first ones, may also serve as
            context for the belief (PEARL's `num_steps_posterior`); the others feed the critics only
            (`num_extra_rl_steps_posterior`).
        initial_episodes: single-episode trials collected for every task slot before training; an on-policy
            algorithm has none.
        iterations: meta-iterations (collect, then learn) of one epoch. Logging, validation and checkpoints
            happen between epochs; short meta-iterations should be grouped so that these cost less.
        exploration_episodes: episodes of a trial before the adapted ones, where they are not as many as those of an
            evaluation (the model's); None for as many. Only for PEARL.
        first_adapted_from_prior: whether the first adapted episode acts on a sample of the prior once more, and the
            posterior is inferred from the second on. The published code of PEARL and HFR does so: it returns to the
            prior before its second phase. Only for PEARL.
        posterior_context: transitions that z is inferred from while collecting, sampled with replacement from
            the whole trial so far, as in the published code (its `embedding_batch_size`); None for all of
            them, as in an evaluation, a narrower posterior if they are more. Only for PEARL.
    """

    tasks_per_iteration: int = 5
    adapted_episodes: int = 3
    adapted_context_episodes: int = 0
    initial_episodes: int = 10
    iterations: int = 1
    exploration_episodes: int | None = None
    first_adapted_from_prior: bool = False
    posterior_context: int | None = None

    def exploration(self, evaluated: int) -> int:
        """Episodes of a trial before the adapted ones, of an agent that explores for `evaluated` in an evaluation."""
        return evaluated if self.exploration_episodes is None else self.exploration_episodes

    def schedule(self, evaluated: int) -> PosteriorSchedule | None:
        """When z is inferred and from what, of an agent that explores for `evaluated` episodes in an evaluation.

        None where it is as in an evaluation.
        """
        if not self.beyond_evaluation:
            return None
        prior_episodes = self.exploration(evaluated) + int(self.first_adapted_from_prior)
        return PosteriorSchedule(prior_episodes, self.posterior_context)

    @property
    def beyond_evaluation(self) -> dict[str, int]:
        """The settings by which a collected trial differs from one of an evaluation, by name."""
        settings = {
            "exploration_episodes": self.exploration_episodes,
            "first_adapted_from_prior": self.first_adapted_from_prior or None,
            "posterior_context": self.posterior_context,
        }
        return {name: value for name, value in settings.items() if value is not None}

    def of_rank(self, ranks: int) -> CollectionPlan:
        """What one of several ranks collects."""
        tasks = share_of("tasks_per_iteration", self.tasks_per_iteration, ranks, self)
        return replace(self, tasks_per_iteration=tasks)


@dataclass(frozen=True)
class MetaBatchPlan:
    """What a gradient step of an algorithm that learns from replay is computed from.

    Attributes:
        meta_steps: gradient steps in a meta-iteration.
        tasks: tasks in a meta-batch; with a fixed set of fewer tasks, each occurs several times.
        transitions: transitions a task for the critics and the policy.
        context: transitions a task for the belief.
    """

    meta_steps: int = 1000
    tasks: int = 16
    transitions: int = 256
    context: int = 100

    def of_rank(self, ranks: int) -> MetaBatchPlan:
        """What one of several ranks computes its part of a gradient from."""
        return replace(self, tasks=share_of("tasks", self.tasks, ranks, self))


@dataclass(frozen=True)
class BeliefPlan:
    """What the belief model of an on-policy algorithm learns from.

    Attributes:
        capacity: trials that are remembered.
        trials: trials a gradient step.
        updates: gradient steps in a meta-iteration.
    """

    capacity: int = 10_000
    trials: int = 10
    updates: int = 1

    def of_rank(self, ranks: int) -> BeliefPlan:
        """What one of several ranks remembers, and computes its part of a gradient from."""
        trials = share_of("trials", self.trials, ranks, self)
        return replace(self, capacity=-(-self.capacity // ranks), trials=trials)


@dataclass(frozen=True)
class EvaluationPlan:
    """How validation and test are done.

    Attributes:
        validation_tasks: held-out tasks of every validation.
        test_tasks: held-out tasks of the test.
        adapted_episodes: episodes of a trial after the agent's exploration episodes.
        trials_per_task: independent trials on every task; a task's return is their mean.
        num_envs: tasks that are evaluated at once.
        seed: seed of the held-out tasks and of the evaluation's randomness; independent of the run's seed.
    """

    validation_tasks: int = 30
    test_tasks: int = 100
    adapted_episodes: int = 1
    trials_per_task: int = 1
    num_envs: int = 32
    seed: int = 20_230_111


def check_plans(
    task_slots: int,
    collection: CollectionPlan,
    batches: MetaBatchPlan,
    belief: BeliefPlan,
    evaluation: EvaluationPlan,
) -> None:
    """Raise a `ConfigurationError` for a plan that cannot be carried out."""
    require(
        isinstance(task_slots, int) and task_slots >= 1,
        "task_slots",
        task_slots,
        "a training set needs at least one task",
        "Set it to the number of training tasks; the published runs hold 100.",
    )
    for group, plan, names in (
        ("collection", collection, ("tasks_per_iteration", "initial_episodes", "iterations")),
        ("batches", batches, ("meta_steps", "tasks", "transitions", "context")),
        ("belief", belief, ("capacity", "trials", "updates")),
        ("evaluation", evaluation, ("validation_tasks", "test_tasks", "trials_per_task", "num_envs")),
    ):
        for name in names:
            require_positive(f"{group}.{name}", getattr(plan, name))
    for key, episodes in (
        ("collection.adapted_episodes", collection.adapted_episodes),
        ("evaluation.adapted_episodes", evaluation.adapted_episodes),
    ):
        require_positive(key, episodes)
    for name in ("exploration_episodes", "posterior_context"):
        number = getattr(collection, name)
        if number is not None:
            require_positive(f"collection.{name}", number)
    require(
        0 <= collection.adapted_context_episodes <= collection.adapted_episodes,
        "collection.adapted_context_episodes",
        collection.adapted_context_episodes,
        f"it must lie between 0 and the {collection.adapted_episodes} adapted episodes",
        "Lower it, or raise collection.adapted_episodes.",
    )
    require(
        collection.tasks_per_iteration <= belief.capacity,
        "belief.capacity",
        belief.capacity,
        f"it must hold the {collection.tasks_per_iteration} trials of a meta-iteration",
        "Raise it, or lower collection.tasks_per_iteration.",
    )


def check_replay_plan(
    task_slots: int, collection: CollectionPlan, batches: MetaBatchPlan, samples_new_tasks: bool
) -> None:
    """Raise a `ConfigurationError` for a plan that an algorithm that learns from replay cannot carry out.

    `samples_new_tasks`: whether the task sampler may draw other tasks than those that the slots start with.
    """
    for key, number in (
        ("collection.tasks_per_iteration", collection.tasks_per_iteration),
        ("batches.tasks", batches.tasks),
    ):
        require(
            number <= task_slots or not samples_new_tasks,
            key,
            number,
            f"it cannot exceed the {task_slots} task slots",
            f"Lower it, raise task_slots (now {task_slots}), or train on a fixed set (configs/robust/fixed.yaml).",
        )
