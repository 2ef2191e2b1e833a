"""Train, validate, test and run meta-RL agents: `python train.py fit --config configs/quickstart.yaml`."""

import sys

from lit_metarl.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
