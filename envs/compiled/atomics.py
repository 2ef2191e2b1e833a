"""Integers in memory that threads share: each operation is whole, and all threads see the same order of them.

Compiled code that uses these operations is kept on disk until its own file changes, not until this one does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

ORDER = "seq_cst"
INTEGER_BYTES = 8


def _integer(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, ir.IntType(8 * INTEGER_BYTES).as_pointer())


def _load(typing_context: Any, address: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_integer(builder, arguments[0]), ORDER, INTEGER_BYTES)

    return types.int64(types.int64), build


def _exchange(typing_context: Any, address: Any, value: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("xchg", _integer(builder, arguments[0]), arguments[1], ORDER)

    return types.int64(types.int64, types.int64), build


def _add(typing_context: Any, address: Any, amount: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("add", _integer(builder, arguments[0]), arguments[1], ORDER)

    return types.int64(types.int64, types.int64), build


def _replace(typing_context: Any, address: Any, old: Any, new: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        outcome = builder.cmpxchg(_integer(builder, arguments[0]), arguments[1], arguments[2], ORDER)
        return builder.extract_value(outcome, 1)

    return types.boolean(types.int64, types.int64, types.int64), build


load = cast(Callable[[int], int], intrinsic(_load))
"""`load(address)`: the integer there."""
exchange = cast(Callable[[int, int], int], intrinsic(_exchange))
"""`exchange(address, value)`: write the value; the integer that was there."""
add = cast(Callable[[int, int], int], intrinsic(_add))
"""`add(address, amount)`: add the amount; the integer that was there."""
replace = cast(Callable[[int, int, int], bool], intrinsic(_replace))
"""`replace(address, old, new)`: write the new integer if the old one is there; whether it was."""
