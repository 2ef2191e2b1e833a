"""How VariBAD's belief about the goal of GridNavi sharpens while the agent searches.

    python examples/grid_navi_belief.py results/roml/grid_navi_belief runs/NAME/version_0/checkpoints/best.ckpt …

For every step of test trials, samples of the belief are decoded to what every cell pays. The chance that it pays
the goal's reward, averaged over the samples, is the belief's probability of the goal being there; its entropy is set
against the number of cells that were visited before the goal was found. A perfect belief is uniform over the cells
that are left. Writes FOLDER/rows.csv and FOLDER/belief.png, .svg.
"""

from __future__ import annotations

import argparse
import csv
import sys
from pathlib import Path
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from datamodules.collection import Collector, Trials, as_sequences
from envs import GridNavi
from envs.errors import ConfigurationError, require
from envs.navigation.grid_navi import CELLS, EVERY_CELL, GOAL_REWARD, GOALS, MOVES, STEP_REWARD
from envs.randomness import make_generator
from lit_metarl.algorithms import VariBAD
from lit_metarl.trained import load_trained

EPISODES = 4
TRIALS_PER_GOAL = 5
BELIEF_SAMPLES = 50
AT_ONCE = 64  # posteriors that are decoded together
SEED = 20_230_111


class Row(NamedTuple):
    """The belief of one run after so many visited cells.

    Attributes:
        run: number of the checkpoint.
        visited: distinct cells that were visited, the goal not among them.
        trials: that got there.
        entropy: mean entropy of the belief over the goal, in nats.
        goal_probability: mean probability of the goal's own cell.
        perfect_entropy: mean entropy of a perfect belief, in nats.
    """

    run: int
    visited: int
    trials: int
    entropy: float
    goal_probability: float
    perfect_entropy: float


def goal_probabilities(agent: VariBAD, posterior: Tensor, generator: torch.Generator) -> Tensor:
    """What posteriors `[n, 2 × latent]` (means, log-variances) say of the goal's cell, `[n, CELLS²]`."""
    mean, log_variance = posterior.chunk(2, -1)
    noise = torch.randn(len(posterior), BELIEF_SAMPLES, mean.shape[-1], generator=generator)
    latent = mean[:, None] + (0.5 * log_variance).exp()[:, None] * noise
    cells = torch.tensor(EVERY_CELL)
    before = (cells[:, None] - MOVES).clamp(0, CELLS - 1)  # each cell may be entered by every move
    after = cells[:, None].expand_as(before)
    states = torch.stack((after, before), 2).flatten(0, 1)
    states = torch.cat((states, torch.zeros(*states.shape[:2], 1)), -1)  # not at the border of an episode
    actions = torch.eye(len(MOVES)).repeat(len(cells), 1)
    pairs = torch.arange(len(actions)).expand(len(posterior), BELIEF_SAMPLES, -1)
    promised = agent.decoders["reward"](
        states.expand(len(posterior), -1, -1, -1), actions.expand(len(posterior), -1, -1), latent, pairs
    )[..., 0]
    if agent.elbo.reward_likelihood == "bernoulli":
        paid = promised.sigmoid()
    else:
        paid = (promised - STEP_REWARD) / (GOAL_REWARD - STEP_REWARD)
    above = paid.unflatten(-1, (len(cells), len(MOVES))).mean(-1).clamp(1e-6, 1).mean(1)
    belief: Tensor = above / above.sum(-1, keepdim=True)
    return belief


@torch.no_grad()
def belief_rows(agent: VariBAD, run: int, trials_per_goal: int = TRIALS_PER_GOAL) -> list[Row]:
    """Run trials on every goal; the beliefs by the number of cells visited before the goal was found."""
    generator = make_generator(SEED, 0, "belief figure")
    goals = torch.tensor(GOALS).repeat(trials_per_goal, 1)
    trials = Collector(GridNavi(len(goals))).collect(agent, goals, EPISODES, generator)
    posterior, visited, left = searched(trials)
    groups = posterior["belief"].split(AT_ONCE)
    probabilities = torch.cat([goal_probabilities(agent, group, generator) for group in groups])
    entropy = -(probabilities * probabilities.log()).sum(-1)
    own = probabilities.gather(1, (posterior["goal"] @ torch.tensor([float(CELLS), 1.0])).long()[:, None])[:, 0]
    rows = []
    for number in visited.unique().tolist():
        at = visited == number
        means = [float(values[at].mean()) for values in (entropy, own, left.log())]
        rows.append(Row(run, number, int(at.sum()), *means))
    return rows


