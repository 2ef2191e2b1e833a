"""Objects that remember what they were built from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from envs.constructor_arguments import RemembersArguments
from envs.errors import ConfigurationError


@dataclass(frozen=True)
class Paint:
    """Settings."""

    color: str = "red"


class Wall(RemembersArguments):
    """Has settings."""

    def __init__(self, height: float, paint: Paint = Paint()) -> None:
        self.height, self.paint = height, paint


class House(Wall):
    """Passes on the arguments that it does not know."""

    def __init__(self, rooms: int, **common: Any) -> None:
        super().__init__(**common)
        self.rooms = rooms


def test_the_arguments_are_remembered_by_name() -> None:
    assert House(2, height=3.0).constructor_arguments == {"rooms": 2, "height": 3.0}


@pytest.mark.parametrize("given", [{"color": "blue"}, "blue", None])
def test_anything_but_settings_in_their_place_is_refused_by_name(given: Any) -> None:
    with pytest.raises(ConfigurationError, match="^House: paint = .* must be an object of the class Paint"):
        House(2, height=3.0, paint=given)


def test_settings_left_as_a_class_are_to_be_called() -> None:
    with pytest.raises(ConfigurationError, match=r"^Wall: paint = .* Call the class: Paint\(…\)"):
        Wall(3.0, Paint)  # type: ignore[arg-type]
