"""Figures of an evaluation."""

from lit_metarl.figures.by_task import plot_beliefs, plot_returns

__all__ = ["plot_beliefs", "plot_returns"]
