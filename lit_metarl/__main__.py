"""`python -m lit_metarl` is `python train.py`, from any folder."""

import sys

from lit_metarl.cli import main

if __name__ == "__main__":
    sys.exit(main())
