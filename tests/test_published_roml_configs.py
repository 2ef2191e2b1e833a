"""Every published experiment of RoML parses and builds what it says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pytorch_lightning import Trainer

from datamodules import RolloutDataModule
from datamodules.tasks import CEMTaskSampler, TaskSampler, UniformTaskSampler
from lit_metarl import cli
from lit_metarl.algorithms import PEARL, MetaRLModule, OnPolicyModule, VariBAD

Built = tuple[MetaRLModule, RolloutDataModule, Trainer]
Build = Callable[..., Built]

VARIBAD = {
    "KhazadDum": (["khazad_dum"], 8e6, ["khazad_dum_cvar_ml", "khazad_dum_roml"]),
    "HalfCheetahVel": (["half_cheetah", "half_cheetah_vel"], 3e7, ["cvar_ml", "roml"]),
    "HalfCheetahMass": (["half_cheetah", "half_cheetah_mass"], 3e7, ["cvar_ml", "roml"]),
    "HalfCheetahBody": (["half_cheetah", "half_cheetah_body"], 6e7, ["cvar_ml", "roml"]),
    "HumanoidVel": (["humanoid", "humanoid_vel"], 3e7, ["cvar_ml", "roml"]),
    "HumanoidMass": (["humanoid", "humanoid_mass"], 3e7, ["cvar_ml", "roml"]),
    "HumanoidBody": (["humanoid", "humanoid_body"], 6e7, ["cvar_ml", "roml"]),
}
EXPERIMENTS = [
    (env_class, parts, frames, method)
    for env_class, (parts, frames, methods) in VARIBAD.items()
    for method in ["", *methods]
]


@pytest.fixture
def build(configs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Build:
    """What `fit` builds from configuration files and arguments, without running anything."""

    def construct(*parts: str) -> Built:
        built: list[Built] = []
        monkeypatch.setattr(
            cli.MetaRLCLI,
            "_run_subcommand",
            lambda self, _: built.append((self.model, self.datamodule, self.trainer)),
        )
        files = [part if part.startswith("--") else f"--config={configs / part}.yaml" for part in parts]
        assert cli.main(["fit", *files, f"--trainer.logger.init_args.save_dir={tmp_path}"]) == 0
        return built[0]

    return construct


@pytest.mark.parametrize(("environment", "parts", "frames", "method"), EXPERIMENTS)
def test_the_experiment_is_built_with_its_environment_method_and_frames(
    build: Build, environment: str, parts: list[str], frames: float, method: str
) -> None:
    files = [f"published/roml/{part}" for part in (*parts, method) if part]
    model, data, trainer = build(*files)
    epochs = trainer.max_epochs or 0
    assert isinstance(model, VariBAD)
    assert data.meta_spec.name == environment
    plan = data.collection
    steps = plan.tasks_per_iteration * plan.adapted_episodes * data.meta_spec.horizon * plan.iterations * epochs
    assert frames <= steps < 1.03 * frames
    assert data.evaluation.adapted_episodes == plan.adapted_episodes
    sampler: type[TaskSampler] = CEMTaskSampler if "roml" in method else UniformTaskSampler
    assert type(data.task_sampler) is sampler
    assert isinstance(model, OnPolicyModule)
    assert trainer.checkpoint_callback is not None
    assert trainer.checkpoint_callback.monitor == ("val/cvar_trial" if method else "val/return_trial")
    assert model.cvar_share == ({"khazad_dum_cvar_ml": 0.01, "cvar_ml": 0.05}.get(method, 1.0))


@pytest.mark.parametrize(
    ("environment", "parts"),
    [
        ("HalfCheetahVel", ["published/roml/half_cheetah_vel"]),
        ("HalfCheetahVel", ["published/roml/half_cheetah_vel", "published/roml/roml"]),
        ("HalfCheetahMass", ["published/roml/half_cheetah_mass"]),
        ("HalfCheetahMass", ["published/roml/half_cheetah_mass", "published/roml/roml"]),
        ("HalfCheetahBody", ["published/roml/half_cheetah_body", "--trainer.max_epochs=500"]),
    ],
)
def test_pearls_experiments_are_built(build: Build, environment: str, parts: list[str]) -> None:
    model, data, trainer = build("published/roml/pearl_half_cheetah", *parts)
    assert isinstance(model, PEARL)
    assert data.meta_spec.name == environment
    assert trainer.max_epochs == 500
    sampler: type[TaskSampler] = CEMTaskSampler if "published/roml/roml" in parts else UniformTaskSampler
    assert type(data.task_sampler) is sampler
    plan = data.collection
    trials = data.task_slots * plan.initial_episodes + 500 * plan.tasks_per_iteration * (2 + plan.adapted_episodes)
    assert data.replay_capacity == trials * data.meta_spec.horizon  # nothing that was collected is overwritten


@pytest.mark.parametrize("environment", ["HalfCheetahMass", "HalfCheetahBody", "HumanoidMass", "HumanoidBody"])
def test_bodies_keep_their_bounding_radii_as_published(build: Build, environment: str) -> None:
    _, data, _ = build(*(f"published/roml/{part}" for part in VARIBAD[environment][0]))
    assert data.env.update_derived is False


@pytest.mark.parametrize("environment", ["HumanoidVel", "HumanoidMass", "HumanoidBody"])
def test_humanoids_have_no_contact_forces_as_published(build: Build, environment: str) -> None:
    _, data, _ = build(*(f"published/roml/{part}" for part in VARIBAD[environment][0]))
    assert data.env.contact_forces is False


def test_every_file_belongs_to_an_experiment(configs: Path) -> None:
    used = {part for _, parts, _, method in EXPERIMENTS for part in (*parts, method)} | {"pearl_half_cheetah"}
    assert {path.stem for path in (configs / "published" / "roml").glob("*.yaml")} == used - {""}
