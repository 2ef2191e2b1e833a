"""What all subcommands share: help, and the configuration of a run."""

from __future__ import annotations

from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from lit_metarl import cli
from tests.lit_metarl.command_line.conftest import Run


@pytest.mark.parametrize("subcommand", ["fit", "validate", "test", "predict"])
def test_the_configuration_of_a_run_can_be_given_to_every_subcommand(
    subcommand: str, run_tiny: Run, tmp_path: Path
) -> None:
    run_tiny("fit", "--trainer.max_epochs=1")
    configuration, checkpoint = f"--config={tmp_path}/runs/version_0/config.yaml", "version_0/checkpoints/last.ckpt"
    assert cli.main([subcommand, configuration, f"--ckpt_path={tmp_path}/runs/{checkpoint}"]) == 0


def test_help_shows_what_can_be_set_without_markup_or_bases(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["fit", "--help"], ["predict", "--help"], ["fit", "--model.help=PEARL"]):
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        assert ended.value.code in (None, 0)
        shown = capsys.readouterr().out
        assert not any(
            noise in shown for noise in (":paramref:", "<class", "WalkingBody", "model.meta_spec", "[options]")
        )
    assert "--model.kl_weight" in shown


def test_help_is_shown_where_the_terminal_lacks_its_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = TextIOWrapper(shown := BytesIO(), encoding="ascii", write_through=True)
    with monkeypatch.context() as context:
        context.setattr("sys.stdout", terminal)
        with pytest.raises(SystemExit) as ended:
            cli.main(["fit", "--model.help=PEARL"])
    assert ended.value.code in (None, 0)
    assert "DISCOUNT ?. (type: float" in " ".join(shown.getvalue().decode("ascii").split())
