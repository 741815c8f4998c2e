"""Error budgets: objectives, what is left of them, and alerts on how fast they go."""
