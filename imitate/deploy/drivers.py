"""Who calls the control loop: threads that keep real time, or a clock that is moved by hand."""

import gc
import sys
import threading
import time
from collections.abc import Callable

from imitate.deploy.backends.simulated import SimulatedRobot
from imitate.deploy.clock import VirtualClock
from imitate.deploy.control import Control
from imitate.deploy.observer import SOON

SWITCH_INTERVAL_S = 0.0005
"""How long another thread may keep Python's lock; the default of 5 ms is half a tick at 100 Hz."""

POLL_S = 0.001
"""How often the rest of an observation is looked for."""

EVEN = 0.05
"""Of a tick's length: how late one may be without those after it being put off."""


def drive_virtually(
    control: Control, robot: SimulatedRobot, clock: VirtualClock, is_done: Callable[[float], bool]
) -> None:
    """Play an attempt in simulated time, every part at its moment; the attempt has begun."""
    begun_s, tick, step = clock.now(), 0, 0
    while not is_done(clock.now()):
        clock.move_to(begun_s + tick * control.tick_s)
        robot.advance()
        if clock.now() >= control.schedule.observed_s(step) - 1e-9:
            control.observe(clock.now())
            step += 1
        control.tick(clock.now())
        tick += 1
    control.tell_timings(clock.now())


def drive_in_real_time(control: Control, is_done: Callable[[float], bool]) -> None:
    """Tick in this thread and observe in another one until `is_done`; the attempt has begun.

    A tick that comes late is not caught up.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    # What was there before is not searched for garbage while time counts: with PyTorch that takes many ticks.
    gc.freeze()
    stop = threading.Event()
    watching = threading.Thread(target=_observe_until, args=(control, stop), name="observer", daemon=True)
    watching.start()
    try:
        _tick_until(control, is_done)
    finally:
        stop.set()
        watching.join(timeout=5.0)
        gc.unfreeze()
        sys.setswitchinterval(before)
        control.tell_timings(time.monotonic())


def _observe_until(control: Control, stop: threading.Event) -> None:
    step = 0
    while not stop.is_set():
        if _wait_until(control.schedule.halfway_s(step), stop):
            return
        control.glance()
        if _wait_until(control.schedule.observed_s(step), stop):
            return
        given_up_s = time.monotonic() + SOON * control.schedule.period_s
        while not control.is_whole(time.monotonic()) and time.monotonic() < given_up_s:
            if stop.wait(POLL_S):
                return
        control.observe(time.monotonic())
        control.keep_step()
        step = max(step + 1, control.schedule.seen(time.monotonic()))


def _wait_until(at_s: float, stop: threading.Event) -> bool:
    """Whether `stop` was set before."""
    ahead_s = at_s - time.monotonic()
    return ahead_s > 0 and stop.wait(ahead_s)


def _tick_until(control: Control, is_done: Callable[[float], bool]) -> None:
    due_s = time.monotonic()
    while True:
        time.sleep(max(0.0, due_s - time.monotonic()))
        now_s = time.monotonic()
        if is_done(now_s):
            return
        control.tick(now_s)
        late_s = now_s - due_s
        control.timings.tick(late_s, time.monotonic() - now_s, control.tick_s)
        # From a late tick on time is counted anew: two commands never follow one another too soon.
        due_s = (due_s if late_s < EVEN * control.tick_s else now_s) + control.tick_s
