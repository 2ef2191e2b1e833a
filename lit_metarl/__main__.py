"""The commands `lit-metarl` and `python -m lit_metarl`, which are `python train.py` from any folder."""

import signal
import sys
from pathlib import Path

from lit_metarl.packages import other_package


def main() -> int:
    """Run the command line; the exit status. Ctrl-C ends it in one line, also while it imports and parses."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # for classes of the user's own
    other = other_package()
    if other is not None:
        print(f"error: {other}", file=sys.stderr)
        return 2
    try:
        from lit_metarl.cli import main as run  # takes seconds

        return run()
    except KeyboardInterrupt:
        print("Stopped before the run began.", file=sys.stderr)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
