"""Running statistics against those of all data at once."""

from __future__ import annotations

import torch

from lit_metarl.networks import RunningMoments


def test_the_statistics_of_batches_are_those_of_all_rows() -> None:
    rows = 3.0 * torch.randn(500, 4, generator=torch.Generator().manual_seed(0)) + torch.arange(4.0)
    moments = RunningMoments(4)
    for batch in rows.split([100, 1, 399]):
        moments.update(batch)
    torch.testing.assert_close(moments.mean, rows.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(moments.variance, rows.var(0, correction=0), rtol=1e-4, atol=1e-4)
    normalized = moments.normalize(rows)
    torch.testing.assert_close(normalized.std(0, correction=0), torch.ones(4), rtol=1e-3, atol=1e-3)


def test_nothing_changes_before_the_first_update_and_the_statistics_are_saved() -> None:
    rows = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    moments, restored = RunningMoments(4), RunningMoments(4)
    assert torch.equal(moments.normalize(rows), rows)
    moments.update(rows)
    restored.load_state_dict(moments.state_dict())
    assert torch.equal(restored.normalize(rows), moments.normalize(rows))
    more = torch.randn(10, 4, generator=torch.Generator().manual_seed(1))
    moments.update(more)
    restored.update(more)
    assert torch.equal(restored.normalize(rows), moments.normalize(rows))
