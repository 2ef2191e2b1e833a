"""Running trials."""

from datamodules.collection.collector import Collector
from datamodules.collection.running_trial import RunningTrial
from datamodules.collection.sequences import as_sequences
from datamodules.collection.trials import Trials

__all__ = ["Collector", "RunningTrial", "Trials", "as_sequences"]
