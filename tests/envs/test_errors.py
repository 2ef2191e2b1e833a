"""How a user's mistake is worded, and whose argument it is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from envs.errors import (
    ConfigurationError,
    ContractError,
    arguments_of,
    require,
    require_finite,
    require_limit,
    require_positive,
    require_positive_and_finite,
    require_widths,
)


class Box:
    """A class with an argument."""

    def __init__(self, size: int) -> None:
        require(size > 0, "size", size, "it must be positive", "Use 1.", of=self)


class LargeBox(Box):
    """A class with its base's argument."""


@pytest.mark.parametrize("owner", [Box, LargeBox])
def test_a_mistake_names_the_class_that_was_built(owner: type[Box]) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{owner.__name__}: size = 0 is not usable: it must be positive"):
        owner(0)


def test_the_mistake_of_a_function_is_about_an_argument_of_the_class_that_calls_it() -> None:
    with pytest.raises(ConfigurationError, match="^Box: size = 0") as raised, arguments_of(Box(1)):
        require(False, "size", 0, "it must be positive", "Use 1.")
    assert raised.value.owner is Box


@pytest.mark.parametrize("error", [ConfigurationError("size", 0, "", "", of=LargeBox), ContractError("a", "b", "c")])
def test_a_mistake_of_another_class_stays_that_classes(error: ConfigurationError) -> None:
    with pytest.raises(ConfigurationError) as raised, arguments_of(Box(1)):
        raise error
    assert raised.value is error


def one_of(value: Any) -> None:
    """The check of layers, of one of them."""
    require_widths("value", [value], "Correct it.")


CHECKS: list[Callable[[Any], None]] = [
    lambda value: require_positive("value", value),
    lambda value: require_positive_and_finite("value", value, "Correct it."),
    lambda value: require_finite("value", value, "Correct it."),
    lambda value: require_limit("value", value),
    one_of,
    lambda value: require_widths("value", value, "Correct it."),
]


@pytest.mark.parametrize("given", ["1e-3", None, [1, "2"], "12"])
@pytest.mark.parametrize("check", CHECKS)
def test_what_is_no_number_is_a_mistake_and_no_crash(check: Callable[[Any], None], given: Any) -> None:
    with pytest.raises(ConfigurationError, match="^value = "):
        check(given)


@pytest.mark.parametrize("check", CHECKS[:-1])
def test_numbers_of_numpy_are_numbers(check: Callable[[Any], None]) -> None:
    check(np.int64(3))
