"""`ReferenceTable` against plain lists of (start, length)."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from datamodules.replay import ReferenceTable

SLOTS = 3
Reference = tuple[int, int, int]  # slot, start, length
Operation = tuple[str, list[Reference] | set[int] | int]

references = st.tuples(st.integers(0, SLOTS - 1), st.integers(0, 200), st.integers(1, 40))
operations = st.one_of(
    st.tuples(st.just("append"), st.lists(references, max_size=25)),
    st.tuples(st.just("clear"), st.sets(st.integers(0, SLOTS - 1))),
    st.tuples(st.just("discard_before"), st.integers(0, 200)),
)


def append(table: ReferenceTable, added: list[Reference]) -> None:
    table.append(*torch.tensor(added, dtype=torch.long).reshape(-1, 3).unbind(1))


def transitions(model: list[tuple[int, int]]) -> Counter[int]:
    """How often a list of references refers to each transition."""
    return Counter(start + offset for start, length in model for offset in range(length))


def assert_uniform(drawn: torch.Tensor, expected: Counter[int]) -> None:
    counts = Counter(drawn.tolist())
    assert set(counts) <= set(expected), "a transition was drawn that no reference covers"
    total = expected.total()
    share = drawn.numel() / total
    if len(expected) > 1:
        assert chisquare([counts[n] for n in expected], [share * expected[n] for n in expected]).pvalue > 1e-6
    if share >= 20:  # missing one transition then has probability e^-20
        assert set(counts) == set(expected)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(operations, max_size=8))
def test_any_history_of_operations_agrees_with_lists_of_references(history: list[Operation]) -> None:
    table, model = ReferenceTable(SLOTS), [[] for _ in range(SLOTS)]
    for name, argument in history:
        if name == "append":
            append(table, argument)
            for slot, start, length in argument:
                model[slot].append((start, length))
        elif name == "clear":
            table.clear(torch.tensor(sorted(argument), dtype=torch.long))
            model = [[] if slot in argument else kept for slot, kept in enumerate(model)]
        else:
            table.discard_before(argument)
            model = [[reference for reference in kept if reference[0] >= argument] for kept in model]

    assert table.counts.tolist() == [len(kept) for kept in model]
    assert table.totals.tolist() == [sum(length for _, length in kept) for kept in model]
    filled = [slot for slot in range(SLOTS) if model[slot]]
    if filled:
        generator = torch.Generator().manual_seed(len(history))
        for slot, row in zip(filled, table.sample(torch.tensor(filled), 4000, generator)):
            assert_uniform(row, transitions(model[slot]))
        for draws in (3, 2000):  # fewer and more than there are references
            choices, chosen = table.sample_references(torch.tensor(filled).repeat(2000 // draws), draws, generator)
            drawn = choices.gather(1, chosen)
            for row, slot in enumerate(filled):
                expected = Counter(start for start, _ in model[slot])
                assert_uniform(drawn[row :: len(filled)].flatten(), expected)


def test_transitions_of_long_and_short_episodes_are_equally_likely(generator: torch.Generator) -> None:
    table = ReferenceTable(1)
    model = [(1000, 1), (0, 150), (500, 2), (300, 47)]
    append(table, [(0, *reference) for reference in model])
    assert_uniform(table.sample(torch.tensor([0]), 20_000, generator)[0], transitions(model))


def test_a_trajectory_referred_to_twice_is_twice_as_likely(generator: torch.Generator) -> None:
    table = ReferenceTable(1)
    append(table, [(0, 0, 5), (0, 10, 5), (0, 0, 5)])
    drawn = table.sample(torch.tensor([0]), 30_000, generator)
    assert float((drawn < 10).double().mean()) == pytest.approx(2 / 3, abs=0.015)


def test_one_call_may_append_to_slots_in_any_order_and_repeatedly(generator: torch.Generator) -> None:
    table = ReferenceTable(3)
    append(table, [(2, 0, 3), (0, 10, 1), (2, 20, 2), (0, 30, 4), (2, 40, 1)])
    assert table.counts.tolist() == [2, 0, 3]
    assert table.totals.tolist() == [5, 0, 6]
    drawn = table.sample(torch.tensor([2, 0]), 2000, generator)
    assert set(drawn[0].tolist()) == {0, 1, 2, 20, 21, 40}
    assert set(drawn[1].tolist()) == {10, 30, 31, 32, 33}


def test_appending_nothing_changes_nothing() -> None:
    table = ReferenceTable(2)
    append(table, [(0, 3, 4)])
    append(table, [])
    assert table.counts.tolist() == [1, 0]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_slot_takes_hundreds_of_references(at_once: bool, generator: torch.Generator) -> None:
    table = ReferenceTable(2)
    model = [(10 * i, 1 + i % 3) for i in range(300)]
    for group in [model] if at_once else [[reference] for reference in model]:
        append(table, [(1, *reference) for reference in group])
    assert table.totals.tolist() == [0, transitions(model).total()]
    assert_uniform(table.sample(torch.tensor([1]), 20_000, generator)[0], transitions(model))


def test_rows_of_a_draw_belong_to_the_slots_asked_for_even_when_repeated(generator: torch.Generator) -> None:
    table = ReferenceTable(4)
    append(table, [(slot, 100 * slot, 10 * slot) for slot in (1, 2, 3)])
    slots = torch.tensor([3, 1, 3, 2])
    drawn = table.sample(slots, 200, generator)
    assert drawn.shape == (4, 200)
    assert torch.equal(drawn // 100, slots[:, None].expand(4, 200))
    assert not torch.equal(drawn[0], drawn[2]), "rows of the same slot must be independent draws"


def test_a_cleared_slot_starts_anew_and_leaves_the_others_alone(generator: torch.Generator) -> None:
    table = ReferenceTable(2)
    append(table, [(0, 0, 5), (1, 50, 5), (0, 10, 5)])
    table.clear(torch.tensor([0]))
    append(table, [(0, 100, 2)])
    assert set(table.sample(torch.tensor([0]), 200, generator)[0].tolist()) == {100, 101}
    assert set(table.sample(torch.tensor([1]), 200, generator)[0].tolist()) == {50, 51, 52, 53, 54}


def test_a_slot_may_hold_fewer_and_longer_references_after_it_was_cleared(generator: torch.Generator) -> None:
    table = ReferenceTable(1)
    append(table, [(0, 10 * i, 1) for i in range(16)])
    table.clear(torch.tensor([0]))
    append(table, [(0, 1000, 200)])
    assert_uniform(table.sample(torch.tensor([0]), 10_000, generator)[0], transitions([(1000, 200)]))


def test_a_reference_that_reaches_back_before_the_oldest_transition_is_dropped_whole(
    generator: torch.Generator,
) -> None:
    table = ReferenceTable(2)
    append(table, [(0, 20, 3), (0, 5, 10), (0, 8, 4), (1, 2, 3)])
    table.discard_before(8)
    assert table.counts.tolist() == [2, 0]
    assert set(table.sample(torch.tensor([0]), 500, generator)[0].tolist()) == {20, 21, 22, 8, 9, 10, 11}


@pytest.mark.parametrize("method", ["sample", "sample_references"])
def test_sampling_from_an_empty_slot_names_the_slot(method: str, generator: torch.Generator) -> None:
    table = ReferenceTable(4)
    append(table, [(1, 0, 5)])
    with pytest.raises(RuntimeError, match="slot 3"):
        getattr(table, method)(torch.tensor([1, 3]), 2, generator)


def test_draws_depend_on_the_given_generator_alone() -> None:
    table = ReferenceTable(1)
    append(table, [(0, 0, 1000)])
    before = torch.get_rng_state()
    first, second = (table.sample(torch.tensor([0]), 50, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_restored_table_draws_what_the_saved_one_draws() -> None:
    table, restored = ReferenceTable(3), ReferenceTable(3)
    slots = torch.arange(60) % 2  # the third slot stays empty
    table.append(slots, 10 * torch.arange(60), torch.randint(1, 10, (60,), generator=torch.Generator().manual_seed(0)))
    table.discard_before(35)
    restored.append(torch.tensor([2]), torch.tensor([5]), torch.tensor([5]))
    restored.load_state_dict(table.state_dict())
    assert restored.counts.tolist() == table.counts.tolist()
    drawn = [t.sample(torch.tensor([0, 1]), 50, torch.Generator().manual_seed(1)) for t in (table, restored)]
    assert torch.equal(*drawn)
    for each in (table, restored):
        each.append(torch.tensor([2, 0]), torch.tensor([700, 800]), torch.tensor([3, 4]))
    assert restored.totals.tolist() == table.totals.tolist()
