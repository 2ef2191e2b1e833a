"""The file of a batch: experiments, and the runs that follow from them.

The file lists experiments; each names its configurations, its seeds, and for each method what is added to them:

    folder: runs/evidence/hfr
    experiments:
      point_robot:
        configs: [configs/low_data/point_robot.yaml]
        seeds: [1, 2, 3]
        methods:
          none: [configs/relabel/none.yaml]
          hfr: [configs/relabel/hfr.yaml]
          half: [configs/relabel/hfr.yaml, {data.relabeler.init_args.probability: 0.5}]
          fast: {model.init_args.learning_rate: 0.001}

A run's folder is FOLDER/EXPERIMENT/METHOD/seed_N. A run that has its `results.json` is not repeated; one that was
interrupted resumes from its last checkpoint. A run has one logger, which writes there.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from envs.errors import ConfigurationError, require
from lit_metarl.batch.runs import Run
from lit_metarl.command_line.files import LOADER
from lit_metarl.command_line.given import typed
from lit_metarl.command_line.presets import located, no_such_file

OWN = ("seed_everything", "trainer.logger.save_dir", "trainer.logger.name", "ckpt_path")
"""What the batch sets for every run."""
CONFIGURATIONS = "it must be a list of files, presets and values by key, or values by key alone"


@dataclass(frozen=True)
class Experiment:
    """Runs to compare.

    Configurations are a list, in which each may be a file, the name of a preset, or values by key
    (`{model.init_args.learning_rate: 0.001}`); later ones override earlier ones. Values alone need no list.

    Attributes:
        configs: configurations of every run, in order.
        methods: for each method, its additional configurations.
        seeds: of every method.
        arguments: further arguments of every run.
    """

    configs: list[str | dict[str, Any]] | dict[str, Any]
    methods: dict[str, list[str | dict[str, Any]] | dict[str, Any]]
    seeds: list[int]
    arguments: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Configuration:
    """One of the configurations of a run.

    Attributes:
        argument: that gives it to the run.
        content: what it holds, as primitives.
    """

    argument: str
    content: Any


def runs_of(folder: Path, experiments: dict[str, Experiment]) -> list[Run]:
    """All runs of a batch, seed by seed, so that the first seeds of every method come early.

    Raises:
        ConfigurationError: if there is nothing to run, an experiment is not made as `Experiment` says, two runs would
            share a folder, a name is not that of a single folder, a configuration cannot be read, or a run does not
            have exactly one logger.
    """
    require(bool(experiments), "experiments", experiments, "it must name at least one", "Add an experiment.")
    return [run for name, experiment in experiments.items() for run in _runs_of_one(folder, name, experiment)]


def experiment_of(name: str, given: Any) -> Experiment:
    """The experiment that a file gives.

    Args:
        name: of the experiment.
        given: its content, as primitives.

    Raises:
        ConfigurationError: if it has no keys, or unknown ones.
    """
    key, known = f"experiments.{name}", [attribute.name for attribute in fields(Experiment)]
    keys = f"an experiment has the keys {', '.join(known)}"
    require(isinstance(given, dict), key, given, keys, "Give them.")
    for part in given:
        nearest = difflib.get_close_matches(str(part), known, n=1, cutoff=0.5)
        require(part in known, key, part, keys, f"Nearest: {nearest[0]}." if nearest else "Remove it.")
    return Experiment(**{"configs": None, "methods": None, "seeds": None, **given})


def _runs_of_one(folder: Path, name: str, experiment: Experiment) -> list[Run]:
    """The runs of the experiment of this name, in a batch that writes into `folder`."""
    _check(name, experiment)
    arguments = experiment.arguments
    shared = _configurations(f"experiments.{name}.configs", experiment.configs)
    methods = {
        method: [*shared, *_configurations(f"experiments.{name}.methods.{method}", own)]
        for method, own in experiment.methods.items()
    }
    for configurations in methods.values():
        loggers = [_logger_in_file(configuration.content) for configuration in configurations]
        _check_logger(name, [*loggers, *_loggers_in(arguments)])
    return [
        Run(
            folder / name / method / f"seed_{seed}",
            [
                "fit",
                *(configuration.argument for configuration in configurations),
                *arguments,
                f"--seed_everything={seed}",
                "--trainer.enable_progress_bar=false",
                f"--trainer.logger.init_args.save_dir={folder / name / method}",
                f"--trainer.logger.init_args.name=seed_{seed}",
            ],
            {"configs": [configuration.content for configuration in configurations], "arguments": arguments},
        )
        for seed in experiment.seeds
        for method, configurations in methods.items()
    ]


def _configurations(key: str, given: list[str | dict[str, Any]] | dict[str, Any]) -> list[Configuration]:
    """The configurations at a key: of a list, or the one that consists of values alone."""
    found = []
    for part in given if isinstance(given, list) else [given]:
        if isinstance(part, str):
            found.append(Configuration(f"--config={part}", _content(key, part)))
        else:
            values = _nested(key, part)
            found.append(Configuration(f"--config={json.dumps(values)}", values))
    return found


def _nested(place: str, values: dict[str, Any]) -> dict[str, Any]:
    """Values by dotted key, given in this place of the batch file, as the sections of a configuration file.

    Raises:
        ConfigurationError: if a key is both a value and a section.
    """
    nested: dict[str, Any] = {}
    for key, value in values.items():
        hint = "Correct it; in YAML, on, off, yes and no are not text."
        require(isinstance(key, str), place, key, "a key is text, such as model.init_args.learning_rate", hint)
        *sections, last = key.split(".")
        inner = nested
        for section in sections:
            inner = inner.setdefault(section, {})
            require(isinstance(inner, dict), place, key, f"{section} has a value", "Keep one.")
        require(last not in inner, place, key, "it is given twice", "Keep one.")
        inner[last] = value
    return nested


def _check(name: str, experiment: Experiment) -> None:
    key, seeds, methods, arguments = f"experiments.{name}", experiment.seeds, experiment.methods, experiment.arguments
    named = isinstance(methods, dict) and bool(methods)
    require(named, f"{key}.methods", methods, "it must name at least one, with its configurations", "Add a method.")
    for part in (name, *methods):
        single = isinstance(part, str) and Path(part).name == part and part not in ("", "..")
        require(single, key, part, "it must be the name of one folder, without '/'", "Rename it.")
    for place, given in {
        "configs": experiment.configs,
        **{f"methods.{name}": own for name, own in methods.items()},
    }.items():
        usable = isinstance(given, dict) or (
            isinstance(given, list) and all(isinstance(part, (str, dict)) for part in given)
        )
        require(usable, f"{key}.{place}", given, CONFIGURATIONS, "[] adds nothing.")
    whole = isinstance(seeds, list) and bool(seeds) and all(type(seed) is int for seed in seeds)
    require(
        whole, f"{key}.seeds", seeds, "it must be a list of at least one whole number", "Add a seed, or correct it."
    )
    require(len(set(seeds)) == len(seeds), f"{key}.seeds", seeds, "a seed is one run", "List each seed once.")
    texts = isinstance(arguments, list) and all(isinstance(argument, str) for argument in arguments)
    hint = "Write [--trainer.max_epochs=50], for example."
    require(texts, f"{key}.arguments", arguments, "it must be a list of what would be typed", hint)
    for argument in arguments:
        option = argument.partition("=")[0].removeprefix("--").replace("init_args.", "")
        hint = "Leave it out; seeds belong under seeds."
        require(option not in OWN, f"{key}.arguments", argument, "the batch sets it for every run", hint)


def _content(key: str, path: str) -> Any:
    """The content of a configuration file, as primitives."""
    try:
        return yaml.load(Path(located(path)).read_text(encoding="utf-8"), LOADER)
    except (FileNotFoundError, IsADirectoryError):
        raise ConfigurationError(key, path, *no_such_file(path)) from None
    except (yaml.YAMLError, ValueError, OSError) as error:
        raise ConfigurationError(key, path, f"it cannot be read as YAML ({error})", "Correct the file.") from error


def _check_logger(experiment: str, given: list[Any]) -> None:
    """Refuse several loggers, or none: only one can write into the run's folder. The last `given` counts."""
    last = next((logger for logger in reversed(given) if logger is not None), None)
    shown = (
        [part.get("class_path") if isinstance(part, dict) else part for part in last] if type(last) is list else last
    )
    require(
        last is None or isinstance(last, (str, dict)),
        f"experiments.{experiment}: trainer.logger",
        shown,
        "a run of a batch has one logger, whose folder is the run's",
        "Leave it out, or name one, such as pytorch_lightning.loggers.TensorBoardLogger.",
    )


def _logger_in_file(content: Any) -> Any:
    """`trainer.logger` of a configuration file; None if it has none."""
    trainer = content.get("trainer") if isinstance(content, dict) else None
    return trainer.get("logger") if isinstance(trainer, dict) else None


def _loggers_in(arguments: list[str]) -> list[Any]:
    """What `arguments` make of `trainer.logger`, in order."""
    loggers = [argument for argument in typed(arguments) if argument.key == "trainer.logger"]
    return [[logger.loaded] if logger.appends else logger.loaded for logger in loggers]
