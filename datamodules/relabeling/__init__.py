"""For which task each trajectory is kept."""

from datamodules.relabeling.base import NoRelabeler, ProbabilisticRelabeler, RandomRelabeler, Relabeler
from datamodules.relabeling.hfr import HFRRelabeler

__all__ = ["HFRRelabeler", "NoRelabeler", "ProbabilisticRelabeler", "RandomRelabeler", "Relabeler"]
