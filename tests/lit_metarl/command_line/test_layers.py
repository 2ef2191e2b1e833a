"""Arguments written for one class do not apply to another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CONFIGS
from tests.lit_metarl.command_line.conftest import PRESET, Parsed

Parse = Callable[..., Parsed]
Write = Callable[..., str]
VARIBAD = "lit_metarl.algorithms.VariBAD"
OWN = {"initialization": "normc", "layers": [64, 64]}
"""VariBAD's defaults of what the preset gives to PEARL."""


@pytest.mark.parametrize(
    "chosen",
    [
        ["--model", "VariBAD"],
        [f"--model={VARIBAD}"],
        [f"--model.class_path={VARIBAD}"],
        ["--model", '{"class_path": "VariBAD"}'],
    ],
)
@pytest.mark.parametrize("after", [True, False])
def test_an_algorithm_that_is_typed_has_its_own_defaults_and_what_is_dropped_is_named(
    parse: Parse, chosen: list[str], after: bool
) -> None:
    parsed = parse("fit", *([PRESET, *chosen] if after else [*chosen, PRESET]))
    assert parsed.config.model.class_path == VARIBAD
    arguments = parsed.config.model.init_args
    assert {name: arguments[name] for name in OWN} == OWN
    for part in ("model is VariBAD", "point_robot.yaml", "PEARL", *OWN):
        assert part in parsed.said
    kept, _, foreign = parsed.said.partition("VariBAD does not have ")
    assert "reward_scale" not in kept
    assert "reward_scale" in foreign


@pytest.mark.parametrize("content", ["model: VariBAD", f"model: {VARIBAD}", f"model: {{class_path: {VARIBAD}}}"])
def test_an_algorithm_of_a_later_file_has_its_own_defaults(parse: Parse, write: Write, content: str) -> None:
    parsed = parse("fit", PRESET, write(content))
    assert {name: parsed.config.model.init_args[name] for name in OWN} == OWN
    assert "initialization" in parsed.said


def test_what_the_new_class_is_given_itself_is_kept_and_not_named(parse: Parse, write: Write) -> None:
    chosen = write("model: {class_path: VariBAD, init_args: {initialization: orthogonal}}")
    later = write("model: {init_args: {latent_dim: 3}}")
    parsed = parse("fit", PRESET, chosen, later, "--model.cvar_share=0.25")
    given = parsed.config.model.init_args
    assert (given.initialization, given.latent_dim, given.cvar_share) == ("orthogonal", 3, 0.25)
    assert "initialization" not in parsed.said
    typed = parse(
        "fit", PRESET, "--model", "VariBAD", "--model.initialization=orthogonal", "--model.init_args.latent_dim=3"
    )
    assert (typed.config.model.init_args.initialization, typed.config.model.init_args.latent_dim) == ("orthogonal", 3)
    assert "initialization" not in typed.said
    assert "layers" in typed.said


def test_a_later_file_or_argument_changes_single_settings_of_a_plan(parse: Parse, write: Write) -> None:
    chosen = write("model: {class_path: VariBAD, init_args: {ppo: {clip: 0.3, epochs: 7}}}")
    later = write("model: {init_args: {ppo: {clip: 0.4}}}")
    plan = parse("fit", PRESET, chosen, later, "--model.ppo.discount=0.5").config.model.init_args.ppo
    assert (plan.clip, plan.epochs, plan.discount, plan.minibatches) == (0.4, 7, 0.5, 8)


def test_a_file_without_a_class_is_for_the_class_in_force(parse: Parse) -> None:
    cvar = f"--config={CONFIGS / 'robust' / 'cvar_ml.yaml'}"
    for arguments in (
        [PRESET, cvar, "--model=VariBAD"],
        ["--model=VariBAD", PRESET, cvar],
        [PRESET, "--model=VariBAD", cvar],
    ):
        assert parse("fit", *arguments).config.model.init_args.cvar_share == 0.05


def test_another_name_of_the_same_class_drops_nothing(parse: Parse, write: Write) -> None:
    for arguments in (["--model=PEARL"], [write("model: lit_metarl.algorithms.pearl.PEARL")]):
        parsed = parse("fit", PRESET, *arguments)
        assert parsed.config.model.init_args.kl_weight == 0.001
        assert parsed.said == ""


def test_environment_relabeler_and_task_sampler_do_not_inherit_arguments_either(parse: Parse, write: Write) -> None:
    first = write(
        """
data:
  env: {class_path: envs.HalfCheetahVel, init_args: {max_velocity: 1.5}}
  relabeler: {class_path: HFRRelabeler, init_args: {probability: 0.9}}
  task_sampler: {class_path: CEMTaskSampler, init_args: {family: datamodules.tasks.BetaFamily, alpha: 0.5}}
"""
    )
    chosen = ["--data.env=envs.HalfCheetahVelSparse", "--data.relabeler=RandomRelabeler"]
    parsed = parse("fit", PRESET, first, *chosen, "--data.task_sampler=UniformTaskSampler")
    assert "max_velocity" not in parsed.config.data.env.init_args
    assert parsed.config.data.relabeler.init_args.probability == 1.0
    assert "data.relabeler is RandomRelabeler" in parsed.said
    assert "alpha" not in parsed.config.data.task_sampler.get("init_args", {})


