"""Completion scripts for bash, zsh and fish, written from the command table.

Pressing Tab starts no Python: branches, tags and the datasets of a revision come from git, the names of remotes out of the
configuration files. Where a dataset is present as its pointer alone, ``train.datavc`` completes to ``train``.
"""

from __future__ import annotations

from datavc.cli.arguments import COLOR_CHOICES
from datavc.cli.completion_helpers import BASH_HELPERS, FISH_HELPERS, LISTS, ZSH_HELPERS
from datavc.cli.table import ALIASES, COMMANDS, FAMILIES, PATHS, REVISIONS, Command, family

SHELLS = ("bash", "zsh", "fish")
# What an option's value, or a command's arguments, are, where the table does not say it.
_VALUES = {
    "-C": "folders",
    "-r": "remotes",
    "--remote": "remotes",
    "--rev": "revs",
    "--to": "folders",
    "--record": "records",
}
_ARGUMENTS = {
    **dict.fromkeys(("remote remove", "remote rename", "remote set-url", "remote probe"), "remotes"),
    "adopt": "records",
    **dict.fromkeys(("compare", "lineage", "show"), "traces"),  # paths and records
}
_GLOBAL = "-C= -q --quiet -v --verbose -j= --jobs= --color=" + "|".join(COLOR_CHOICES) + " --wait -h --help"


def script(shell: str) -> str:
    """The completion script of one of SHELLS."""
    return {"bash": _bash, "zsh": _zsh, "fish": _fish}[shell]()


def _names(command: Command) -> list[str]:
    return [command.name, *(alias for alias, name in ALIASES.items() if name == command.name)]


def _first_words() -> list[tuple[str, str]]:
    """What may stand first, with a summary: commands, their aliases, and in the place of a family's first its name."""
    words = {}
    for command in COMMANDS.values():
        first = command.name.partition(" ")[0]
        for name in [first] if first in FAMILIES else _names(command):
            words[name] = FAMILIES.get(name, command.summary)
    return list(words.items())


def _verbs(word: str) -> list[str]:
    """The second words of a family's commands."""
    return [command.name.partition(" ")[2] for command in family(word)]


def _options(spec: str) -> list[tuple[str, bool, list[str]]]:
    """What each word of an options column says: the option, whether it takes a value, the values to choose from."""
    rows = []
    for word in spec.split():
        option, takes_value, values = word.partition("=")
        rows.append((option, bool(takes_value), values.split("|") if values else []))
    return rows


def _choices(arguments: str) -> str:
    return "" if arguments in (PATHS, REVISIONS) else arguments.replace("|", " ")


def _value_cases(style: str) -> str:
    """``case`` branches for the options that take a value, behind the verb; first those that take none in some command."""
    taken: dict[str, list[str]] = {}
    flags: list[str] = []
    for command in COMMANDS.values():
        for option, takes_value, values in _options(f"{command.options} {_GLOBAL}"):
            if takes_value:
                taken[option] = values
            else:
                flags += [f'"{name} {option}"' for name in _names(command)]
    hidden = [flag for flag in flags if flag.strip('"').rpartition(" ")[2] in taken]
    branches = [f"        {'|'.join(hidden)}) ;;"] if hidden else []
    for option, values in taken.items():
        kind = _VALUES.get(option, "words")
        branches.append(f'        *" {option}") {style.format(kind, " ".join(values)).rstrip()}; return ;;')
    return "\n".join(branches)


def _command_cases(assignment: str) -> str:
    cases = {
        "|".join(f'"{name}"' for name in _names(command)): _spelled(command) for command in COMMANDS.values()
    }
    cases |= {word: ("", "words", " ".join(_verbs(word))) for word in FAMILIES}
    return "\n".join(f"        {names}) {assignment.format(*spelled)} ;;" for names, spelled in cases.items())


def _find_verb(word: str) -> str:
    """The branch of a ``case`` that takes ``word`` as the verb, or as the second word of one."""
    families = "|".join(FAMILIES)
    return f"""*)
                case "$verb" in
                    "") verb={word} ;;
                    {families}) verb="$verb "{word} ;;
                esac
                ;;"""


def _spelled(command: Command) -> tuple[str, str, str]:
    options = " ".join(option for option, _, _ in _options(f"{command.options} {_GLOBAL}"))
    return options, _kind(command), _choices(command.arguments)


def _kind(command: Command) -> str:
    """What the command's arguments are: the last part of the name of a function of the scripts."""
    usual = {PATHS: "paths", REVISIONS: "revisions"}.get(command.arguments, "words")
    return _ARGUMENTS.get(command.name, usual)


def _before_the_word(words: str, range_: str) -> str:
    """The part that bash and zsh have in common: which verb stands in front, and whether an option wants a value."""
    return f"""\
    for (({range_}; i++)); do
        case "${{{words}[i]}}" in
            --) dashes=1 ;;
            -C) ((i++)); _datavc_in="${{{words}[i]}}" ;;
            -j|--jobs|--color) ((i++)) ;;
            -*) ;;
            {_find_verb(f'"${{{words}[i]}}"')}
        esac
    done
    if [[ -z $dashes ]]; then
        case "$verb $before" in
{_indent(_value_cases("_datavc_{0} {1}"), 4)}
        esac
    fi"""


