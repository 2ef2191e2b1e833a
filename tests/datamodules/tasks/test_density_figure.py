"""What the figure of CEM's distribution shows, read back from its artists."""

from __future__ import annotations

import torch

from datamodules.tasks import CEMTaskSampler
from datamodules.tasks.density_figure import plot_density
from envs import PointRobot


def test_the_density_of_the_sampled_tasks_moves_away_from_the_reference_and_disturbs_nothing() -> None:
    sampler = CEMTaskSampler(round_size=20)
    sampler.bind(PointRobot.meta_spec, PointRobot(1).task_distribution, seed=0, rank=0)
    before = sampler.generator.get_state()
    first = plot_density(*sampler.example_tasks(500), sampler.table(), ("goal_x", "goal_y"))
    assert torch.equal(sampler.generator.get_state(), before)
    assert not first.axes[1].lines[1:]  # no round yet: the reference's median only
    for _ in range(3):
        sampled = sampler.sample(20)
        sampler.update(sampled, sampled.tasks[:, 0])  # those with small goal_x are hard
    now, reference = sampler.example_tasks(500)
    assert float(now[:, 0].mean()) < float(reference[:, 0].mean()) - 0.2
    figure = plot_density(now, reference, sampler.table(), ("goal_x", "goal_y"))
    medians = figure.axes[1].lines[1]
    assert list(medians.get_xdata()) == [1.0, 2.0, 3.0]
    assert [row["quantile_0.50_goal_x"] for row in sampler.table()] == list(medians.get_ydata())
    (legend,) = figure.legends
    labels = [text.get_text() for text in legend.get_texts()]
    assert sorted(labels) == sorted(set(labels))  # named once, however many coordinates there are
