"""Pictures of what a run did, as matplotlib figures."""

from lit_metarl.figures.relabeling import draw_flow

__all__ = ["draw_flow"]
