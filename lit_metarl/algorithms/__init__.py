"""The algorithms."""

from lit_metarl.algorithms.base import MetaRLModule
from lit_metarl.algorithms.pearl import PEARL

__all__ = ["PEARL", "MetaRLModule"]
