"""The table of commands: all that ``--help``, completion and typo hints need, without importing a command.

The order is that of the help. Tests hold each row against what its module declares.
"""

from __future__ import annotations

START = "Start"
WORK = "Work on datasets"
LOOK = "Look into them"
SHARE = "Share them"
TRACE = "Know where they come from"
CARE = "Look after them"
GIT = "Work with git"
GROUPS = (START, WORK, SHARE, LOOK, TRACE, CARE, GIT)

# What an ARGUMENT column may say besides a list of words: complete paths, or nothing.
PATHS = "PATHS"
REVISIONS = "REVISIONS"  # revisions, then paths; a -- between them reaches the command
NOTHING = ""


class Command:
    """One verb, or a word of FAMILIES and a verb of that family (``remote add``).

    ``options`` are separated by spaces; one that takes a value ends in ``=``, with the values to choose from, if there
    are any, after it, separated by bars. ``arguments`` is PATHS, REVISIONS, NOTHING, or words separated by bars. ``plain``
    commands take their arguments as a list and never load Typer. A class by hand, because importing ``typing`` or
    ``dataclasses`` costs as much as all else that ``--help`` does.
    """

    __slots__ = ("arguments", "group", "name", "options", "plain", "summary")

    def __init__(
        self,
        name: str,
        group: str,
        summary: str,
        options: str,
        arguments: str = PATHS,
        *,
        plain: bool = False,
    ) -> None:
        self.name = name
        self.group = group
        self.summary = summary
        self.options = options
        self.arguments = arguments
        self.plain = plain

    @property
    def module(self) -> str:
        """The module that holds the function of the same name."""
        return f"datavc.cli.commands.{self.function}"

    @property
    def function(self) -> str:
        return self.name.replace("-", "_").replace(" ", "_")


