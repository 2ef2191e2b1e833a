"""The data side: tasks, collection, relabeling and replay."""

from datamodules.plans import BeliefPlan, CollectionPlan, EvaluationPlan, MetaBatchPlan
from datamodules.rollout import RolloutDataModule

__all__ = ["BeliefPlan", "CollectionPlan", "EvaluationPlan", "MetaBatchPlan", "RolloutDataModule"]
