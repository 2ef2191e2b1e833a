"""The command line: its options, its messages, and what its subcommands do."""

from lit_metarl.command_line.meta_rl_cli import MetaRLCLI
from lit_metarl.command_line.mistakes import ConciseParser

__all__ = ["ConciseParser", "MetaRLCLI"]
