"""KhazadDum reproduces recorded transitions of the published implementation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from envs import KhazadDum
from envs.navigation.khazad_dum import bilinear_one_hot, move, on_narrow_bridge

DATA = Path(__file__).parents[1] / "data"
MOVES = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, -1.0], [0.0, 1.0]])


@pytest.fixture(params=["discrete", "continuous"])
def recorded(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    with np.load(DATA / f"khazad_dum_{request.param}.npz") as data:
        return {"continuous": np.array(request.param == "continuous"), **data}


def _steps(recorded: dict[str, np.ndarray]) -> np.ndarray:
    return recorded["action"] if recorded["continuous"] else MOVES[recorded["action"].astype(int)]


def _status_before(recorded: dict[str, np.ndarray]) -> np.ndarray:
    """1 at the goal, −1 fallen, else 0, before each step."""
    before = np.roll(recorded["reached_dest"], 1)
    before[recorded["t"] == 0] = 0
    return before


def test_positions_and_observations_are_exact(recorded: dict[str, np.ndarray]) -> None:
    moving = _status_before(recorded) == 0
    noisy = moving & on_narrow_bridge(recorded["xy"])
    assert (noisy == recorded["is_noisy"]).all()
    moved, _ = move(recorded["xy"], _steps(recorded), recorded["noise_draw"])
    after = np.where(moving[:, None], moved, recorded["xy"])
    assert (after == recorded["next_xy"]).all()
    assert (bilinear_one_hot(after) == recorded["next_obs"]).all()


def test_whole_steps_give_the_recorded_rewards(
    recorded: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    number, status = len(recorded["noise"]), _status_before(recorded)
    env = KhazadDum(number, continuous=bool(recorded["continuous"]))
    env.set_tasks(torch.from_numpy(recorded["noise"])[:, None])
    env.reset()
    env._position[:] = recorded["xy"]
    env._at_goal[:], env._fallen[:] = status > 0, status < 0
    steps = torch.from_numpy(_steps(recorded))
    scale = torch.from_numpy(recorded["noise"])[:, None].float().double() * steps.square().sum(-1, keepdim=True)
    draws = torch.from_numpy(recorded["noise_draw"]) / scale.clamp(min=1e-9)
    monkeypatch.setattr(torch, "randn", lambda *shape, **settings: draws)
    actions = (
        steps.float()
        if recorded["continuous"]
        else torch.nn.functional.one_hot(torch.from_numpy(recorded["action"]).long(), 4).float()
    )
    observation, reward, terminated, _, info = env.step(actions)
    np.testing.assert_allclose(reward, recorded["reward"], rtol=0, atol=5e-7)
    np.testing.assert_allclose(observation, recorded["next_obs"], rtol=0, atol=1e-6)
    assert (info["success"].numpy() == (recorded["reached_dest"] > 0)).all()
    assert (env._fallen == (recorded["reached_dest"] < 0)).all()
    assert not terminated.any()


def test_a_new_episode_begins_neither_fallen_nor_at_the_goal() -> None:
    env = KhazadDum(2)
    env.reset()
    env._fallen[0] = env._at_goal[1] = True
    env.reset()
    _, reward, _, _, info = env.step(torch.tensor([[0.0, 1.0, 0.0, 0.0]] * 2))  # to the right
    assert info["success"].tolist() == [False, False]
    assert bool((reward < 0).all())
    assert env._path[:, :2].diff(dim=1).abs().sum((1, 2)).tolist() == pytest.approx([1.0, 1.0])


def test_the_noise_of_a_step_has_the_tasks_standard_deviation() -> None:
    env = KhazadDum(20_000, continuous=True)
    env.set_tasks(torch.full((20_000, 1), 0.05))
    env.reset()
    env._position[:] = [2.0, 4.0]
    env.step(torch.tensor([0.0, 0.5]).expand(20_000, 2))
    slips = env._position - [2.0, 4.5]
    assert slips.std(0) == pytest.approx([0.0125, 0.0125], rel=0.03)
    assert slips.mean(0) == pytest.approx([0.0, 0.0], abs=5e-4)
