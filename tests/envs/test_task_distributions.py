"""Task distributions draw what they say."""

from __future__ import annotations

import pytest
import torch

from envs import AntDir, ConfigurationError, HalfCheetahMass, HalfCheetahVel, KhazadDum
from envs.task_distributions import DealtTasks, Disk, Exponential, FiniteTasks, HalfCircle, LogUniformBox, UniformBox

DRAWS = 20_000


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_uniform_box_fills_its_box_evenly() -> None:
    tasks = UniformBox([-1.0, 2.0], [1.0, 6.0]).sample(DRAWS, _generator())
    assert torch.allclose(tasks.mean(0), torch.tensor([0.0, 4.0]), atol=0.05)
    assert torch.allclose(tasks.std(0), torch.tensor([2.0, 4.0]) / 12**0.5, atol=0.03)


def test_log_uniform_box_is_uniform_in_the_logarithm() -> None:
    distribution = LogUniformBox([0.5], [2.0])
    logs = distribution.sample(DRAWS, _generator()).log2()
    assert float(logs.mean()) == pytest.approx(0.0, abs=0.02)
    assert float(logs.std()) == pytest.approx(2 / 12**0.5, abs=0.02)
    assert distribution.contains(torch.tensor([[0.5], [2.0], [0.49], [2.01]])).tolist() == [True, True, False, False]


def test_exponential_has_its_mean_and_no_negative_tasks() -> None:
    distribution = Exponential(0.1)
    tasks = distribution.sample(DRAWS, _generator())
    assert float(tasks.mean()) == pytest.approx(0.1, rel=0.03)
    assert float((tasks > 0.1).float().mean()) == pytest.approx(0.3679, abs=0.02)
    assert distribution.contains(torch.tensor([[0.0], [5.0], [-0.1], [torch.inf]])).tolist() == [
        True,
        True,
        False,
        False,
    ]


def test_half_circle_lies_on_the_upper_half() -> None:
    tasks = HalfCircle(2.0).sample(DRAWS, _generator())
    assert torch.allclose(tasks.norm(dim=-1), torch.tensor(2.0))
    assert bool((tasks[:, 1] >= 0).all())
    assert torch.allclose(tasks.mean(0), torch.tensor([0.0, 4 / torch.pi]), atol=0.05)


@pytest.mark.parametrize("radius", [0.6, 2.0])
def test_a_task_on_a_half_circle_may_be_typed_with_two_decimals(radius: float) -> None:
    circle = HalfCircle(radius)
    typed = (100 * circle.sample(200, torch.Generator().manual_seed(0))).round() / 100
    assert circle.contains(typed).all()
    assert Disk(radius).contains(typed).all()
    assert not circle.contains(torch.tensor([[radius - 0.02, 0.0], [radius + 0.02, 0.0], [0.0, -radius]])).any()
    assert not Disk(radius).contains(torch.tensor([[radius + 0.02, 0.0]])).any()


def test_finite_tasks_are_equally_likely() -> None:
    distribution = FiniteTasks([[0.0], [1.0], [5.0]])
    values, counts = distribution.sample(DRAWS, _generator()).unique(return_counts=True)
    assert values.tolist() == [0.0, 1.0, 5.0]
    assert torch.allclose(counts / DRAWS, torch.tensor(1 / 3), atol=0.02)


@pytest.mark.parametrize(
    "build",
    [
        lambda: UniformBox([1.0], [1.0]),
        lambda: LogUniformBox([0.0], [1.0]),
        lambda: Exponential(0.0),
        lambda: HalfCircle(-1.0),
        lambda: Disk(0.0),
        lambda: FiniteTasks([]),
        lambda: FiniteTasks([-1.0, 1.0]),  # type: ignore[list-item]
        lambda: FiniteTasks([[-1.0], [1.0, 2.0]]),
        lambda: FiniteTasks([["left"], ["right"]]),  # type: ignore[list-item]
        lambda: HalfCheetahVel(1, max_velocity=-1.0),
        lambda: HalfCheetahVel(0),
    ],
)
def test_impossible_settings_are_refused_at_construction(build: object) -> None:
    with pytest.raises(ConfigurationError, match="is not usable"):
        build()  # type: ignore[operator]


def test_a_mass_of_zero_and_a_negative_noise_are_refused() -> None:
    with pytest.raises(ValueError, match=r"HalfCheetahMass, .* 0: task \[0.0\]: it lies outside .* \(0.5 to 2\)"):
        HalfCheetahMass(1).set_tasks(torch.zeros(1, 1))
    with pytest.raises(ValueError, match=r"KhazadDum, .* 0: task \[-0.5\]: it lies outside .* \(at least 0\)"):
        KhazadDum(1).set_tasks(torch.tensor([[-0.5]]))


def test_forward_backward_ant_has_two_headings() -> None:
    tasks = AntDir(1, forward_backward=True).task_distribution.sample(100, _generator())
    assert sorted(set(tasks[:, 0].tolist())) == pytest.approx([0.0, 3.14159], abs=1e-4)


def test_dealt_tasks_come_once_each_and_the_groups_take_turns() -> None:
    tasks = DealtTasks([[float(number)] for number in range(12)], [number % 3 for number in range(12)])
    drawn = tasks.sample(30, torch.Generator().manual_seed(0))[:, 0].long()
    assert sorted(drawn[:12].tolist()) == list(range(12))
    assert sorted(drawn[12:24].tolist()) == list(range(12))
    assert drawn[:12].tolist() != drawn[12:24].tolist()
    for start in range(0, 24, 3):
        assert sorted((drawn[start : start + 3] % 3).tolist()) == [0, 1, 2]
