"""The commands `lit-metarl` and `python -m lit_metarl`, which are `python train.py` from any folder."""

import sys
from pathlib import Path

from lit_metarl.packages import other_package


def main() -> int:
    """Run the command line; the exit status."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)  # for classes of the user's own
    other = other_package()
    if other is not None:
        print(f"error: {other}", file=sys.stderr)
        return 2
    from lit_metarl.cli import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
