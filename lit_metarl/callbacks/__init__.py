"""Lightning callbacks and what they print."""

from lit_metarl.callbacks.figures import TensorBoardFigures
from lit_metarl.callbacks.progress import EvaluationReporter, MetaRLProgressBar
from lit_metarl.callbacks.results_table import print_results

__all__ = ["EvaluationReporter", "MetaRLProgressBar", "TensorBoardFigures", "print_results"]
