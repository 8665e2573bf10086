import threading
import time

from fractal_jupyter.runner.wake import JOBS, Alarm, ring


def test_an_alarm_wakes_whoever_waits() -> None:
    alarm = Alarm()
    timer = threading.Timer(0.1, lambda: ring(alarm.address))
    timer.start()
    begun = time.monotonic()
    assert alarm.wait(20) == {JOBS}
    assert time.monotonic() - begun < 10
    assert not alarm.wait(0)
    alarm.close()
    assert not ring(alarm.address)


def test_many_rings_are_one() -> None:
    alarm = Alarm()
    for _ in range(10_000):
        assert ring(alarm.address)
    assert alarm.wait(0)
    assert not alarm.wait(0)
    alarm.close()


def test_nobody_listens_at_no_address() -> None:
    assert not ring(None)
    assert not ring("/nowhere/alarm")
