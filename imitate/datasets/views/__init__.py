"""Editing without copying: a view names stores and what was done to their episodes, and is read as a store.

A view is a small JSON file. The stores it names are never written to; its rows are read from theirs.
"""
