"""What a command says beside its results."""

from __future__ import annotations

import sys

from pytorch_lightning.utilities import rank_zero_only


@rank_zero_only
def tell(message: str) -> None:
    """Print a message about the run on stderr, once for all ranks."""
    print(message, file=sys.stderr)
