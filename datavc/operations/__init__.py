"""Verbs: one file per verb, one public function each, which takes a repo and returns a value. Nothing here prints."""
