"""Videos of trials on the best, the median and the worst task, within a time budget."""

from __future__ import annotations

import math
from time import monotonic

import torch

from datamodules import RolloutDataModule
from datamodules.collection import Collector
from envs.randomness import make_generator
from lit_metarl.algorithms import MetaRLModule
from lit_metarl.videos import Camera, film_in
from lit_metarl.videos.camera import Picture

MIN_PICTURES, MAX_PICTURES = 5, 40
"""Pictures of an episode: fewer show too little, more make large files."""


class NoVideos(Exception):
    """Why a run ends without videos."""


def film_examples(data: RolloutDataModule, agent: MetaRLModule, seconds: float) -> dict[str, list[Picture]]:
    """Pictures of a trial each on the `median`, `worst` and `best` task of the last evaluation, as far as time allows.

    Raises:
        NoVideos: if there was none, if this machine cannot render the environment, or not within `seconds`.
    """
    if agent.evaluated is None:
        raise NoVideos("there was no validation to choose tasks from.")
    env = data.make_env(1, data.evaluation.seed)
    env.reset()
    try:
        env.render_frame(0)  # the first one opens libraries
        start = monotonic()
        env.render_frame(0)
    except (NotImplementedError, RuntimeError) as error:
        raise NoVideos(str(error)) from error
    a_picture_s = monotonic() - start
    order = agent.evaluated.returns[:, -1].argsort()
    chosen = {"median": order[len(order) // 2], "worst": order[0], "best": order[-1]}
    episodes = agent.exploration_episodes + data.evaluation.adapted_episodes
    a_task_s = a_picture_s * episodes * (MIN_PICTURES + 1)  # an episode's start has one more
    number = min(int(seconds / a_task_s), len(chosen))
    if number == 0:
        raise NoVideos(
            f"one of them would take {a_task_s:.2g} s, more than the {seconds:.2g} s that --figures.share leaves. "
            f"Raise it {math.ceil(a_task_s / seconds)} times, or film tasks with 'predict --video'."
        )
    chosen = dict(list(chosen.items())[:number])
    affordable = int(seconds / a_picture_s / number / episodes) - 1
    films: dict[str, list[Picture]] = {name: [] for name in chosen}
    places = {place: film.append for place, film in enumerate(films.values())}
    camera = Camera(places, agent.exploration_episodes, min(affordable, MAX_PICTURES))
    tasks = torch.stack([agent.evaluated.tasks[number] for number in chosen.values()]).cpu()
    filmed = film_in(lambda num_envs, seed: env, camera)(1, 0)
    for task in tasks.split(1):
        env.reset(seed=data.evaluation.seed)
        generator = make_generator(data.evaluation.seed, 0, "videos")
        Collector(filmed).collect(agent, task, episodes, generator, deterministic=True, device=agent.device)
    return films
