"""The command line: parse words, call one operation, render its result. Nothing outside this folder prints.

Importing it costs nothing; :mod:`datavc.cli.main` is where a process starts.
"""
