# SPDX-License-Identifier: MIT OR Apache-2.0
"""Progress, stopping, Ctrl-C, the log."""

import logging
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import stfusion

LONG = {"method": "starfm", "window": 51}


def test_progress_rises_on_the_calling_thread(large_scene):
    told = []

    def progress(fraction, message):
        told.append((fraction, message, threading.get_ident()))

    predicted = large_scene.fuse(**LONG, progress=progress)
    assert np.isfinite(predicted).all()
    fractions = [fraction for fraction, _, _ in told]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] and fractions[-1] <= 1
    assert all(message for _, message, _ in told)
    assert {thread for _, _, thread in told} == {threading.get_ident()}


def test_false_stops_the_run_and_none_does_not(large_scene):
    with pytest.raises(stfusion.Cancelled) as caught:
        large_scene.fuse(**LONG, progress=lambda fraction, message: False)
    assert caught.value.status == 11
    assert isinstance(caught.value, stfusion.Error)


def test_an_exception_of_the_progress_function_comes_back(large_scene):
    def progress(fraction, message):
        raise LookupError("no window left")

    with pytest.raises(LookupError, match="no window left"):
        large_scene.fuse(**LONG, progress=progress)
    assert np.isfinite(large_scene.fuse("coarse_increment")).all()


@pytest.fixture
def ctrl_c():
    """Ctrl-C as in a terminal, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_stops_the_run_without_noise(large_scene, capfd, ctrl_c):
    began = threading.Event()

    def interrupt():
        began.wait(30)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        while True:
            large_scene.fuse(**LONG, progress=lambda fraction, message: began.set())
    thread.join()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert capfd.readouterr().err == ""


def test_a_program_interrupted_from_outside_ends_as_python_programs_do(ctrl_c):
    code = (
        "import numpy as np, stfusion\n"
        "f = np.random.default_rng(1).random((2, 1200, 1200), np.float32)\n"
        "print('begun', flush=True)\n"
        "while True: stfusion.fuse(stfusion.Pair(f, f), f + 1, window=101)\n"
    )
    words = [sys.executable, "-c", code]
    program = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert program.stdout.readline() == "begun\n"
        time.sleep(0.5)
        program.send_signal(signal.SIGINT)
        _, errors = program.communicate(timeout=60)
    finally:
        program.kill()
    assert program.returncode == -signal.SIGINT
    assert errors.splitlines()[-1] == "KeyboardInterrupt"
    assert "ignored" not in errors


def test_a_handler_of_the_program_s_own_stays_in_place(scene):
    def own(number, frame):
        raise AssertionError("not called")

    before = signal.signal(signal.SIGINT, own)
    try:
        seen = []
        scene.fuse(progress=lambda fraction, message: seen.append(signal.getsignal(signal.SIGINT)))
        assert signal.getsignal(signal.SIGINT) is own
        assert set(seen) <= {own}
    finally:
        signal.signal(signal.SIGINT, before)


def test_the_library_s_messages_go_to_the_logger(scene, caplog):
    caplog.set_level(logging.DEBUG, "stfusion")
    scene.fuse("starfm", window=7)
    assert caplog.records
    assert {record.name for record in caplog.records} == {"stfusion"}
    assert {record.levelno for record in caplog.records} <= {logging.DEBUG, logging.INFO, logging.WARNING}
