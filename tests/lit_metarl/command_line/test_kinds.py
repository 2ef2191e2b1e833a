"""Types in plain words."""

from __future__ import annotations

import pytest

from lit_metarl.command_line.kinds import in_words


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("int", "a whole number"),
        ("PositiveInt | null", "a whole number of at least 1, or null"),
        ("list[int]", "a list of whole numbers"),
        ("list[list[float]] | null", "a list of lists of numbers, such as [[0.5], [1.5]], or null"),
        ("Union[int, str, null]", "a whole number, text, or null"),
        ("Optional[Union[int, float]]", "a whole number, a number, or null"),
        ("Union[list[Callback], Callback, null]", "a list of Callback, Callback, or null"),
        ("Literal['clip', 'tanh']", "'clip' or 'tanh'"),
        ("<class 'bool'>", "<class 'bool'>"),
        ("MetaRLModule", "MetaRLModule"),
    ],
)
def test_a_type_is_described_in_words(kind: str, words: str) -> None:
    assert in_words(kind) == words
