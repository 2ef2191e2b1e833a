"""What TensorBoard opens on, and what it shows besides scalars: figures, videos, and the layout of its charts."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, takewhile
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from datamodules import RolloutDataModule
from envs.errors import require
from lit_metarl.algorithms import MetaRLModule
from lit_metarl.callbacks.charts import ADAPTATION, HEADLINES, SPEED, layout_of
from lit_metarl.rollout_data import rollout_data

TEXT_SIZE = 14  # points; TensorBoard shows a figure at half its size
VIDEOS_SHARE = 0.5  # of the time for figures; what is left of it when training ends


class TensorBoardFigures(Callback):
    """Plots the figures of algorithm and data side after validations, as often as time allows, and at the end.

    At the end of training it also films short videos of the best, the median and the worst validation task.
    No random numbers are drawn from training's generators.

    Args:
        share: largest share of the run's time that plotting may take, in [0, 1]; figures are plotted more
            rarely, and videos have fewer pictures or are left out, to keep to it, but the first and the last validation
            are always plotted. 0 for no figures at all.
        videos: whether to film videos.
    """

    def __init__(self, share: float = 0.02, videos: bool = True) -> None:
        require(0.0 <= share <= 1.0, "share", share, "it must lie in [0, 1]", "0 plots nothing.", of=self)
        self.share = share
        self.videos = videos
        self.seconds = 0.0
        self._last_s = 0.0  # so the first validation is plotted
        self._outdated = False  # whether there was a validation since
        self._scalars: set[str] = set()  # that there are charts of
        self._adaptation: dict[int, list[float]] = {}

    def state_dict(self) -> dict[str, Any]:
        """The time spent on figures so far, the time that plotting them takes, and what they show of the past."""
        past = {"scalars": sorted(self._scalars), "adaptation": dict(self._adaptation)}
        return {"seconds": self.seconds, "last_s": self._last_s, **past}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds, self._last_s = state_dict["seconds"], state_dict["last_s"]
        self._scalars = set(state_dict["scalars"])
        self._adaptation = dict(state_dict["adaptation"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        logger = _logger_of(trainer)
        if logger is not None and layout_of(
            self._scalars
        ):  # a resumed run has the charts of the one before from the start
            logger.experiment.add_custom_scalars(layout_of(self._scalars))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._outdated = True
        self._write_headlines(trainer, pl_module)
        self._write_layout(trainer)
        budget = (1.0 - VIDEOS_SHARE * self.videos) * self._budget(pl_module)
        if self.share > 0.0 and self.seconds + self._last_s <= budget:
            self._plot(trainer, pl_module)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write_layout(trainer)  # the epoch before may have logged what there was no chart of

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let the headlines begin with the test of the untrained agent."""
        assert isinstance(pl_module, MetaRLModule)
        if trainer.ckpt_path is None and pl_module.environment_steps == 0:
            self._write_headlines(trainer, pl_module, "test/")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._write_layout(trainer)
        logger = _logger_of(trainer)
        if self.share == 0.0 or logger is None:
            return
        if self._outdated:
            self._plot(trainer, pl_module)
        if self.videos:
            self._film(rollout_data(trainer), pl_module, logger)

    def _film(self, data: RolloutDataModule, pl_module: pl.LightningModule, logger: TensorBoardLogger) -> None:
        """Film the examples that there is time for, or say why not."""
        # imported where they are needed, as what a GIF is written with: the command line answers sooner
        from lit_metarl.callbacks.example_videos import NoVideos, film_examples
        from lit_metarl.videos import animated_gif

        assert isinstance(pl_module, MetaRLModule)
        budget = self._budget(pl_module)
        seconds = max(budget - self.seconds, VIDEOS_SHARE * budget)
        with self._clocked():
            try:
                for name, pictures in film_examples(data, pl_module, seconds).items():
                    _add_gif(logger, f"videos/{name}", animated_gif(pictures), data.environment_steps)
            except NoVideos as reason:
                print(f"No videos: {reason}", file=sys.stderr)

    def _budget(self, pl_module: pl.LightningModule) -> float:
        """Seconds that figures and videos may take so far."""
        assert isinstance(pl_module, MetaRLModule)
        return self.share * pl_module.wall_clock_s

    @contextmanager
    def _clocked(self) -> Iterator[None]:
        start = time.monotonic()
        yield
        self._last_s = time.monotonic() - start
        self.seconds += self._last_s

    def _write_headlines(self, trainer: pl.Trainer, pl_module: pl.LightningModule, prefix: str = "val/") -> None:
        """Repeat the most important metrics of an evaluation where TensorBoard opens."""
        assert isinstance(pl_module, MetaRLModule)
        metrics, steps = trainer.callback_metrics, pl_module.environment_steps
        headlines = {own: float(metrics[prefix + name]) for name, own in HEADLINES.items() if prefix + name in metrics}
        if steps > 0:
            headlines[SPEED] = steps / max(pl_module.wall_clock_s, 1e-9)
        episodes = (f"{prefix}return_episode_{episode}" for episode in count(1))
        self._adaptation[steps] = [float(metrics[name]) for name in takewhile(metrics.__contains__, episodes)]
        logger = _logger_of(trainer)
        if logger is not None:
            for name, value in headlines.items():
                logger.experiment.add_scalar(name, value, steps)

    def _write_layout(self, trainer: pl.Trainer) -> None:
        """Write the layout of the charts whenever there is something new to chart."""
        scalars = {*self._scalars, *trainer.callback_metrics, *([SPEED] if any(self._adaptation) else [])}
        logger = _logger_of(trainer)
        if logger is not None and layout_of(scalars) != layout_of(self._scalars):
            logger.experiment.add_custom_scalars(layout_of(scalars))
        self._scalars = scalars

    def _plot(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        import matplotlib as mpl  # slow to import

        from lit_metarl.figures import plot_adaptation

        data, logger = rollout_data(trainer), _logger_of(trainer)
        if logger is None:
            return
        assert isinstance(pl_module, MetaRLModule)
        with self._clocked(), mpl.rc_context({"font.size": TEXT_SIZE}):
            figures = {**pl_module.figures(), **data.figures()}
            if self._adaptation and len(self._adaptation[max(self._adaptation)]) > 1:
                figures[ADAPTATION] = plot_adaptation(self._adaptation)
            for name, figure in figures.items():
                logger.experiment.add_figure(name, figure, data.environment_steps)
        self._outdated = False


def _logger_of(trainer: pl.Trainer) -> TensorBoardLogger | None:
    """TensorBoard's logger on the first rank, if it is among the run's loggers."""
    if not trainer.is_global_zero:
        return None
    return next((logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)), None)


def _add_gif(logger: TensorBoardLogger, name: str, content: bytes, step: int) -> None:
    """Show a GIF among the images; the writer's own `add_video` would need moviepy."""
    from tensorboard.compat.proto.summary_pb2 import Summary

    image = Summary.Image(colorspace=3, encoded_image_string=content)
    summary = Summary(value=[Summary.Value(tag=name, image=image)])
    logger.experiment._get_file_writer().add_summary(summary, step)
