"""Pictures of what a run did, as matplotlib figures."""

from lit_metarl.figures.by_task import draw_beliefs, draw_returns
from lit_metarl.figures.relabeling import draw_flow
from lit_metarl.figures.task_density import draw_density

__all__ = ["draw_beliefs", "draw_density", "draw_flow", "draw_returns"]
