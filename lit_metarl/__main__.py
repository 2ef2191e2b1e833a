"""`python -m lit_metarl` is `python train.py`, from any folder."""

import signal
import sys


def start() -> int:
    """Run the command line; the exit status. Ctrl-C ends it in one line, also while it imports and parses."""
    try:
        from lit_metarl.cli import main  # takes seconds

        return main()
    except KeyboardInterrupt:
        print("Stopped before the run began.", file=sys.stderr)
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(start())
