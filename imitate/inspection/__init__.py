"""Looking at demonstrations of any format: facts, a page that opens offline, and a recording for Rerun."""
