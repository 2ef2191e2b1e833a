"""Types of values in plain words."""

from __future__ import annotations

WORDS = {  # singular and plural
    "int": ("a whole number", "whole numbers"),
    "float": ("a number", "numbers"),
    "str": ("text", "texts"),
    "bool": ("true or false", "true or false"),
    "PositiveInt": ("a whole number of at least 1", "whole numbers of at least 1"),
    "NonNegativeInt": ("a whole number, 0 or more", "whole numbers, 0 or more"),
    "PositiveFloat": ("a number above 0", "numbers above 0"),
    "NonNegativeFloat": ("a number, 0 or more", "numbers, 0 or more"),
    "ClosedUnitInterval": ("a number from 0 to 1", "numbers from 0 to 1"),
    "OpenUnitInterval": ("a number between 0 and 1, without these", "numbers between 0 and 1, without these"),
    "dict": ("keys with values", "keys with values"),
    "timedelta": ("a duration", "durations"),
    "list[list[float]]": ("a list of lists of numbers, such as [[0.5], [1.5]]", "lists of lists of numbers"),
}
LISTS = ("list", "List", "Sequence", "Iterable")
UNIONS = ("Union", "Optional")


def in_words(kind: str) -> str:
    """What a type allows.

    Args:
        kind: as Python writes it, with `null` or `None`: `list[int] | null`.
    """
    allowed = _alternatives(kind)
    words = [_one(part) for part in allowed if part not in ("null", "None")]
    if len(words) < len(allowed):
        words.append("null")
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])}, or {words[-1]}"


def _alternatives(kind: str) -> list[str]:
    """The members of a union, those of unions within it too; the type itself if it is none."""
    parts = _split(kind, "|")
    if len(parts) > 1:
        return list(dict.fromkeys(member for part in parts for member in _alternatives(part)))
    name, inside = _subscript(kind)
    if name in UNIONS:
        members = [member for part in _split(inside, ",") for member in _alternatives(part)]
        return list(dict.fromkeys([*members, *(["null"] if name == "Optional" else [])]))
    return [kind]


def _one(kind: str, several: bool = False) -> str:
    """A type that is no union."""
    name, inside = _subscript(kind)
    if name in LISTS and inside and kind not in WORDS:
        members = _alternatives(inside)
        return f"{'lists' if several else 'a list'} of {' or '.join(_one(member, several=True) for member in members)}"
    if name == "Literal":
        return " or ".join(_split(inside, ","))
    return WORDS.get(kind, (kind, kind))[several]


def _subscript(kind: str) -> tuple[str, str]:
    """A type's name and what stands in its brackets."""
    name, bracket, inside = kind.partition("[")
    return name.rpartition(".")[2].strip(), inside.removesuffix("]") if bracket else ""


def _split(text: str, mark: str) -> list[str]:
    """The parts of `text` between the marks that are in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += {"[": 1, "]": -1}.get(letter, 0)
        if letter == mark and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]