STOPPING = "[{class_path: EarlyStopping, init_args: {monitor: val/return, patience: 9}}]"
OTHER = '[{"class_path": "EarlyStopping", "init_args": {"monitor": "val/cvar"}}]'


@pytest.mark.parametrize("later", [["--trainer.callbacks", OTHER], [f"--config={{trainer: {{callbacks: {OTHER}}}}}"]])
def test_a_list_that_takes_the_place_of_another_inherits_nothing(parse: Parse, write: Write, later: list[str]) -> None:
    (given,) = parse("fit", PRESET, write(f"trainer: {{callbacks: {STOPPING}}}"), *later).config.trainer.callbacks
    assert given.init_args.monitor == "val/cvar"
    assert given.init_args.patience == 3  # the class's own


@pytest.mark.parametrize("nested", ["data: {relabeler: part.yaml}", "data: data.yaml", "data: parts/data.yaml"])
def test_arguments_of_a_nested_file_are_dropped_with_its_class(
    parse: Parse, write: Write, tmp_path: Path, nested: str
) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "part.yaml").write_text("class_path: HFRRelabeler\ninit_args: {probability: 0.9}")
    (tmp_path / "data.yaml").write_text("relabeler: part.yaml")
    (tmp_path / "parts" / "own.yaml").write_text("class_path: HFRRelabeler\ninit_args: {probability: 0.9}")
    (tmp_path / "parts" / "data.yaml").write_text("relabeler: own.yaml")
    parsed = parse("fit", PRESET, write(nested), "--data.relabeler=RandomRelabeler")
    assert parsed.config.data.relabeler.init_args.probability == 1.0
    assert "probability" in parsed.said


def test_a_class_that_is_typed_as_a_file_keeps_what_the_file_gives(parse: Parse, tmp_path: Path) -> None:
    file = tmp_path / "varibad.yaml"
    file.write_text(f"class_path: {VARIBAD}\ninit_args: {{layers: [9]}}")
    parsed = parse("fit", PRESET, f"--model={file}")
    assert parsed.config.model.init_args.layers == [9]
    assert "dropped: initialization, network." in parsed.said
    assert "VariBAD does not have discount, encoder_layers, exploration_episodes, " in parsed.said


def test_what_a_file_of_another_class_takes_from_the_typed_one_is_named(parse: Parse) -> None:
    files = [f"--config={CONFIGS / name}" for name in ("robust/cvar_ml.yaml", "algorithm/pearl.yaml")]
    assert "cvar_share" in parse("fit", "--model=VariBAD", PRESET, *files).said


def test_a_section_of_callbacks_in_a_nested_file_is_read(parse: Parse, write: Write, tmp_path: Path) -> None:
    (tmp_path / "trainer.yaml").write_text(f"callbacks: {STOPPING}")
    (given,) = parse("fit", PRESET, write("trainer: trainer.yaml")).config.trainer.callbacks
    assert given.init_args.mode == "max"


def test_a_logger_keeps_the_defaults_of_the_program_and_not_what_a_file_gave_to_another(
    parse: Parse, write: Write
) -> None:
    file = write("trainer: {logger: {class_path: TensorBoardLogger, init_args: {save_dir: elsewhere, name: mine}}}")
    for arguments in ([], [file]):
        parsed = parse("fit", PRESET, *arguments, "--trainer.logger=CSVLogger")
        assert parsed.config.trainer.logger.init_args.save_dir == "runs"
        assert ("save_dir" in parsed.said) == bool(arguments)


def test_a_list_of_callbacks_in_a_later_file_takes_the_place_of_an_earlier_one(parse: Parse, write: Write) -> None:
    stopping = "trainer: {{callbacks: [{{class_path: EarlyStopping, init_args: {{{}}}}}]}}"
    first = write(stopping.format("monitor: val/return, patience: 9"))
    (callback,) = parse("fit", PRESET, first, write(stopping.format("monitor: val/cvar"))).config.trainer.callbacks
    assert (callback.init_args.monitor, callback.init_args.patience) == ("val/cvar", 3)


@pytest.mark.parametrize(
    ("algorithm", "robust"),
    [
        *(
            (algorithm, robust)
            for algorithm in ("pearl", "varibad", "rl2", "maml")
            for robust in ("uniform", "roml", "mpts", "pdts")
        ),
        *((algorithm, "cvar_ml") for algorithm in ("varibad", "rl2", "maml")),  # the on-policy ones
    ],
)
def test_the_committed_parts_compose_without_a_warning_of_each_other(parse: Parse, algorithm: str, robust: str) -> None:
    parts = [f"--config={CONFIGS / part}.yaml" for part in (f"algorithm/{algorithm}", f"robust/{robust}")]
    parsed = parse("fit", PRESET, *parts)
    assert parsed.refusal == ""
    assert "robust/" not in parsed.said
