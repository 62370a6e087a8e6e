"""Hydra's configuration groups: policy/, env/, data/, optim/, robot/ and one file per command."""
