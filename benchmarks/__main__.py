"""Run every benchmark, each in a process of its own, and print a table."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.report import COMPARISONS

NOT_BENCHMARKS = {"__main__", "report"}


def main() -> int:
    table = Table("benchmark", "figure", "value", "target", "met")
    failed = False
    names = sorted({module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)])} - NOT_BENCHMARKS)
    for name in names:
        run = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], stdout=subprocess.PIPE, text=True, check=False
        )
        failed |= run.returncode != 0
        lines = run.stdout.splitlines()
        if not lines or not lines[-1].startswith("{"):
            table.add_row(name, "", "", "", "crashed")
            continue
        result = json.loads(lines[-1])
        for key, value in result["figures"].items():
            target = result["targets"].get(key)
            met = str(COMPARISONS[target[0]](value, target[1])) if target else ""
            table.add_row(name, key, f"{value:,.3f}", " ".join(map(str, target)) if target else "", met)
    Console().print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
