"""The relabeling heat map shows the counts that it was given."""

from __future__ import annotations

import numpy as np
import torch

from datamodules.relabeling.flow_figure import plot_flow


def test_shares_are_by_row_and_tasks_are_in_order_of_their_first_coordinate() -> None:
    flow = torch.tensor([[6, 2, 0], [0, 4, 0], [5, 0, 5]])
    tasks = torch.tensor([[2.0, 0.0], [0.5, 9.0], [1.0, 1.0]])  # so the order is 1, 2, 0
    above, below, _ = plot_flow(flow, tasks, ["velocity", "other"]).axes
    shown = np.asarray(below.images[0].get_array())
    np.testing.assert_allclose(shown, [[1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.25, 0.0, 0.75]])
    heights = [bar.get_height() for bar in above.patches]
    np.testing.assert_allclose(heights, [2 / 6, 0.0, 5 / 11])
    assert [label.get_text() for label in below.get_xticklabels()] == ["0.50", "1.00", "2.00"]
    assert "velocity" in below.get_xlabel()


def test_tasks_without_data_have_empty_rows() -> None:
    above, below, _ = plot_flow(torch.zeros(2, 2, dtype=torch.long), torch.tensor([[0.0], [1.0]]), ["x"]).axes
    assert np.asarray(below.images[0].get_array()).sum() == 0
    assert sum(bar.get_height() for bar in above.patches) == 0
