"""Past one machine: training, rollouts and curation on Ray (the extra `cluster`), with the same results."""
