"""Figures of evaluations."""

from lit_metarl.figures.adaptation import plot_adaptation
from lit_metarl.figures.by_task import plot_beliefs, plot_returns

__all__ = ["plot_adaptation", "plot_beliefs", "plot_returns"]
