"""A trained agent can be loaded from its checkpoint alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from datamodules.collection import Collector
from envs import ConfigurationError, PointRobot
from lit_metarl.checkpoints import CONFIGURATION
from lit_metarl.trained import load_trained
from tests.lit_metarl.checkpoints.runs import RUNS


@pytest.fixture
def checkpoint(run_tiny: Callable[..., int], tmp_path: Path) -> Path:
    """The best one of a short run."""
    assert run_tiny("fit") == 0
    return tmp_path / "runs" / "version_0" / "checkpoints" / "best.ckpt"


@pytest.mark.parametrize("algorithm", RUNS)
def test_an_agent_has_the_weights_of_the_run_and_acts_in_its_environment(
    run_tiny: Callable[..., int], tmp_path: Path, algorithm: str
) -> None:
    assert run_tiny("fit", *RUNS[algorithm], "--trainer.max_epochs=1") == 0
    checkpoint = tmp_path / "runs" / "version_0" / "checkpoints" / "best.ckpt"
    agent, env = load_trained(checkpoint, num_envs=3)
    assert type(agent).__name__ == algorithm
    assert isinstance(env, PointRobot)
    saved = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert all(torch.equal(values, saved[name]) for name, values in agent.state_dict().items())
    tasks = env.task_distribution.sample(3, torch.Generator().manual_seed(0))
    trials = Collector(env).collect(agent, tasks, 3, torch.Generator().manual_seed(0), deterministic=True)
    assert trials.episode_returns.shape == (3, 3)


def test_a_checkpoint_cannot_call_anything_but_its_environment_and_algorithm(checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content[CONFIGURATION]["model"] = {"class_path": "os.system", "init_args": {"command": f"touch {tmp_path}/pwned"}}
    torch.save(content, tmp_path / "evil.ckpt")
    with pytest.raises(ConfigurationError, match=r"os\.system, which is no MetaRLModule"):
        load_trained(tmp_path / "evil.ckpt")
    assert not (tmp_path / "pwned").exists()


def test_a_checkpoint_without_a_configuration_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    torch.save({"state_dict": content["state_dict"]}, tmp_path / "bare.ckpt")
    with pytest.raises(ConfigurationError, match="does not say what was trained"):
        load_trained(tmp_path / "bare.ckpt")
