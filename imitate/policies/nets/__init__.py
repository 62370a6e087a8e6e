"""Network building blocks that policies share."""
