"""How a user's mistake is worded, and whose argument it is about."""

from __future__ import annotations

import pytest

from envs.errors import ConfigurationError, ContractError, arguments_of, require


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
