"""Numbers as a reader of the page wants them."""

from __future__ import annotations

import math

from lit_metarl.report.bootstrap import Estimate

MINUS = "\N{MINUS SIGN}"
NONE = "\N{EN DASH}"


def rounded(value: float) -> str:
    """Four significant digits, never scientific below a million: 0.1235, −72.21, −310.2, 12,346; ∞ is "never"."""
    if not math.isfinite(value):
        return "never" if value == math.inf else "not finite"
    digits = 3 - math.floor(math.log10(abs(value))) if value else 1
    return f"{value:,.{min(max(digits, 0), 4)}f}".replace("-", MINUS)


def between(estimate: Estimate) -> str:
    """An interval, or a dash where there is none."""
    if estimate.low is None or estimate.high is None:
        return NONE
    return f"[{rounded(estimate.low)}, {rounded(estimate.high)}]"


def steps(value: float) -> str:
    """Environment steps, with thousands apart."""
    return f"{value:,.0f}" if math.isfinite(value) else rounded(value)
