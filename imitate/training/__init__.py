"""Training: one loop for every policy, resumable at any step."""
