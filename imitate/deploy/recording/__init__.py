"""Recording sessions as MCAP files that Foxglove opens and `imitate import` reads."""
