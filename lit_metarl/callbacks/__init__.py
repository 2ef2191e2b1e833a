"""Lightning callbacks and what they print."""

from lit_metarl.callbacks.figures import TensorBoardFigures
from lit_metarl.callbacks.hyperparameters import HyperParameters
from lit_metarl.callbacks.offending_batch import OffendingBatch
from lit_metarl.callbacks.progress import EvaluationReporter, MetaRLProgressBar
from lit_metarl.callbacks.results_table import print_results

__all__ = [
    "EvaluationReporter",
    "HyperParameters",
    "MetaRLProgressBar",
    "OffendingBatch",
    "TensorBoardFigures",
    "print_results",
]
