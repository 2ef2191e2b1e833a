"""The data side: tasks, collection, relabeling and replay."""

from datamodules.plans import CollectionPlan, EvaluationPlan, MetaBatchPlan
from datamodules.rollout import RolloutDataModule

__all__ = ["CollectionPlan", "EvaluationPlan", "MetaBatchPlan", "RolloutDataModule"]
