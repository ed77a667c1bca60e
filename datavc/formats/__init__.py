"""Nouns and their one encoding: pure functions between values and bytes, with no disk and no network."""
