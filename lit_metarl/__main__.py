"""The commands `lit-metarl` and `python -m lit_metarl`, which are `python train.py` from any folder."""

import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from lit_metarl.packages import other_package
from lit_metarl.startup import large_imports


def main() -> int:
    """Run the command line; the exit status. Ctrl-C ends it in one line, also while it imports and parses."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # for classes of the user's own
    other = other_package()
    if other is not None:
        print(f"error: {other}", file=sys.stderr)
        return 2
    handled = signal.getsignal(signal.SIGINT)
    if handled is signal.default_int_handler:  # else Ctrl-C is ignored
        signal.signal(signal.SIGINT, _stop)
    try:
        with large_imports():
            from lit_metarl.cli import main as run  # takes seconds
    except ModuleNotFoundError as error:
        hint = "Activate the environment that 'make setup' prepared (source .venv/bin/activate), or install it there."
        print(f"error: the package {error.name} is missing in {sys.executable}. {hint}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGINT, handled)
    try:
        return run()
    except KeyboardInterrupt:
        _stop()


def _stop(*_: Any) -> NoReturn:
    """End at once: raised within an import, an interruption may come out as any other exception."""
    print("Stopped before the run began.", file=sys.stderr, flush=True)
    os._exit(128 + signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main())
