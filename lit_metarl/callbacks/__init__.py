"""Lightning callbacks and what they print."""

from lit_metarl.callbacks.progress import EvaluationReporter, MetaRLProgressBar
from lit_metarl.callbacks.results_table import print_results

__all__ = ["EvaluationReporter", "MetaRLProgressBar", "print_results"]
