"""Runs: what is seen of a command while it runs, and what of the machine and the code it ran on is worth keeping."""
