"""Lightning callbacks and what they print."""

from lit_metarl.callbacks.figures import TensorBoardFigures
from lit_metarl.callbacks.hyperparameters import HyperParameters
from lit_metarl.callbacks.offending_batch import OffendingBatch
from lit_metarl.callbacks.progress import EvaluationReporter, MetaRLProgressBar

__all__ = [
    "EvaluationReporter",
    "HyperParameters",
    "MetaRLProgressBar",
    "OffendingBatch",
    "TensorBoardFigures",
]
