"""Completion scripts for bash, zsh and fish, written from the command table.

The scripts hold all that they need: pressing Tab starts no Python. Where a dataset is present as its pointer alone,
``train.datavc`` completes to ``train``.
"""

from __future__ import annotations

from datavc.cli.arguments import COLOR_CHOICES
from datavc.cli.table import ALIASES, COMMANDS, FAMILIES, PATHS, REVISIONS, Command, family

SHELLS = ("bash", "zsh", "fish")
_GLOBAL = "-C= -q --quiet -v --verbose -j= --jobs= --color=" + "|".join(COLOR_CHOICES) + " -h --help"


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
    """``case`` branches for the options of all commands that take a value; one meaning for each option."""
    taken: dict[str, list[str]] = {}
    for spec in (_GLOBAL, *(command.options for command in COMMANDS.values())):
        taken |= {option: values for option, takes_value, values in _options(spec) if takes_value}
    branches = []
    for option, values in taken.items():
        if option == "-C":
            branches.append(f"        {option}) {style.format('folders', '')}; return ;;")
        else:
            branches.append(f"        {option}) {style.format('words', ' '.join(values))}; return ;;")
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
    return (
        options,
        "paths" if command.arguments in (PATHS, REVISIONS) else "words",
        _choices(command.arguments),
    )


_BASH_HELPERS = r"""_datavc_words() {
    COMPREPLY=($(compgen -W "$*" -- "$_datavc_current"))
}

_datavc_paths() {
    local path
    compopt -o filenames 2>/dev/null
    COMPREPLY=()
    while IFS= read -r path; do
        COMPREPLY+=("${path%.datavc}")
    done < <(compgen -f -- "$_datavc_current")
}

_datavc_folders() {
    local path
    compopt -o filenames 2>/dev/null
    COMPREPLY=()
    while IFS= read -r path; do
        COMPREPLY+=("$path")
    done < <(compgen -d -- "$_datavc_current")
}"""


def _before_the_word(words: str, range_: str) -> str:
    """The part that bash and zsh have in common: which verb stands in front, and whether an option wants a value."""
    return f"""\
    for (({range_}; i++)); do
        case "${{{words}[i]}}" in
            --) dashes=1 ;;
            -C|-j|--jobs|--color) ((i++)) ;;
            -*) ;;
            {_find_verb(f'"${{{words}[i]}}"')}
        esac
    done
    if [[ -z $dashes ]]; then
        case "$before" in
{_indent(_value_cases("_datavc_{0} {1}"), 4)}
        esac
    fi"""


def _bash() -> str:
    everything = " ".join(name for name, _ in _first_words())
    start = " ".join(option for option, _, _ in _options(_GLOBAL)) + " --version"
    return f"""\
# datavc completion for bash. Put this into ~/.bashrc:  eval "$(datavc completion bash)"

{_BASH_HELPERS}
_datavc() {{
    local _datavc_current="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD-1]}}"
    local verb="" dashes="" options="" kind="" words="" i
    COMPREPLY=()
    if [[ $_datavc_current == = ]]; then  # bash breaks --option=value at the sign
        _datavc_current=""
    elif [[ $before == = ]]; then
        before="${{COMP_WORDS[COMP_CWORD-2]}}"
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
    elif [[ $kind == paths ]]; then
        _datavc_paths
    else
        _datavc_words "$words"
    fi
}}

complete -F _datavc datavc"""


_ZSH_HELPERS = r"""_datavc_words() {
    compadd -- "$@"
}

_datavc_folders() {
    _files -/
}

_datavc_paths() {
    local -a pointers
    pointers=(${(Q)PREFIX}*.datavc(N))
    (( $#pointers )) && compadd -f -- "${(@)pointers%.datavc}"
    _files
}"""


def _zsh() -> str:
    described = "\n".join(f"        {_zsh_quote(f'{name}:{summary}')}" for name, summary in _first_words())
    start = " ".join(option for option, _, _ in _options(_GLOBAL)) + " --version"
    return f"""\
#compdef datavc
# datavc completion for zsh. Put this into ~/.zshrc, after compinit:  eval "$(datavc completion zsh)"

{_ZSH_HELPERS}
_datavc() {{
    local verb="" dashes="" kind="" before="${{words[CURRENT-1]}}" current="${{words[CURRENT]}}"
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
    elif [[ $kind == paths ]]; then
        _datavc_paths
    else
        _datavc_words $choices
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
        "function __datavc_pointers",
        "    for path in (commandline -ct)*.datavc",
        "        string replace -r '\\.datavc$' '' -- $path",
        "    end",
        "end",
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
        if command.arguments in (PATHS, REVISIONS):
            lines.append(f"{seen} -F -a '(__datavc_pointers)'")
        elif command.arguments:
            lines.append(f"{seen} -a '{_choices(command.arguments)}'")
    return "\n".join(lines)


def _fish_options(spec: str) -> list[str]:
    lines = []
    for option, takes_value, values in _options(spec):
        spelled = f"-l {option[2:]}" if option.startswith("--") else f"-s {option[1:]}"
        if option == "-C":
            spelled += " -x -a '(__fish_complete_directories)'"
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
