"""Evaluation of finished trials."""

from lit_metarl.evaluation.metrics import TrialMetrics, cvar, worst

__all__ = ["TrialMetrics", "cvar", "worst"]
