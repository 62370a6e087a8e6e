"""The page of a session: what happened, drawn from session.mcap and session.json alone."""
