"""What a data set is worth: measured, judged in plain words, shown on a page."""
