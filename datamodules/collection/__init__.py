"""Running trials."""

from datamodules.collection.collector import Collector
from datamodules.collection.sequences import as_sequences
from datamodules.collection.trials import Trials

__all__ = ["Collector", "Trials", "as_sequences"]
