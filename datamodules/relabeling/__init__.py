"""For which task each trajectory is kept."""

from datamodules.relabeling.base import NoRelabeler, ProbabilisticRelabeler, RandomRelabeler, Relabeler
from datamodules.relabeling.generalized_hindsight import GeneralizedHindsightRelabeler
from datamodules.relabeling.hfr import HFRRelabeler
from datamodules.relabeling.hipi import HIPIRelabeler

__all__ = [
    "GeneralizedHindsightRelabeler",
    "HFRRelabeler",
    "HIPIRelabeler",
    "NoRelabeler",
    "ProbabilisticRelabeler",
    "RandomRelabeler",
    "Relabeler",
]
