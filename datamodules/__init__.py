"""The data side: tasks, collection, relabeling and replay."""

from datamodules.rollout import CollectionPlan, EvaluationPlan, MetaBatchPlan, RolloutDataModule

__all__ = ["CollectionPlan", "EvaluationPlan", "MetaBatchPlan", "RolloutDataModule"]
