"""Running trials."""

from datamodules.collection.collector import Collector
from datamodules.collection.trials import Trials

__all__ = ["Collector", "Trials"]
