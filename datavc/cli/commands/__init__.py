"""One module per verb, each loaded only when that verb is called (see :mod:`datavc.cli.table`)."""
