"""A number that is not finite stops the run before it spoils anything."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from lit_metarl import cli
from lit_metarl.algorithms import PEARL, RL2
from lit_metarl.checkpoints import whole
from lit_metarl.losses import ppo
from lit_metarl.losses import soft_actor_critic as sac
from tests.lit_metarl.checkpoints.runs import arguments, checkpoint_of


def broken_at(call: int, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function, whose result is not a number when it is called for the `call`-th time."""
    calls = 0

    def break_it(*args: Any) -> Tensor:
        nonlocal calls
        calls += 1
        result = function(*args)
        return result * float("nan") if calls == call else result

    return break_it


def stopped(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What a run says that must stop, with its last good checkpoint whole."""
    assert cli.main(arguments(name, folder)) == 1
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert whole(checkpoint_of(folder)).ranks == 1
    state = torch.load(checkpoint_of(folder), weights_only=True)["state_dict"]
    assert all(bool(value.isfinite().all()) for value in state.values() if value.is_floating_point())
    return told


def test_a_loss_of_pearl_is_named_with_its_step_and_the_batch_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sac, "critic_loss", broken_at(5, sac.critic_loss))
    told = stopped("PEARL", tmp_path, capsys)
    assert "critic_loss and the gradient of encoder/critics are not finite at meta-step 5" in told
    assert "value_loss" not in told
    batch = checkpoint_of(tmp_path).parent / "offending_batch_5_rank_0.safetensors"
    assert str(batch) in told
    assert str(checkpoint_of(tmp_path)) in told
    tensors = safetensors.torch.load(batch.read_bytes())
    assert tensors["transitions/observation"].shape == (2, 8, 2)


@pytest.mark.parametrize("name", ["VariBAD", "RL2"])
def test_a_loss_of_an_on_policy_algorithm_is_named_with_its_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    of_an_update = 2 * 2  # epochs × minibatches
    monkeypatch.setattr(ppo, "value_loss", broken_at(3 * of_an_update + 1, ppo.value_loss))
    told = stopped(name, tmp_path, capsys)
    assert "value_loss and the gradient of" in told
    assert "meta-step 4" in told
    assert "policy_loss" not in told
    batch = checkpoint_of(tmp_path).parent / "offending_batch_4_rank_0.safetensors"
    assert "trials/steps/observation" in safetensors.torch.load(batch.read_bytes())


def test_a_gradient_is_named_where_the_losses_are_finite(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    backward, calls = RL2.manual_backward, 0

    def spoiled(self: RL2, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        nonlocal calls
        calls += 1
        backward(self, loss, *args, **kwargs)
        if calls == 10:
            next(self.encoder.parameters()).grad.fill_(float("inf"))  # type: ignore[union-attr]

    monkeypatch.setattr(RL2, "manual_backward", spoiled)
    told = stopped("RL2", tmp_path, capsys)
    assert "error: the gradient of encoder/actor_critic is not finite at meta-step 3" in told


def test_an_action_that_is_not_finite_stops_collection(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PEARL, "observe", broken_belief(PEARL.observe))
    told = stopped("PEARL", tmp_path, capsys)
    assert "action" in told
    assert "not finite" in told


def broken_belief(observe: Callable[..., Any]) -> Callable[..., Any]:
    """An agent whose z is lost after two meta-iterations."""
    steps = 0

    def break_it(self: PEARL, belief: Any, transition: Any) -> Any:
        nonlocal steps
        if self.training:
            steps += 1
        belief = observe(self, belief, transition)
        if steps == 150:
            belief["z"] = belief["z"] * float("nan")
        return belief

    return break_it
