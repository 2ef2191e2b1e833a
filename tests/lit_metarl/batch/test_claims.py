"""Claims on runs: one living process at a time has each."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from lit_metarl.batch import claims
from lit_metarl.batch.claims import LOST, claim, owner
from tests.lit_metarl.batch.fast_claims import renew_quickly

FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def _quick(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    renew_quickly(tmp_path_factory.mktemp("quick"), monkeypatch)


def hold(run: Path) -> None:
    own = claim(run)
    assert own is not None
    with own:
        time.sleep(60)


def holder(run: Path) -> multiprocessing.context.ForkProcess:
    """A process that has claimed the run."""
    process = FORK.Process(target=hold, args=[run])
    process.start()
    while not owner(run):
        time.sleep(0.01)
    return process


def test_a_claim_of_a_living_process_is_respected_and_says_whose_it_is(tmp_path: Path) -> None:
    other = holder(tmp_path)
    assert claim(tmp_path) is None
    assert f"process {other.pid} on" in owner(tmp_path)
    other.kill()
    other.join()


def killed_holder(run: Path) -> int:
    """A process that was killed and has not given up its claim on the run."""
    other = holder(run)
    other.kill()
    other.join()
    assert other.pid is not None
    return other.pid


def seconds_to_claim(run: Path) -> float:
    begin = time.monotonic()
    assert claim(run) is not None
    return time.monotonic() - begin


def test_a_claim_of_a_killed_process_of_this_machine_is_void_at_once(tmp_path: Path) -> None:
    killed_holder(tmp_path)
    assert claims.holder(tmp_path) == ""
    assert seconds_to_claim(tmp_path) < claims.HEARTBEAT / 10


def test_a_claim_of_a_killed_process_whose_number_another_one_has_is_void_at_once(tmp_path: Path) -> None:
    pid, file = killed_holder(tmp_path), tmp_path / "claims" / "1"
    file.write_text(file.read_text().replace(f" {pid} ", f" {os.getpid()} "))  # which started earlier
    assert seconds_to_claim(tmp_path) < claims.HEARTBEAT / 10


def test_a_killed_process_that_nobody_has_waited_for_is_dead(tmp_path: Path) -> None:
    other = holder(tmp_path)
    other.kill()
    os.waitid(os.P_PID, other.pid or 0, os.WEXITED | os.WNOWAIT)  # it stays a zombie
    assert seconds_to_claim(tmp_path) < claims.HEARTBEAT / 10


@pytest.mark.parametrize("kept", ["boot/pid:[1] {process}\n", ""], ids=["another machine", "an unknown one"])
def test_a_claim_of_a_killed_process_of_another_machine_is_void_after_a_while(tmp_path: Path, kept: str) -> None:
    killed_holder(tmp_path)
    file = tmp_path / "claims" / "1"
    who, identity = file.read_text().splitlines()
    file.write_text(f"{who}\n{kept.format(process=identity.partition(' ')[2])}")
    assert claims.holder(tmp_path) == who
    assert seconds_to_claim(tmp_path) >= claims.PATIENCE


def test_a_claim_that_was_given_up_is_free_at_once(tmp_path: Path) -> None:
    for _ in range(3):
        own = claim(tmp_path)
        assert own is not None
        with own:
            pass
    assert sorted(path.name for path in (tmp_path / "claims").iterdir()) == ["1", "2", "3"]


def test_the_owner_is_that_of_the_claim_with_the_highest_number(tmp_path: Path) -> None:
    (tmp_path / "claims").mkdir()
    for number in range(1, 11):
        (tmp_path / "claims" / str(number)).write_text(f"process {number}\n")
    assert owner(tmp_path) == "process 10"


def test_of_many_that_find_a_void_claim_one_gets_it(tmp_path: Path) -> None:
    killed_holder(tmp_path)
    claimants = [FORK.Process(target=hold, args=[tmp_path]) for _ in range(8)]
    for claimant in claimants:
        claimant.start()
    for claimant in claimants:
        claimant.join(3 * claims.PATIENCE)
    alive = [claimant for claimant in claimants if claimant.is_alive()]
    assert len(alive) == 1  # the others fail
    alive[0].kill()
    assert len(list((tmp_path / "claims").iterdir())) == 2


def test_a_process_that_slept_through_its_claim_ends_when_it_wakes(tmp_path: Path) -> None:
    other = holder(tmp_path)
    assert other.pid is not None
    os.kill(other.pid, signal.SIGSTOP)
    own = claim(tmp_path)
    assert own is not None
    os.kill(other.pid, signal.SIGCONT)
    other.join(20)
    assert other.exitcode == LOST
