import os
import subprocess
import sys

from fractal_jupyter.schedulers.processes import alive, identity, running_command, start_ticks


def test_this_process_is_alive_and_another_of_the_same_number_is_not() -> None:
    me = identity()
    assert alive(me) is True
    assert alive({**me, "started": me["started"] - 1}) is False


def test_a_process_that_has_ended_is_not_alive_even_as_a_zombie() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    it = identity(child.pid)
    assert child.stdout is not None
    child.stdout.read()  # until it has ended
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert start_ticks(child.pid) is None
    assert alive(it) is False
    child.wait()
    child.stdout.close()
    assert alive(it) is False


def test_what_cannot_be_known_from_here_is_not_claimed() -> None:
    me = identity()
    assert alive({**me, "host": "elsewhere", "boot": "another"}) is None
    assert alive({**me, "namespace": "pid:[1]"}) is None
    assert alive({**me, "boot": "another"}) is False


def test_a_machine_that_has_changed_its_name_is_still_this_one() -> None:
    me = identity()
    assert alive({**me, "host": "as it was called at home"}) is True
    assert alive({**me, "host": "as it was called at home", "started": 1}) is False


RENAME = """
import ctypes, sys
ctypes.CDLL(None).prctl(15, b"a) R 7 (b", 0, 0, 0)
print("renamed", flush=True)
sys.stdin.read()
"""


def test_a_command_is_found_as_soon_as_it_was_started() -> None:
    for seconds in range(100, 200):  # without patience, one in twenty is not found
        command = ["sleep", str(seconds)]
        child = subprocess.Popen(command)
        try:
            assert running_command(command) == child.pid
        finally:
            child.kill()
            child.wait()


def test_a_name_with_parentheses_and_spaces_is_read() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", RENAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stdin is not None
    child.stdout.readline()
    assert (start_ticks(child.pid) or 0) > 1000
    child.stdin.close()
    child.wait()
    child.stdout.close()
