"""What the command line understands, does and says."""

from lit_metarl.command_line.commands import MetaRLCLI
from lit_metarl.command_line.mistakes import ConciseParser

__all__ = ["ConciseParser", "MetaRLCLI"]
