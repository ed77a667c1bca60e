"""datavc versions datasets beside code: small pointers in git, the bytes in a packed, content-addressed store.

From Python: :class:`Repo`, and as functions of this module its methods, which work on the repository above the working
folder: ``datavc.read("data/x.csv", rev="v1")`` (``docs/how-to/python.md``). The commands are in :mod:`datavc.cli`, what
they do in :mod:`datavc.operations`; ``docs/explanation/architecture.md`` shows the house. Importing this loads nothing else.
"""

from __future__ import annotations

__version__ = "0.1.0"

TYPE_CHECKING = False  # `typing` costs more than all else here
if TYPE_CHECKING:
    from datavc.api import Repo

    _here = Repo()
    add = _here.add
    checkout = _here.checkout
    diff = _here.diff
    fetch = _here.fetch
    log = _here.log
    ls = _here.ls
    open = _here.open  # noqa: A001  (as in `import datavc; datavc.open(...)`)
    path = _here.path
    pull = _here.pull
    push = _here.push
    read = _here.read
    run = _here.run
    status = _here.status

_VERBS = (
    "add",
    "checkout",
    "diff",
    "fetch",
    "log",
    "ls",
    "open",
    "path",
    "pull",
    "push",
    "read",
    "run",
    "status",
)


def __getattr__(name: str) -> object:
    if name == "load_ipython_extension":
        from datavc.cli import notebook

        return notebook.load
    if name != "Repo" and name not in _VERBS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from datavc import api

    if name == "Repo":
        return api.Repo
    # Bound to the repository of the folder in which it is looked up, not of the one in which datavc was imported.
    from functools import wraps

    method = getattr(api.Repo, name)

    @wraps(method)
    def verb(*arguments: object, **named: object) -> object:
        # A function that is decorated runs later, perhaps elsewhere: its repository is looked for by then.
        return method(None if name == "run" else api.here(), *arguments, **named)

    return verb


def __dir__() -> list[str]:
    return sorted([*globals(), "Repo", *_VERBS])
