"""Measures of demonstrations: pure functions of arrays, one file each, with shapes, units and sources.

None of them decides anything: what a number means for a data set is said in imitate.curation.
"""
