"""Records a session for ever, to be killed; says the number of each step on stdout once it is handed over."""

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "stand_ins"))

from recorded_session import HEADER, record_steps

from imitate.deploy.recording.session import SessionRecorder

recorder = SessionRecorder(sys.argv[1], HEADER)
step = 0
while True:
    record_steps(recorder, range(step, step + 1))
    sys.stdout.write(f"{step} {time.monotonic()}\n")
    sys.stdout.flush()
    step += 1
    time.sleep(0.01)
