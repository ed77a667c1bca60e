"""``datavc run``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from datavc.cli.recordview import outcome
from datavc.cli.render import talk
from datavc.cli.session import current
from datavc.errors import UsageError

Command = Annotated[
    list[str], typer.Argument(metavar="COMMAND...", show_default=False, help="The program and its arguments")
]
Name = Annotated[
    str | None, typer.Option("-n", "--name", metavar="NAME", show_default=False, help="What to call the run")
]
Inputs = Annotated[
    list[str] | None,
    typer.Option("-i", "--input", metavar="PATH", show_default=False, help="What it reads; may be repeated"),
]
Outputs = Annotated[
    list[str] | None,
    typer.Option(
        "-o", "--output", metavar="PATH", show_default=False, help="What it makes: becomes a dataset"
    ),
]
Keep = Annotated[
    list[str] | None,
    typer.Option("--keep", metavar="PATH", show_default=False, help="An output that stays while it runs"),
]
Metrics = Annotated[
    list[str] | None,
    typer.Option("-m", "--metrics", metavar="FILE", show_default=False, help="An output that stays in git"),
]
Params = Annotated[
    list[str] | None,
    typer.Option(
        "-p", "--params", metavar="FILE[:KEY]", show_default=False, help="Values to record: TOML, JSON, YAML"
    ),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", metavar="N", show_default=False, help="Seed random, numpy, torch and hashes"),
]
Image = Annotated[
    str | None,
    typer.Option("--image", metavar="DIGEST", show_default=False, help="The container image it runs in"),
]
Shell = Annotated[bool, typer.Option("--shell", help="Give the command to /bin/sh")]
Trace = Annotated[
    str,
    typer.Option(
        "--trace",
        metavar="HOW",
        help="Watch what it opens: auto, python (by its hook alone), full (strace) or off",
    ),
]


def run(
    command: Command,
    name: Name = None,
    inputs: Inputs = None,
    outputs: Outputs = None,
    keep: Keep = None,
    metrics: Metrics = None,
    params: Params = None,
    seed: Seed = None,
    image: Image = None,
    shell: Shell = False,
    trace: Trace = "auto",
) -> int:
    """Run a command, and keep a record of it

    However it ends: what it read and made, the code as it was, also what is not committed, the environment, parameters,
    output, times. Nothing need be declared; what is named with -o becomes a dataset whose pointer names the record. Earlier
    outputs are put back when the command fails. Secrets are left out of the record.

    Examples:
      datavc run python train.py
      datavc run -n train -i data/train -o model -m metrics.json -p params.toml --seed 7 python train.py --epochs 3
      datavc run --keep checkpoints -- python train.py --resume

    Exit codes: 0 done, 125 datavc itself failed, else the command's own.
    """
    from datavc.operations.run import run as run_command
    from datavc.operations.steps.runs.facts import TRACES, Order
    from datavc.repo import Repo

    if trace not in TRACES:
        raise UsageError(f"--trace takes {', '.join(TRACES[:-1])} or {TRACES[-1]}, not {trace!r}")
    session = current()
    repo = Repo.find(session.folder)
    order = Order(
        argv=tuple(command),
        folder=repo.here,
        name=name,
        inputs=tuple(session.absolutes(inputs)),
        outputs=tuple(session.absolutes(outputs)),
        keep=tuple(session.absolutes(keep)),
        metrics=tuple(session.absolutes(metrics)),
        params=tuple(params or ()),
        seed=seed,
        image=image,
        shell=shell,
        trace=trace,
    )
    result = run_command(
        repo,
        order,
        show_out=_pass_on_out,
        show_err=_pass_on_err,
        jobs=session.workers,
        progress=session.progress,
    )
    for line in outcome(repo, result):
        talk(line)
    return result.code


def _pass_on_out(piece: bytes) -> None:
    if sys.stdout is not None:
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def _pass_on_err(piece: bytes) -> None:
    if sys.stderr is not None:
        sys.stderr.buffer.write(piece)
        sys.stderr.buffer.flush()
