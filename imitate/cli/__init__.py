"""The imitate command: one thin file per verb."""
