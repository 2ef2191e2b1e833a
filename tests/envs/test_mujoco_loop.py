"""Threads that share MuJoCo's work: each sub-environment moves once, as by `mj_step`, whichever thread takes it."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue

import mujoco
import numpy as np
import pytest
from numba import njit
from numba.core.caching import CompileResultCacheImpl

from envs import mujoco_loop
from envs.locomotion.mujoco_env import load_model
from envs.mujoco_loop import ASLEEP, MujocoLoop, add, compiled, exchange, load, replace
from envs.physics import Models, physics_state

MODEL = load_model("hopper.xml")
FIELDS = ["cfrc_ext", "xipos"]
PHYSICS_STATE = physics_state()
SIZE = mujoco.mj_stateSize(MODEL, PHYSICS_STATE)
GENERATOR = np.random.default_rng(0)
THREADS, TIMES = 4, 3_000_000  # often enough that threads meet


@njit(nogil=True)
def _add_often(numbers: np.ndarray, times: int) -> None:
    place = numbers.ctypes.data
    for _ in range(times):
        add(place, 3)
        load(place)  # or a compiler might make one addition of all


@njit(nogil=True)
def _take_all(numbers: np.ndarray, takers: np.ndarray) -> None:
    place = numbers.ctypes.data
    while True:
        left = load(place)
        if left == 0:
            return
        if replace(place, left, left - 1):
            takers[left - 1] += 1


@njit
def _each_once(numbers: np.ndarray) -> tuple[int, int, bool, bool]:
    place = numbers.ctypes.data
    return exchange(place, 5), add(place, 2), replace(place, 8, 1), replace(place, 7, 9)


def _in_threads(work: Callable[..., None], *arguments: object) -> None:
    """Begin in all threads at once; the work must have been compiled."""
    start = threading.Barrier(THREADS)

    def together() -> None:
        start.wait()
        work(*arguments)

    threads = [threading.Thread(target=together) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def loop_of(threads: int, fields: list[str] | None = None) -> MujocoLoop:
    return MujocoLoop([mujoco.MjData(MODEL) for _ in range(threads)], PHYSICS_STATE, fields or [])


def states(num_envs: int) -> np.ndarray:
    rows = np.zeros((num_envs, SIZE))
    rows[:, 1 : 1 + MODEL.nq] = MODEL.qpos0 + GENERATOR.uniform(-0.1, 0.1, (num_envs, MODEL.nq))
    return rows


def stepped(model: mujoco.MjModel, state: np.ndarray, control: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """State and readings after three substeps of one sub-environment, by MuJoCo's Python functions."""
    data, after = mujoco.MjData(model), np.empty(SIZE)
    mujoco.mj_setState(model, data, state, PHYSICS_STATE)
    data.ctrl[:] = control
    mujoco.mj_step(model, data, 3)
    mujoco.mj_rnePostConstraint(model, data)
    mujoco.mj_getState(model, data, after, PHYSICS_STATE)
    return after, np.concatenate([getattr(data, field).ravel() for field in FIELDS])


def sleeps(loop: MujocoLoop) -> bool:
    return bool(loop._shared[ASLEEP:].all())


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("num_envs", [1, 3, 17])
def test_every_sub_environment_moves_as_mujoco_steps_it_under_its_own_model(threads: int, num_envs: int) -> None:
    models = Models(MODEL, num_envs)
    models.own(num_envs - 1).opt.gravity[2] = -2.0
    before, controls = states(num_envs), GENERATOR.uniform(-1.0, 1.0, (num_envs, MODEL.nu))
    moved = loop_of(threads, FIELDS).run(models.addresses, 3, before, controls)
    assert not moved.diverged.size
    for env_id in range(num_envs):
        after, readings = stepped(models[env_id], before[env_id], controls[env_id])
        assert np.array_equal(moved.state[env_id], after)
        assert np.array_equal(moved.readings[env_id], readings)


