"""The subcommands: one function each."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

from envs.errors import require
from lit_metarl.checkpoints import best_of, chosen_by, load_initial_weights
from lit_metarl.command_line.checks import check_callbacks, check_monitor, check_rendering
from lit_metarl.command_line.given_checkpoint import RESUME_KEYWORDS, find_checkpoint, open_checkpoint
from lit_metarl.command_line.messages import tell
from lit_metarl.command_line.next_steps import next_steps, short
from lit_metarl.command_line.results_table import print_results, print_trials
from lit_metarl.command_line.run import Run
from lit_metarl.prediction import TRIALS, checked_tasks, examples, filming, write_trials


def fit(run: Run, arguments: dict[str, Any]) -> None:
    """Train; print a table of the test results before and after.

    Args:
        run: what to train.
        arguments: of `Trainer.fit`.
    """
    given = arguments["ckpt_path"]
    if given in RESUME_KEYWORDS:
        found = find_checkpoint(given, run.trainer, run.folder, run.options.last_checkpoint.dirpath)
        if found is not None:
            open_checkpoint(found, run.exact_resume, run.configuration)
        given = None if found is None else str(found)
    initial_weights = run.options.initial_weights
    if not given and initial_weights is not None:  # a run that goes on has its own
        load_initial_weights(run.model, run.datamodule.meta_spec, Path(initial_weights))
    run = run.begun()
    if not given:
        run.exact_resume.before = run.test(None, "the untrained agent")
    before = run.exact_resume.before
    check_monitor("checkpoint.monitor", run.options.checkpoint.monitor, before)
    check_callbacks(run.trainer, before)
    if run.keeps_results:
        run.write_versions()
        print(f"Run: {short(run.folder)}")
    run.trainer.fit(**{**arguments, "ckpt_path": given})
    done, planned = run.trainer.current_epoch, run.trainer.max_epochs or -1
    if run.trainer.should_stop and done < planned:
        steps = f"{run.datamodule.environment_steps:,} environment steps"
        tell(f"Training ends after {steps}, before the last of {planned} epochs: max_time or a callback stopped it.")
    _compare(run)


def _compare(run: Run) -> None:
    """Test the best checkpoint, and print and write the results before and after training."""
    best = getattr(best_of(run.trainer), "best_model_path", "")
    if not best:
        tell("warning: there is no best checkpoint, for there was no validation: 'after' is the agent as it is now.")
    steps = run.datamodule.environment_steps  # of the whole training; the test sets those of the checkpoint
    results = {
        "before": run.exact_resume.before,
        "after": run.test(best or None, "the best checkpoint" if best else "the agent"),
    }
    tested = run.datamodule.environment_steps
    run.hyperparameters.log_results(run.trainer, results["after"], tested)
    if run.trainer.is_global_zero:
        after = f"{tested:,} of {steps:,}" if tested < steps else f"{steps:,}"
        print_results(results, f"{run.title}, after {after} environment steps\n{run.tail}")
    if run.keeps_results:
        run.write_task_rows()
        run.write_json("results.json", results)
    if best and run.trainer.is_global_zero:
        print(f"Tested: {best}, {chosen_by(run.trainer)}")
    if run.keeps_results:
        print(f"From here:\n{next_steps(run, best)}")


def validate(run: Run, arguments: dict[str, Any]) -> None:
    """Evaluate on the validation tasks and print the results.

    Args:
        run: what to evaluate.
        arguments: of `Trainer.validate`.
    """
    run = run.begun()
    run.trainer.validate(**arguments)
    if run.trainer.is_global_zero:
        print_results({"validation": run.metrics("val/")}, f"{run.title}\n{run.tail}")


def test(run: Run, arguments: dict[str, Any]) -> None:
    """Evaluate on the test tasks, print the results, and write them by task and episode.

    Args:
        run: what to evaluate.
        arguments: of `Trainer.test`.
    """
    run = run.begun()
    run.trainer.test(**arguments)
    if run.trainer.is_global_zero:
        print_results({"test": run.metrics("test/")}, f"{run.title}\n{run.tail}")
    if run.keeps_results:
        print(f"By task and episode: {run.write_task_rows()}")


def predict(run: Run, arguments: dict[str, Any]) -> None:
    """Run trials on the tasks that were asked for, or those of the test; write them, and film them if asked.

    Of the trials of the test, the worst, the median and the best are filmed.

    Args:
        run: whose agent acts.
        arguments: of `Trainer.predict`.
    """
    _check_prediction(run, arguments)
    given = run.options.tasks
    tasks = None if given is None else checked_tasks(given, run.datamodule.env)
    run = run.begun()
    folder = run.folder / "videos"
    run.datamodule.predict_on(tasks)
    films: dict[str, int] = {}
    if run.options.video and tasks is not None:
        films = {f"task_{number}": number for number in range(len(tasks))}
    elif run.options.video:  # the trials of the test are run again, and these of them filmed
        films = examples(cast(Any, run.trainer.predict(**arguments)))
    paths = {number: folder / f"{name}.mp4" for name, number in films.items()}
    with filming(run.datamodule, run.model.exploration_episodes, paths, tasks) if films else nullcontext():
        trials: Any = run.trainer.predict(**arguments)
    if run.trainer.is_global_zero:
        path = run.folder / TRIALS
        write_trials(trials, run.datamodule.meta_spec, path)
        print_trials(trials, run.datamodule.meta_spec.task_names, list(films.values()) if tasks is None else None)
        print(f"Trials: {path}")
        for film in paths.values():
            print(f"Video: {film}")
        run.remove_empty_logs()


def _check_prediction(run: Run, arguments: dict[str, Any]) -> None:
    """Refuse a prediction that would be lost, and a video that cannot be made."""
    kept = arguments.get("return_predictions") is not False
    require(kept, "return_predictions", False, "the trials would be lost", "Leave it out.")
    if not run.options.video:
        return
    hint = "Leave --video out, or give it a method render_frame (of Gymnasium: a render_mode in env_args)."
    require(run.datamodule.env.has_pictures, "video", True, f"{run.datamodule.meta_spec.name} has no picture", hint)
    processes = run.trainer.world_size
    require(processes == 1, "trainer.devices", processes, "one process films", "Use --trainer.devices=1.")
    check_rendering(run.datamodule.make_env(1, run.datamodule.seed))
