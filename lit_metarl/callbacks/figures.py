"""What TensorBoard shows besides scalars: figures, videos, and the layout of its custom scalars."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary

from envs.errors import require
from lit_metarl.algorithms import MetaRLModule
from lit_metarl.callbacks.example_videos import film_examples
from lit_metarl.rollout_data import rollout_data
from lit_metarl.videos import animated_gif

FIRST_GUESS_S = 1.0  # the time to plot all figures, before it was measured

CHARTS: dict[str, dict[str, tuple[str, ...]]] = {
    "Held-out tasks": {
        "Return and CVaR": (r"val/return$", r"val/cvar$"),
        "Adaptation: return by episode": (r"val/return_episode_\d+$",),
        "Success": (r"val/success$",),
    },
    "Training": {
        "Losses": (r"train/.*loss$", r"train/.*kl$"),
        "Return while collecting": (r"collect/return.*",),
    },
    "Task sampling": {"Mean of the sampled tasks": (r"cem/mean_.*",)},
    "Relabeling": {"Share that was relabeled": (r"relabel/rate$",)},
}
"""Charts by group, each with the patterns of the scalars that it shows together."""


def layout_of(scalars: Iterable[str]) -> dict[str, dict[str, list[Any]]]:
    """TensorBoard's custom layout with those of the `CHARTS` that there are `scalars` for."""
    names = list(scalars)
    groups = {
        group: {
            title: ["Multiline", list(patterns)]
            for title, patterns in charts.items()
            if any(re.match(pattern, name) for pattern in patterns for name in names)
        }
        for group, charts in CHARTS.items()
    }
    return {group: charts for group, charts in groups.items() if charts}


class TensorBoardFigures(Callback):
    """Plots the figures of algorithm and data side after validations, as often as time allows, and at the end.

    At the end of training it also films short videos of the best, the median and the worst validation task.
    No random numbers are drawn from training's generators.

    Args:
        share: largest share of the run's time that plotting may take, in [0, 1]; figures are plotted more
            rarely, and videos have fewer pictures or are left out, to keep to it. 0 for no figures at all.
        videos: whether to film videos.
    """

    def __init__(self, share: float = 0.02, videos: bool = True) -> None:
        require(0.0 <= share <= 1.0, "share", share, "it must lie in [0, 1]", "0 plots nothing.", of=self)
        self.share = share
        self.videos = videos
        self.seconds = 0.0
        self._last_s = FIRST_GUESS_S
        self._has_layout = False
        self._outdated = False  # whether there was a validation since

    def state_dict(self) -> dict[str, float]:
        """The time spent on figures so far, and the time that plotting them takes."""
        return {"seconds": self.seconds, "last_s": self._last_s}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        self.seconds, self._last_s = state_dict["seconds"], state_dict["last_s"]

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._outdated = True
        if self._budget(pl_module) >= self._last_s:
            self._plot(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch > 0:  # before, it is unknown what will be logged
            self._write_layout(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.share == 0.0:
            return
        self._write_layout(trainer)
        if self._outdated:
            self._plot(trainer, pl_module)
        logger, data = _logger_of(trainer), rollout_data(trainer)
        if self.videos and logger is not None:
            assert isinstance(pl_module, MetaRLModule)
            with self._clocked():
                for name, pictures in film_examples(data, pl_module, self._budget(pl_module)).items():
                    _add_gif(logger, f"videos/{name}", animated_gif(pictures), data.environment_steps)

    def _budget(self, pl_module: pl.LightningModule) -> float:
        """Seconds that may still be spent."""
        assert isinstance(pl_module, MetaRLModule)
        return self.share * pl_module.wall_clock_s - self.seconds

    @contextmanager
    def _clocked(self) -> Iterator[None]:
        start = time.monotonic()
        yield
        self._last_s = time.monotonic() - start
        self.seconds += self._last_s

    def _write_layout(self, trainer: pl.Trainer) -> None:
        logger = _logger_of(trainer)
        if logger is not None and not self._has_layout and self.share > 0.0:
            logger.experiment.add_custom_scalars(layout_of(trainer.callback_metrics))
            self._has_layout = True

    def _plot(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        data, logger = rollout_data(trainer), _logger_of(trainer)
        if logger is None:
            return
        assert isinstance(pl_module, MetaRLModule)
        with self._clocked():
            for name, figure in {**pl_module.figures(), **data.figures()}.items():
                logger.experiment.add_figure(name, figure, data.environment_steps)
        self._outdated = False


def _logger_of(trainer: pl.Trainer) -> TensorBoardLogger | None:
    """TensorBoard's logger on the first rank, if it is among the run's loggers."""
    if not trainer.is_global_zero:
        return None
    return next((logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)


def _add_gif(logger: TensorBoardLogger, name: str, content: bytes, step: int) -> None:
    """Show a GIF among the images; the writer's own `add_video` would need moviepy."""
    image = Summary.Image(colorspace=3, encoded_image_string=content)
    summary = Summary(value=[Summary.Value(tag=name, image=image)])
    logger.experiment._get_file_writer().add_summary(summary, step)
