"""Names of foreign arrays, made fit to name arrays of a store."""

import re

LONGEST = 100


def array_name(foreign: str) -> str:
    """`foreign` with "/" as "." and whatever a store's names cannot have as "_", at most LONGEST letters.

    "action" becomes "action_": a store has but one.
    """
    name = re.sub(r"[^A-Za-z0-9_.\-]", "_", foreign.replace("/", ".")).lstrip(".-")[:LONGEST] or "_"
    return "action_" if name == "action" else name
