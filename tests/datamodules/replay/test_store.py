"""`TransitionStore` against a list of everything that was ever stored."""

from __future__ import annotations

import pytest
import torch
from tensordict import TensorDict

from datamodules.replay import TransitionStore


def chunk(values: torch.Tensor) -> TensorDict:
    return TensorDict({"observation": values[:, None].expand(-1, 3).clone()}, [len(values)])


@pytest.mark.parametrize("sizes", [[4, 4, 4, 4], [3, 5, 7, 1, 10, 2, 9], [10, 10, 10], [1] * 35])
def test_every_transition_that_is_kept_reads_back_across_any_number_of_wraps(sizes: list[int]) -> None:
    store, everything = TransitionStore(10), torch.empty(0)
    for size in sizes:
        values = torch.rand(size, generator=torch.Generator().manual_seed(len(everything)))
        assert store.append(chunk(values)) == len(everything)
        everything = torch.cat((everything, values))
        assert store.written == len(everything)
        assert store.oldest == max(0, len(everything) - 10)
        numbers = torch.arange(store.oldest, store.written)
        assert torch.equal(store.get(numbers)["observation"][:, 2], everything[numbers])


def test_the_shape_of_the_numbers_becomes_the_batch_shape() -> None:
    store = TransitionStore(8)
    store.append(chunk(torch.arange(6.0)))
    numbers = torch.tensor([[5, 0, 2], [1, 1, 4]])
    drawn = store.get(numbers)
    assert drawn.batch_size == (2, 3)
    assert torch.equal(drawn["observation"][..., 0], numbers.float())


def test_what_was_read_does_not_change_when_its_place_is_overwritten() -> None:
    store = TransitionStore(4)
    store.append(chunk(torch.arange(4.0)))
    drawn = store.get(torch.arange(4))
    store.append(chunk(torch.arange(4.0) + 100))
    assert drawn["observation"][:, 0].tolist() == [0, 1, 2, 3]


def test_more_than_the_capacity_at_once_is_refused() -> None:
    with pytest.raises(ValueError, match="11 transitions .* replay of 10"):
        TransitionStore(10).append(chunk(torch.arange(11.0)))