def _bash() -> str:
    everything = " ".join(name for name, _ in _first_words())
    start = " ".join(option for option, _, _ in _options(_GLOBAL)) + " --version"
    return f"""\
# datavc completion for bash. Put this into ~/.bashrc:  eval "$(datavc completion bash)"

{LISTS}

{BASH_HELPERS}

_datavc() {{
    local _datavc_current="${{COMP_WORDS[COMP_CWORD]}}" before
    local verb="" dashes="" options="" kind="words" words="" _datavc_in="" i
    COMPREPLY=()
    # Bash breaks words at = : and @, here put together again as far as to an =
    local typed="${{COMP_LINE:0:COMP_POINT}}" at=$COMP_CWORD
    typed="${{typed##*[[:space:]=]}}"
    [[ -n $typed ]] || typed="${{_datavc_current#=}}"
    local joined="$_datavc_current"
    while [[ $joined != "$typed" && $typed == *"$joined" && $at -gt 1 ]]; do
        ((at--))
        joined="${{COMP_WORDS[at]}}$joined"
    done
    before="${{COMP_WORDS[at-1]}}"
    if [[ $_datavc_current == = ]]; then
        _datavc_current=""
    elif [[ $before == = ]]; then
        before="${{COMP_WORDS[at-2]}}"
    fi
{_before_the_word("COMP_WORDS", "i = 1; i < COMP_CWORD")}
    if [[ -z $verb ]]; then
        if [[ $_datavc_current == -* ]]; then
            _datavc_words "{start}"
        else
            _datavc_words "{everything} help"
        fi
        return
    fi
    case "$verb" in
        help) words="{everything}" ;;
{_command_cases('options="{0}" kind="{1}" words="{2}"')}
    esac
    if [[ -z $dashes && $_datavc_current == -* ]]; then
        _datavc_words "$options"
    elif [[ $kind == words ]]; then
        _datavc_words "$words"
    else
        "_datavc_$kind"
    fi
}}

complete -F _datavc datavc"""


def _zsh() -> str:
    described = "\n".join(f"        {_zsh_quote(f'{name}:{summary}')}" for name, summary in _first_words())
    start = " ".join(option for option, _, _ in _options(_GLOBAL)) + " --version"
    return f"""\
#compdef datavc
# datavc completion for zsh. Put this into ~/.zshrc, after compinit:  eval "$(datavc completion zsh)"

{LISTS}

{ZSH_HELPERS}

_datavc() {{
    local verb="" dashes="" kind="words" _datavc_in="" before="${{words[CURRENT-1]}}" current="${{words[CURRENT]}}"
    local -a options choices commands
    local i
{_before_the_word("words", "i = 2; i < CURRENT")}
    if [[ -z $verb ]]; then
        if [[ $current == -* ]]; then
            _datavc_words {start}
            return
        fi
        commands=(
{described}
        )
        _describe command commands
        return
    fi
    case "$verb" in
{_command_cases("options=({0}) kind={1} choices=({2})")}
    esac
    if [[ -z $dashes && $current == -* ]]; then
        _datavc_words $options
    elif [[ $kind == words ]]; then
        _datavc_words $choices
    else
        "_datavc_$kind"
    fi
}}

if [[ $funcstack[1] == _datavc ]]; then
    _datavc "$@"
else
    compdef _datavc datavc
fi"""


def _fish() -> str:
    lines = [
        "# datavc completion for fish:  datavc completion fish > ~/.config/fish/completions/datavc.fish",
        "",
        FISH_HELPERS,
        "",
        "complete -c datavc -f",
        "complete -c datavc -n __fish_use_subcommand -l version",
        "complete -c datavc -n __fish_use_subcommand -a help",
    ]
    lines += [f"complete -c datavc {words}" for words in _fish_options(_GLOBAL)]
    for name, summary in _first_words():
        lines.append(f"complete -c datavc -n __fish_use_subcommand -a {name} -d {_fish_quote(summary)}")
    for command in COMMANDS.values():
        first, _, second = command.name.partition(" ")
        condition = f"__fish_seen_subcommand_from {' '.join(_names(command))}"
        if second:
            before = f"__fish_seen_subcommand_from {first}"
            verbs = " ".join(_verbs(first))
            waiting = f"{before}; and not __fish_seen_subcommand_from {verbs}"
            lines.append(f"complete -c datavc -n '{waiting}' -a {second} -d {_fish_quote(command.summary)}")
            condition = f"{before}; and __fish_seen_subcommand_from {second}"
        elif any(command.name in _verbs(word) for word in FAMILIES):
            condition += f"; and not __fish_seen_subcommand_from {' '.join(FAMILIES)}"
        seen = f"complete -c datavc -n '{condition}'"
        lines += [f"{seen} {words}" for words in _fish_options(command.options)]
        kind = _kind(command)
        if kind == "revisions":
            lines.append(f"{seen} -a '(__datavc_revisions)'")
        if kind in ("paths", "revisions"):
            lines.append(f"{seen} -F -a '(__datavc_pointers)'")
        elif kind == "traces":
            lines.append(f"{seen} -F -a '(__datavc_pointers; __datavc_records)'")
        elif kind in _FISH_VALUES:
            lines.append(f"{seen} -a '({_FISH_VALUES[kind]})'")
        elif command.arguments:
            lines.append(f"{seen} -a '{_choices(command.arguments)}'")
    return "\n".join(lines)


_FISH_VALUES = {
    "folders": "__fish_complete_directories",
    "remotes": "__datavc_remotes",
    "revs": "__datavc_revisions",
    "records": "__datavc_records",
}


def _fish_options(spec: str) -> list[str]:
    lines = []
    for option, takes_value, values in _options(spec):
        spelled = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
        if takes_value and option in _VALUES:
            spelled += f" -x -a '({_FISH_VALUES[_VALUES[option]]})'"
        elif takes_value:
            spelled += f" -x -a '{' '.join(values)}'"
        lines.append(spelled)
    return lines


def _fish_quote(text: str) -> str:
    return "'" + text.replace("'", "\\'") + "'"


def _zsh_quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _indent(text: str, spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in text.splitlines())
