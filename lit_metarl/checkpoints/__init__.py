"""Checkpoints that a run goes on from exactly, and that a crash cannot spoil."""

from lit_metarl.checkpoints.checkpoint_io import ManifestCheckpointIO
from lit_metarl.checkpoints.errors import UnusableCheckpoint
from lit_metarl.checkpoints.exact_resume import CONFIGURATION, ExactResume, checkpoint_folder, whole
from lit_metarl.checkpoints.initial_weights import different_weights, load_initial_weights, shapes_of
from lit_metarl.checkpoints.interruption import Interrupted
from lit_metarl.checkpoints.keeping import COUNTERS, LastCheckpoint, RunCheckpoint, best_of, chosen_by, last_of
from lit_metarl.checkpoints.made_of import MADE_OF
from lit_metarl.checkpoints.reading import read_checkpoint
from lit_metarl.checkpoints.resuming import LAST, check_configuration, folders_of_runs, newest_whole

__all__ = [
    "CONFIGURATION",
    "COUNTERS",
    "LAST",
    "MADE_OF",
    "ExactResume",
    "Interrupted",
    "LastCheckpoint",
    "ManifestCheckpointIO",
    "RunCheckpoint",
    "UnusableCheckpoint",
    "best_of",
    "check_configuration",
    "checkpoint_folder",
    "chosen_by",
    "different_weights",
    "folders_of_runs",
    "last_of",
    "load_initial_weights",
    "newest_whole",
    "read_checkpoint",
    "shapes_of",
    "whole",
]
