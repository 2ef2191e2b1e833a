"""Make one run of a batch, unless another process makes it: `python -m lit_metarl.batch.one_run FOLDER fit …`.

The process that trains claims the run itself, so that its claim lives exactly as long as it does, whatever becomes of
the process that started it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from lit_metarl.batch.claims import LOST, claim
from lit_metarl.batch.runs import SETTINGS, is_finished
from lit_metarl.startup import large_imports
from lit_metarl.whole_files import NotWritten, write_whole


def main(folder: Path, arguments: list[str], settings: bytes) -> int:
    """Make the run; its exit status, or `LOST` if another process makes it.

    Args:
        folder: of the run.
        arguments: of `train.py`.
        settings: what identifies the run, recorded in its folder.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":  # a further rank, which the rank that holds the claim has started
        return _train(folder, arguments)
    own = claim(folder)
    if own is None:
        return LOST
    with own:
        if is_finished(folder):
            return 0
        try:
            write_whole(folder / SETTINGS, settings)
        except NotWritten as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        return _train(folder, arguments)


def _train(folder: Path, arguments: list[str]) -> int:
    with large_imports():  # they take seconds, which a run that another process makes is spared
        from lit_metarl.checkpoints import LAST
        from lit_metarl.cli import main

    begun = any(folder.glob("version_*"))
    return main([*arguments, f"--ckpt_path={LAST}"] if begun else arguments)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:], sys.stdin.buffer.read()))
