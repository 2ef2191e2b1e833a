"""What an environment is: sizes and names."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from envs.errors import ContractError


class TaskChanges(Enum):
    """What differs between two tasks of an environment."""

    REWARD = "reward"
    DYNAMICS = "dynamics"
    BOTH = "reward and dynamics"


@dataclass(frozen=True)
class MetaEnvSpec:
    """The sizes and names of an environment: all that an algorithm must know to be built.

    Attributes:
        name: the environment's name, as in its gymnasium id.
        observation_dim: numbers in an observation.
        action_dim: numbers in an action; with discrete actions, the number of choices.
        task_names: names of the task's coordinates.
        feature_names: names of the numbers from which a transition's reward follows, for any task.
        horizon: steps after which an episode is cut off.
        task_changes: whether tasks differ in reward, dynamics or both.
        discrete_actions: whether an action is a choice, given as a one-hot vector.
        states: every observation there is, in an environment with few; empty in a continuous one.
    """

    name: str
    observation_dim: int
    action_dim: int
    task_names: tuple[str, ...]
    feature_names: tuple[str, ...]
    horizon: int
    task_changes: TaskChanges
    discrete_actions: bool = False
    states: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self) -> None:
        for field in ("task_names", "feature_names"):
            names = getattr(self, field)
            if isinstance(names, str):  # the comma of a tuple of one was forgotten
                raise ContractError(
                    f"MetaEnvSpec({self.name!r}).{field}", repr(names), f"a tuple, such as ({names!r},)"
                )
        if self.horizon < 1:
            raise ContractError(f"MetaEnvSpec({self.name!r}).horizon", str(self.horizon), "at least 1 step")

    @property
    def task_dim(self) -> int:
        """Numbers in a task vector."""
        return len(self.task_names)

    @property
    def feature_dim(self) -> int:
        """Numbers in a feature vector."""
        return len(self.feature_names)