def searched(trials: Trials) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """The moments at which a trial had entered a new cell and not found the goal yet.

    Returns:
        The `belief` and the `goal` at those moments, `[moments, ...]`; the number of cells visited; the number of
        goals that are still possible.
    """
    sequences = as_sequences(trials)
    possible = torch.zeros(CELLS, CELLS)
    possible[tuple(torch.tensor(GOALS).long().T)] = 1.0
    beliefs, goals, visited, left = [], [], [], []
    for trial, goal in enumerate(trials.tasks):
        seen = torch.zeros(CELLS, CELLS)
        steps = zip(*(sequences[key][trial].long() for key in ("observation", "next_observation", "ends")))
        for time, (cell, reached, ends) in enumerate(steps):
            if bool((cell == goal).all()):
                break
            if seen[tuple(cell)] == 0:
                seen[tuple(cell)] = 1.0
                beliefs.append(sequences["belief"][trial, time])  # of the step that begins in the cell
                goals.append(goal)
                visited.append(seen.sum())
                left.append((possible * (1 - seen)).sum())
            if bool((reached == goal).all()):
                break
            if ends:  # no step begins in this cell, for the next episode begins elsewhere
                seen[tuple(reached)] = 1.0
    return {"belief": torch.stack(beliefs), "goal": torch.stack(goals)}, torch.stack(visited), torch.stack(left)


def _varibad(checkpoint: Path) -> VariBAD:
    trained = load_trained(checkpoint)
    agent, env = trained.algorithm, trained.make_env()
    require(
        isinstance(agent, VariBAD) and isinstance(env, GridNavi),
        "checkpoints",
        str(checkpoint),
        f"it is of {type(agent).__name__} on {env.meta_spec.name}",
        "Give those of VariBAD on GridNavi.",
    )
    assert isinstance(agent, VariBAD)
    return agent


def plot(rows: list[Row]) -> Figure:
    """Entropy against visited cells, one line a run, and that of a perfect belief."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for run in sorted({row.run for row in rows}):
        own = [row for row in rows if row.run == run]
        axes.plot([row.visited for row in own], [row.entropy for row in own], marker="o", label=f"VariBAD, run {run}")
    perfect: dict[int, list[float]] = {}
    for row in rows:
        perfect.setdefault(row.visited, []).append(row.perfect_entropy)
    line = sorted((visited, sum(values) / len(values)) for visited, values in perfect.items())
    axes.plot(*zip(*line), color="0.3", linestyle="--", label="perfect belief")
    axes.set_xlabel("Cells visited without finding the goal")
    axes.set_ylabel("Entropy of the belief over the goal (nats)")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    return figure


def main(args: list[str] | None = None) -> int:
    """Run the command line; the exit status."""
    parser = argparse.ArgumentParser(description="VariBAD's belief over GridNavi's goal, as rows and a figure.")
    parser.add_argument("folder", type=Path, help="where rows.csv and belief.png are written")
    parser.add_argument("checkpoints", type=Path, nargs="+", help="of VariBAD on GridNavi, one a run")
    parser.add_argument("--trials_per_goal", type=int, default=TRIALS_PER_GOAL)
    options = parser.parse_args(args)
    torch.set_num_threads(1)
    try:
        rows = [
            row
            for run, checkpoint in enumerate(options.checkpoints, 1)
            for row in belief_rows(_varibad(checkpoint), run, options.trials_per_goal)
        ]
    except ConfigurationError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    options.folder.mkdir(parents=True, exist_ok=True)
    with (options.folder / "rows.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(Row._fields)
        table.writerows([f"{value:.6g}" for value in row] for row in rows)
    figure = plot(rows)
    for kind in ("png", "svg"):
        figure.savefig(options.folder / f"belief.{kind}", dpi=150)
    return 0


if __name__ == "__main__":
    sys.exit(main())