COMMANDS = {
    command.name: command
    for command in (
        Command(
            "init",
            START,
            "Make a repository ready for datasets",
            "--hash=xxh128|blake3|sha256 --no-git",
            NOTHING,
        ),
        Command(
            "clone", START, "Clone a git repository, and pull its datasets", "-r= --remote= --memory= --json"
        ),
        Command("demo", START, "Play the whole story on generated files", "--keep", NOTHING),
        Command(
            "add",
            WORK,
            "Put files or folders into the cache and write their pointers",
            "-u --update -f --force --stage --rehash -n --dry-run --json",
        ),
        Command("status", WORK, "Say what state each dataset is in", "--json --exit-code --offline"),
        Command(
            "diff",
            WORK,
            "Show which files differ from the pointers or between revisions",
            "--name-only -z --null --md --json --exit-code --offline",
            REVISIONS,
        ),
        Command(
            "tag",
            WORK,
            "Name versions of datasets, or list their names",
            "-m= --message= -f --force --json",
        ),
        Command(
            "checkout",
            WORK,
            "Make the workspace what the pointers, or a revision, say",
            "--before= --to= --record= -r= --remote= -f --force --allow-purged -n --dry-run --json",
            REVISIONS,
        ),
        Command("remove", WORK, "Stop keeping datasets", "--delete -f --force -n --dry-run"),
        Command("move", WORK, "Rename a dataset, its files and its pointer", ""),
        Command(
            "push",
            SHARE,
            "Send datasets to a remote",
            "-r= --remote= --rev= --all-branches --all-tags --check --read -n --dry-run --memory= -y --yes --json",
        ),
        Command(
            "fetch",
            SHARE,
            "Get datasets from a remote into the cache",
            "-r= --remote= --rev= --all-branches --all-tags --trees -n --dry-run --memory= --json",
        ),
        Command(
            "pull",
            SHARE,
            "Get datasets from a remote, and check them out",
            "-r= --remote= -f --force -n --dry-run --memory= --json",
        ),
        Command(
            "get",
            SHARE,
            "Get one version out of a store, without any repository",
            "-o= --output= --repo= --endpoint= --region= --profile= --anonymous --memory= --json",
            NOTHING,
        ),
        Command(
            "remote add",
            SHARE,
            "Name a place to keep datasets in, and try it",
            "--default --read-only --no-probe --local "
            "--endpoint= --region= --profile= --path-style=true|false --anonymous",
            NOTHING,
        ),
        Command("remote list", SHARE, "List the remotes", "--json", NOTHING),
        Command("remote remove", SHARE, "Forget a remote; nothing there is deleted", "", NOTHING),
        Command("remote rename", SHARE, "Give a remote another name", "", NOTHING),
        Command(
            "remote set-url",
            SHARE,
            "Give a remote another address",
            "--endpoint= --region= --profile=",
            NOTHING,
        ),
        Command("remote probe", SHARE, "Find out what a remote can be relied on for", "--json", NOTHING),
        Command(
            "remote status",
            SHARE,
            "Say which datasets are complete on which remote",
            "-r= --remote= --json --exit-code",
        ),
        Command(
            "log",
            LOOK,
            "List the versions of datasets in git's history",
            "-n= --number= --stat --offline --json",
            REVISIONS,
        ),
        Command(
            "ls", LOOK, "List datasets and the files in them", "-r --recursive -l --long --offline --json"
        ),
        Command(
            "show",
            TRACE,
            "Tell what is known of a dataset, of a path in it, or of a run",
            "--part= --offline --json",
        ),
        Command(
            "du", LOOK, "Add up how much is in datasets and their folders", "-d= --depth= --offline --json"
        ),
        Command("cat", LOOK, "Write a file of a dataset to standard output", "--offline"),
        Command(
            "run",
            TRACE,
            "Run a command, and keep a record of it",
            "-n= --name= -i= --input= -o= --output= --keep= -m= --metrics= -p= --params= --seed= --image= --shell "
            "--trace=auto|python|full|off",
            NOTHING,
        ),
        Command(
            "lineage",
            TRACE,
            "Show what something was made of, and what of it",
            "--up --down --depth= --rev= --json --mermaid --dot --html",
            NOTHING,
        ),
        Command("whence", TRACE, "Say where a file comes from, by its content", "--json"),
        Command(
            "runs",
            TRACE,
            "List the records of runs, the newest first",
            "--limit= -r= --remote= --json",
            NOTHING,
        ),
        Command(
            "compare",
            TRACE,
            "Lay two runs or revisions side by side, show what differs",
            "--offline --json --exit-code",
        ),
        Command(
            "adopt", TRACE, "Take over what a run elsewhere made", "-r= --remote= -f --force --json", NOTHING
        ),
        Command("identify", TRACE, "Say which dataset version a folder is nearest to", "--json"),
        Command(
            "evict",
            CARE,
            "Drop from this machine what a remote holds",
            "-r= --remote= --max-size= --workspace -n --dry-run --json",
        ),
        Command(
            "gc",
            CARE,
            "Delete what no version needs any more",
            "-r= --remote= --grace= --older-than= --expire= --most --repack --restore -n --dry-run -y --yes --json",
            NOTHING,
        ),
        Command("cache list", CARE, "List the clones that use the cache", "--json", NOTHING),
        Command(
            "cache forget",
            CARE,
            "Forget clones that are gone, so that gc keeps nothing for them",
            "--gone -y --yes --json",
            NOTHING,
        ),
        Command(
            "purge",
            CARE,
            "Delete files for good, everywhere",
            "--reason= --files-from= -r= --remote= --names -n --dry-run -y --yes --json",
        ),
        Command("unprotect", CARE, "Make linked files safe to edit in place", ""),
        Command(
            "config", CARE, "Show or change settings", "--local --user --unset --show-origin --json", NOTHING
        ),
        Command("doctor", CARE, "Look at all that datavc stands on", "--offline --json", NOTHING),
        Command(
            "fsck",
            CARE,
            "Check the cache or a remote, or repair it",
            "-r= --remote= --full --sample= --older-than= --repair --from= --json",
            NOTHING,
        ),
        Command(
            "completion", CARE, "Print the completion script of a shell", "", "bash|zsh|fish", plain=True
        ),
        Command(
            "install",
            GIT,
            "Have git call datavc: data follows checkouts, datasets merge",
            "--uninstall --hooks= --json",
            NOTHING,
        ),
        Command("resolve", GIT, "Settle pointers that a merge left in conflict", "--ours --theirs --json"),
        Command("git hook", GIT, "Do what one of git's hooks is for", "", NOTHING),
        Command("git diff", GIT, "Compare two pointers file by file, as git's diff driver", "", NOTHING),
        Command(
            "git merge", GIT, "Merge two pointers file by file, as git's merge driver", "--virtual", NOTHING
        ),
    )
}

