"""Figures by task: what they show, read back from their artists."""

from __future__ import annotations

import numpy as np
import torch

from lit_metarl.evaluation import TaskResults
from lit_metarl.figures import plot_beliefs, plot_returns
from lit_metarl.figures.by_task import main_axes

GENERATOR = torch.Generator().manual_seed(0)
RESULTS = TaskResults(
    tasks=torch.randn(9, 2, generator=GENERATOR),
    returns=torch.randn(9, 3, generator=GENERATOR),
    success=None,
    beliefs=torch.randn(9, 5, generator=GENERATOR),
    exploration_episodes=2,
)


def test_returns_of_first_and_last_episode_are_set_against_every_coordinate() -> None:
    panels = plot_returns(RESULTS, ("x", "y")).axes[:2]
    assert [axes.get_xlabel() for axes in panels] == ["x", "y"]
    for coordinate, axes in enumerate(panels):
        for episode, dots in zip((0, 2), axes.collections):
            places = np.asarray(dots.get_offsets())
            np.testing.assert_allclose(places[:, 0], RESULTS.tasks[:, coordinate], rtol=1e-6)
            np.testing.assert_allclose(places[:, 1], RESULTS.returns[:, episode], rtol=1e-6)


def test_tasks_of_two_coordinates_have_a_map_of_adapted_returns() -> None:
    _, _, plane, colors = plot_returns(RESULTS, ("x", "y")).axes
    assert (plane.get_xlabel(), plane.get_ylabel(), colors.get_ylabel()) == ("x", "y", "return, episode 3")
    np.testing.assert_allclose(np.asarray(plane.collections[0].get_offsets()), RESULTS.tasks, rtol=1e-6)
    np.testing.assert_allclose(plane.collections[0].get_array(), RESULTS.returns[:, -1], rtol=1e-6)


def test_main_axes_keep_the_distances_of_vectors_in_a_plane() -> None:
    plane = torch.linalg.qr(torch.randn(6, 2, generator=GENERATOR)).Q
    vectors = torch.randn(8, 2, generator=GENERATOR) @ plane.T + 3.0
    torch.testing.assert_close(
        torch.cdist(main_axes(vectors).float(), main_axes(vectors).float()), torch.cdist(vectors, vectors)
    )
    assert main_axes(torch.randn(4, 1, generator=GENERATOR)).shape == (4, 2)


def test_beliefs_are_plotted_only_where_they_differ() -> None:
    figure = plot_beliefs(RESULTS, ("x", "y"))
    assert figure is not None
    assert figure.axes[0].get_aspect() == 1.0
    np.testing.assert_allclose(figure.axes[0].collections[0].get_array(), RESULTS.tasks[:, 0], rtol=1e-6)
    for beliefs in (None, torch.zeros(9, 5), torch.zeros(2, 5)):
        assert plot_beliefs(TaskResults(RESULTS.tasks, RESULTS.returns, None, beliefs, 2), ("x", "y")) is None
