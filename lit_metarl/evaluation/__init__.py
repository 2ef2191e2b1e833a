"""Evaluation of finished trials."""

from lit_metarl.evaluation.metrics import TrialMetrics, cvar

__all__ = ["TrialMetrics", "cvar"]