def test_calls_that_follow_each_other_do_not_disturb_each_other() -> None:
    alone, shared = loop_of(1), loop_of(4)
    for _ in range(300):
        num_envs = int(GENERATOR.integers(1, 9))
        models, before, controls = Models(MODEL, num_envs).addresses, states(num_envs), np.zeros((num_envs, MODEL.nu))
        ours, theirs = shared.run(models, 1, before, controls), alone.run(models, 1, before, controls)
        assert np.array_equal(ours.state, theirs.state)


def test_helpers_sleep_after_a_while_and_wake_for_the_next_call() -> None:
    loop, models, before = loop_of(3), Models(MODEL, 64).addresses, states(64)
    expected = loop.run(models, 3, before, np.zeros((64, MODEL.nu))).state
    for _ in range(3):
        deadline = time.monotonic() + 20.0
        while not sleeps(loop):
            assert time.monotonic() < deadline
            time.sleep(0.001)
        assert np.array_equal(loop.run(models, 3, before, np.zeros((64, MODEL.nu))).state, expected)


def test_helpers_find_their_work_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    callers: list[threading.Thread] = []
    monkeypatch.setattr(mujoco_loop, "_help", lambda *arguments: callers.append(threading.current_thread()))
    loop_of(3)
    assert callers == [threading.current_thread()]


def test_helpers_that_are_awake_are_not_woken_again() -> None:
    loop, models, before = loop_of(3), Models(MODEL, 2).addresses, states(2)
    for _ in range(50):
        loop.run(models, 1, before, np.zeros((2, MODEL.nu)))
    assert all(calls.qsize() <= 1 for calls in loop._queues)


def test_helpers_take_part() -> None:
    loop, models, before = loop_of(2), Models(MODEL, 64).addresses, states(64)
    own, helpers = loop._data
    deadline = time.monotonic() + 20.0
    while not (own.time and helpers.time):  # left behind in the memory of the thread that moved one
        assert time.monotonic() < deadline
        loop.run(models, 3, before, np.zeros((64, MODEL.nu)))


def test_a_sub_environment_that_breaks_down_is_named_and_does_not_disturb_the_others() -> None:
    before, controls = states(5), np.zeros((5, MODEL.nu))
    expected = loop_of(2).run(Models(MODEL, 5).addresses, 3, before, controls)
    before[1, 1 + MODEL.nq], before[3, 1 + MODEL.nq] = np.nan, 1e12
    moved = loop_of(2).run(Models(MODEL, 5).addresses, 3, before, controls)
    assert moved.diverged.tolist() == [1, 3]
    assert np.array_equal(moved.state[[0, 2, 4]], expected.state[[0, 2, 4]])


def test_a_reading_that_is_not_finite_is_a_breakdown() -> None:
    models = Models(MODEL, 2)
    models.own(1).cam_poscom0[:] = np.nan  # nothing that moves depends on it
    moved = loop_of(1, ["cam_xpos"]).run(models.addresses, 1, states(2), np.zeros((2, MODEL.nu)))
    assert np.isfinite(moved.state).all()
    assert moved.diverged.tolist() == [1]


@pytest.mark.parametrize(("fields", "computed"), [([], False), (["xipos"], False), (["xipos", "cfrc_ext"], True)])
def test_forces_on_bodies_are_computed_only_where_they_are_read(fields: list[str], computed: bool) -> None:
    loop = loop_of(1, fields)
    loop.run(Models(MODEL, 2).addresses, 3, states(2), np.zeros((2, MODEL.nu)))
    (data,) = loop._data
    assert bool(data.cfrc_int.any()) == bool(data.cacc.any()) == computed


def test_arrays_of_other_sizes_are_refused() -> None:
    loop, models = loop_of(1), Models(MODEL, 2).addresses
    with pytest.raises(ValueError, match=r"2 models, but states \(3, \d+\) and controls \(2, 3\)\."):
        loop.run(models, 1, states(3), np.zeros((2, MODEL.nu)))
    with pytest.raises(ValueError, match=r"controls \(2, 4\)"):
        loop.run(models, 1, states(2), np.zeros((2, MODEL.nu + 1)))


