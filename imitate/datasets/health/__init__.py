"""Health checks of demonstrations: what is recorded wrongly, as opposed to demonstrated badly.

One module per check, each a function from a Group of recordings to findings; `diagnosis` runs them all.
"""
