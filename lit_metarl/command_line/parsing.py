"""From the arguments of a command to its configuration, and what is said on the way."""

from __future__ import annotations

import json
import sys
from typing import Any

from pytorch_lightning.cli import LightningArgumentParser

from envs.errors import require
from lit_metarl.command_line.arguments import SUBCOMMANDS, ArgumentsCLI, spell_out
from lit_metarl.command_line.given import files_first, typed, warn_of_environment, warn_of_overridden
from lit_metarl.command_line.layers import Layers
from lit_metarl.command_line.messages import tell
from lit_metarl.command_line.mistakes import Mistake, refuse_base_environment, refuse_nulls, refuse_own_seed
from lit_metarl.command_line.modes import set_modes


class ParsingCLI(ArgumentsCLI):
    """Parses a command and refuses what cannot be meant.

    Attributes:
        config: by subcommand, as jsonargparse parsed it.
        configuration: the subcommand's, as primitives.
        typed: by key, what was given on the command line and not in files.
    """

    config: Any
    configuration: dict[str, Any]
    typed: dict[str, Any]

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse files before arguments, so that what is typed counts, and say where a mistake was given."""
        arguments = sys.argv[1:] if args is None else args
        layers = Layers(typed(arguments))
        self.typed = {given.key: given.loaded for given in layers.arguments}
        parsers: list[Any] = [parser, *self._subcommand_parsers.values()]
        for own in parsers:
            own.layers = layers
        try:
            super().parse_arguments(parser, files_first(arguments, list(SUBCOMMANDS)))
            refuse_own_seed(layers.arguments, layers.files)
            set_modes(self.config[self.config.subcommand], layers)
        except Mistake as mistake:
            refuse_own_seed(layers.arguments, layers.files)
            raise mistake.placed(layers, parser) from None
        finally:
            for warning in (*warn_of_overridden(layers.arguments), *warn_of_environment(SUBCOMMANDS), *layers.warnings):
                tell(f"warning: {warning}")
        self._check_configuration(self._parser(self.config.subcommand))

    def _check_configuration(self, parser: LightningArgumentParser) -> None:
        """Refuse what the subcommand's parser lets pass."""
        config = self.config[self.config.subcommand]
        seed = config.seed_everything
        message = "it must be a whole number, 0 or more and less than 2**32"
        require(0 <= seed < 2**32, "seed_everything", seed, message, "Correct it.")
        spell_out(config.trainer)
        self.configuration = json.loads(parser.dump(config, skip_none=False, format="json"))
        for part in ("model", "data"):
            refuse_nulls(self.configuration[part], part)
        refuse_base_environment(self.configuration["data"]["env"], parser)
