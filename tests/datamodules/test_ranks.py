"""What ranks tell each other."""

from __future__ import annotations

import time

import pytest
import torch

from datamodules import ranks
from datamodules.plans import CollectionPlan
from envs import ConfigurationError
from lit_metarl.networks import RunningMoments
from lit_metarl.non_finite import GradientWatch, NonFiniteUpdate, check_finite
from tests.ranks import connected, in_ranks


def test_ranks_tell_each_other_what_they_have() -> None:
    def tell(rank: int) -> None:
        assert (ranks.world_size(), ranks.rank()) == (2, rank)
        assert ranks.share(torch.arange(6)).tolist() == [[0, 1, 2], [3, 4, 5]][rank]
        assert ranks.gather(torch.arange(rank + 1)).tolist() == [0, 0, 1]
        assert (ranks.total(rank + 1), ranks.largest(rank + 1), ranks.smallest(rank + 1)) == (3, 2, 1)
        tensors = [torch.full((2, 3), float(rank)), torch.tensor([4.0 * rank])]
        ranks.average_(tensors)
        assert torch.equal(tensors[0], torch.full((2, 3), 0.5))
        assert tensors[1].tolist() == [2.0]
        own = {"both": float(rank), **({"one": 3.0} if rank else {})}
        assert ranks.mean_by_name(own) == {"both": 0.5, "one": 3.0}
        state = ranks.with_other_ranks({"rank": rank})
        assert state == {"rank": 0, "other_ranks": [{"rank": 1}]}
        assert ranks.state_of_own_rank(state)["rank"] == rank
        with pytest.raises(ConfigurationError, match="Trainer: devices = 2 .* of a run of 1 process in all"):
            ranks.state_of_own_rank({"rank": 0})

    assert in_ranks(connected(tell)) == [0, 0]


def test_an_error_of_one_rank_stops_all() -> None:
    def work(rank: int) -> None:
        with ranks.failing_together():
            if rank == 1:
                raise KeyError

    def fail(rank: int) -> None:
        with pytest.raises(KeyError if rank else ranks.FailedElsewhere):
            work(rank)
        with ranks.failing_together():
            time.sleep(0.01 * rank)

    assert in_ranks(connected(fail)) == [0, 0]


def test_a_number_that_is_not_finite_on_one_rank_is_named_by_all() -> None:
    def fail(rank: int) -> None:
        loss = torch.tensor(float("nan") if rank else 1.0)
        with pytest.raises(NonFiniteUpdate, match="^loss is not finite at meta-step 7"):
            check_finite(torch.nn.Linear(1, 1), {"loss": loss, "q": torch.zeros(())}, GradientWatch(), 7, None)

    assert in_ranks(connected(fail)) == [0, 0]


def test_running_moments_are_those_of_a_single_process_with_all_rows() -> None:
    rows = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
    alone = RunningMoments(4)
    alone.update(rows)

    def learn(rank: int) -> None:
        together = RunningMoments(4)
        together.update(rows.tensor_split([20])[rank])
        for name, value in alone.state_dict().items():
            assert torch.equal(together.state_dict()[name], value)

    assert in_ranks(connected(learn)) == [0, 0]


def test_a_single_process_is_left_alone() -> None:
    rows = torch.arange(3.0)
    assert ranks.share(rows) is ranks.gather(rows) is rows
    state = {"a": 1}
    assert ranks.state_of_own_rank(ranks.with_other_ranks(state)) == state
    with pytest.raises(ConfigurationError, match="of a run of 2 processes in all"):
        ranks.state_of_own_rank({"a": 1, "other_ranks": [{"a": 1}]})


def test_what_ranks_cannot_share_evenly_is_refused_by_name() -> None:
    assert CollectionPlan(tasks_per_iteration=6).of_rank(3).tasks_per_iteration == 2
    with pytest.raises(ConfigurationError, match=r"CollectionPlan: tasks_per_iteration = 5 .* multiple of 2"):
        CollectionPlan(tasks_per_iteration=5).of_rank(2)
