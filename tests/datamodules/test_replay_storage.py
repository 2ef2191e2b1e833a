"""Where the replay is kept: what is refused before a run starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from datamodules.checks import check_agent
from datamodules.rollout import RolloutDataModule
from envs import ConfigurationError
from lit_metarl.algorithms import PEARL, RL2, MetaRLModule
from tests.tiny import tiny_agent, tiny_data


def data_on(storage: str, folder: str | None) -> RolloutDataModule:
    data = tiny_data()
    data.replay_storage, data.replay_folder = storage, folder  # type: ignore[assignment]
    return data


@pytest.mark.parametrize(
    ("algorithm", "storage", "folder", "message"),
    [
        (PEARL, "disk", "/proc/nowhere", r"replay_folder = '/proc/nowhere' .*the folder cannot be written \("),
        (PEARL, "memory", "somewhere", "replay_folder = 'somewhere' .*kept in memory.*replay_storage to disk"),
        (RL2, "disk", None, "replay_storage = 'disk' .*RL2 .*keeps no replay"),
    ],
)
def test_a_place_where_no_replay_can_be_kept_is_refused(
    algorithm: type[MetaRLModule], storage: str, folder: str | None, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        check_agent(data_on(storage, folder), tiny_agent(algorithm))


def test_a_folder_may_not_be_there_yet(tmp_path: Path) -> None:
    check_agent(data_on("disk", str(tmp_path / "new")), tiny_agent())
    assert list(tmp_path.iterdir()) == []
