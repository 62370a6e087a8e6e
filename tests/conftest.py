"""Modules in tests/stand_ins are importable by name here and, since sys.path is passed on, in workers."""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent / "stand_ins"))

# Property tests judge results, not how busy the machine is.
settings.register_profile("imitate", deadline=None)
settings.load_profile("imitate")
