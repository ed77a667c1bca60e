"""Steps that several verbs share, where the workspace and the store meet: storing files, and putting files in place."""
