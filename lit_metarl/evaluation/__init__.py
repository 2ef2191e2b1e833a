"""Evaluation of finished trials, and by Meta-World's own protocol."""

from lit_metarl.evaluation.meta_world_protocol import MetaWorldProtocol
from lit_metarl.evaluation.metrics import TrialMetrics, cvar, worst

__all__ = ["MetaWorldProtocol", "TrialMetrics", "cvar", "worst"]