# First words that are no commands alone.
FAMILIES = {
    "remote": "Say where datasets are kept",
    "cache": "Look after who uses the cache",
    "git": "What git calls, once datavc install has told it to",
}

ALIASES = {"rm": "remove", "mv": "move"}

# Understood before and after the command; datavc/cli/arguments.py reads them.
GLOBAL_OPTIONS = (
    ("-C DIR", "Work as if started in DIR"),
    ("-q, --quiet", "Say nothing but results, warnings and errors"),
    ("-v, --verbose", "Say more"),
    ("-j N, --jobs N", "Use N workers"),
    ("--color WHEN", "Colours: auto, always or never"),
    ("--wait[=SECONDS]", "Wait for other commands, so long or without end, not 10 s"),
    ("-h, --help", "Explain datavc or one command"),
    ("--version", "Print the version"),
)

USAGE = "usage: datavc [-C DIR] [-q] [-v] [-j N] [--color WHEN] [--wait] COMMAND ..."


def find(word: str) -> Command | None:
    """The command of that name or alias."""
    return COMMANDS.get(ALIASES.get(word, word))


def family(word: str) -> list[Command]:
    """The commands whose first word it is, if it is the name of a family."""
    if word not in FAMILIES:
        return []
    return [command for command in COMMANDS.values() if command.name.startswith(f"{word} ")]


def take(words: list[str]) -> tuple[str, list[str]]:
    """The name of the command that ``words`` begin with, which may be one that there is not, and its arguments."""
    if words[0] in FAMILIES and len(words) > 1 and not words[1].startswith("-"):
        return f"{words[0]} {words[1]}", words[2:]
    return words[0], words[1:]


def nearest(word: str) -> str | None:
    """The name that was most likely meant by ``word``, if any is near."""
    from difflib import get_close_matches

    first, _, verb = word.partition(" ")
    if verb:
        inner = get_close_matches(
            verb, [one.name.partition(" ")[2] for one in family(first)], n=1, cutoff=0.6
        )
        return f"{first} {inner[0]}" if inner else None
    matches = get_close_matches(word, [*COMMANDS, *ALIASES], n=1, cutoff=0.6)
    return matches[0] if matches else None


def family_overview(word: str) -> str:
    """What ``datavc remote --help`` prints."""
    usage = USAGE.replace("COMMAND", f"{word} COMMAND")
    lines = [usage, "", f"{FAMILIES[word]}.", ""]
    lines += [f"  {command.name:<16}{command.summary}" for command in family(word)]
    lines += ["", f"'datavc {word} COMMAND --help' explains one command, with examples."]
    return "\n".join(lines)


def overview() -> str:
    """What ``datavc --help`` prints."""
    names = {alias: name for name, alias in ALIASES.items()}
    lines = [USAGE, "", "Keep datasets beside git: exact, deduplicated, and as fast as the disk.", ""]
    for group in GROUPS:
        lines.append(group)
        for command in COMMANDS.values():
            if command.group == group:
                alias = f" (or {names[command.name]})" if command.name in names else ""
                lines.append(f"  {command.name:<16}{command.summary}{alias}")
        lines.append("")
    lines.append("Options, before or after the command")
    lines += [f"  {option:<18}{summary}" for option, summary in GLOBAL_OPTIONS]
    lines += ["", "'datavc COMMAND --help' explains one command, with examples."]
    return "\n".join(lines)
