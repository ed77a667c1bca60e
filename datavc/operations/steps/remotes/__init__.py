"""Remotes by name: settings, what probes found, what a committed address may do."""