def test_fields_of_other_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="eq_active: only fields of float64 can be read"):
        loop_of(1, ["xipos", "eq_active"])


def test_accelerations_that_are_too_large_within_an_action_only_are_a_breakdown() -> None:
    spring = """<mujoco><option timestep="0.01" gravity="0 0 0"><flag autoreset="disable"/></option><worldbody>
        <body><joint type="slide" stiffness="1e4"/><geom size="0.1" mass="1"/></body></worldbody></mujoco>"""
    model = mujoco.MjModel.from_xml_string(spring)
    before = np.zeros((2, mujoco.mj_stateSize(model, PHYSICS_STATE)))
    before[:, 1] = 1e7, 1e5  # m: accelerations of 1e11 and 1e9 m/s² at first, and of none in the second substep
    loop = MujocoLoop([mujoco.MjData(model)], PHYSICS_STATE, [])
    assert loop.run(Models(model, 2).addresses, 2, before, np.zeros((2, 0))).diverged.tolist() == [0]


@pytest.mark.parametrize("change", [lambda rows: rows.astype(np.float32), np.asfortranarray, lambda rows: rows[::-1]])
def test_arrays_of_any_layout_are_read_right(change: Callable[[np.ndarray], np.ndarray]) -> None:
    loop, models = loop_of(2), Models(MODEL, 5)
    models.own(1).opt.gravity[2] = -2.0
    before, controls = states(5), GENERATOR.uniform(-1.0, 1.0, (5, MODEL.nu))
    copied = [np.array(change(rows), np.float64) for rows in (before, controls)]
    expected = loop.run(models.addresses[::-1].copy(), 3, *copied)
    moved = loop.run(models.addresses[::-1], 3, change(before), change(controls))
    assert np.array_equal(moved.state, expected.state)


def test_helpers_end_with_their_loop() -> None:
    def helpers() -> int:
        return sum(thread.name.startswith("physics-") for thread in threading.enumerate())

    gc.collect()
    before = helpers()
    loop = loop_of(3)
    loop.run(Models(MODEL, 4).addresses, 1, states(4), np.zeros((4, MODEL.nu)))
    assert helpers() == before + 2
    del loop
    gc.collect()
    assert helpers() == before


def test_a_helper_in_which_its_loop_is_collected_does_not_wait_for_itself() -> None:
    calls: SimpleQueue[bool] = SimpleQueue()
    mujoco_loop._dismiss(threading.current_thread(), calls)
    assert not calls.get(timeout=1.0)


RUN = """
import os, torch
from envs import HalfCheetahVel
env = HalfCheetahVel(8, threads=2)
env.reset()
env.step(torch.zeros(8, 6))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_whose_helpers_are_gone_does_their_work() -> None:
    script = RUN + "child = os.fork()\nenv.step(torch.zeros(8, 6))\nchild and os.waitpid(child, 0)\nprint('done')"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "done\n" * 2), done.stderr


def test_the_interpreter_ends_while_helpers_look_for_work() -> None:
    done = subprocess.run([sys.executable, "-c", RUN], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_each_operation_gives_what_was_there() -> None:
    numbers = np.array([4])
    assert _each_once(numbers) == (4, 5, False, True)
    assert numbers[0] == 9


def test_no_addition_is_lost_between_threads() -> None:
    numbers = np.zeros(1, np.int64)
    _add_often(numbers, 0)
    _in_threads(_add_often, numbers, TIMES)
    assert numbers[0] == 3 * THREADS * TIMES


def test_no_number_is_taken_twice() -> None:
    numbers, takers = np.array([TIMES]), np.zeros(TIMES, np.int64)
    _take_all(np.zeros(1, np.int64), takers)
    _in_threads(_take_all, numbers, takers)
    assert (takers == 1).all()


def test_a_loop_is_compiled_where_numba_finds_no_folder_for_its_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CompileResultCacheImpl, "_locator_classes", [])

    def twice(number: int) -> int:
        return 2 * number

    assert compiled(twice)(4) == 8
