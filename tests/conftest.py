"""Modules in tests/stand_ins are importable by name here and, since sys.path is passed on, in workers."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "stand_ins"))
