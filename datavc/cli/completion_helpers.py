"""The functions that completion scripts call: what is written in shell and the same whatever the commands are."""

from __future__ import annotations

# One name on each line. $_datavc_in is what -C says.
LISTS = r"""_datavc_git() {
    git -C "${_datavc_in:-.}" "$@" 2>/dev/null
}

_datavc_list_revisions() {
    _datavc_git rev-parse -q --verify HEAD >/dev/null && echo HEAD
    _datavc_git for-each-ref --format='%(refname:short)' refs/heads refs/tags refs/remotes
}

_datavc_list_datasets_at() {
    _datavc_git ls-tree -r --name-only --full-tree "$1" | sed -n "s|^\(.*[^/]\)\.datavc\$|$1:\1|p"
}

_datavc_list_remotes() {
    local top common
    top=$(_datavc_git rev-parse --show-toplevel) || top="${_datavc_in:-.}"
    common=$(_datavc_git rev-parse --git-common-dir) || common="$top/.datavc"
    [[ $common == /* || $common == "$top"/* ]] || common="${_datavc_in:-.}/$common"
    cat "$top/datavc.toml" "$common/datavc/config.toml" "$top/.datavc/config.toml" \
        "${XDG_CONFIG_HOME:-$HOME/.config}/datavc/config.toml" 2>/dev/null |
        sed -n -e 's/^\[remote\.\([A-Za-z0-9_-]*\)\].*/\1/p' -e 's/^remote\.\([A-Za-z0-9_-]*\)\.url.*/\1/p' |
        sort -u
}

# Those that pointers name, and those whose roots are in a cache that is where it is by default.
_datavc_list_records() {
    local common
    common=$(_datavc_git rev-parse --git-common-dir) || common=.
    [[ $common == /* ]] || common="${_datavc_in:-.}/$common"
    {
        _datavc_git grep -h '^record = ' -- ':(top,glob)**/*.datavc'
        grep -rsh '"kind":"record"' "$common/datavc/cache/roots"
    } | sed -n -e 's/^record = "\([a-z0-9:]*\)".*/\1/p' -e 's/.*"digest":"\([a-z0-9:]*\)".*/\1/p' | sort -u
}"""

BASH_HELPERS = r"""_datavc_words() {
    COMPREPLY=($(compgen -W "$*" -- "$_datavc_current"))
}

_datavc_lines() {  # those that begin as what is typed, without what bash has broken off
    local line off="${typed%"$_datavc_current"}"
    while IFS= read -r line; do
        [[ $line == "$typed"* ]] || continue
        line="${line#"$off"}"
        [[ $line != *[[:space:]]* ]] || printf -v line %q "$line"
        COMPREPLY+=("$line")
    done
}

_datavc_remotes() {
    _datavc_lines < <(_datavc_list_remotes)
}

_datavc_records() {
    _datavc_lines < <(_datavc_list_records)
}

_datavc_traces() {
    _datavc_paths
    _datavc_records
}

_datavc_past() {
    [[ $typed == *:* ]] && _datavc_lines < <(_datavc_list_datasets_at "${typed%%:*}")
}

_datavc_revs() {
    _datavc_lines < <(_datavc_list_revisions)
}

_datavc_revisions() {
    _datavc_paths
    [[ -n $dashes ]] || _datavc_revs
}

_datavc_paths() {
    local path
    COMPREPLY=()
    _datavc_past
    ((${#COMPREPLY[@]})) && return
    compopt -o filenames 2>/dev/null
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


ZSH_HELPERS = r"""_datavc_words() {
    compadd -- "$@"
}

_datavc_folders() {
    _files -/
}

_datavc_remotes() {
    compadd -- ${(f)"$(_datavc_list_remotes)"}
}

_datavc_records() {
    compadd -- ${(f)"$(_datavc_list_records)"}
}

_datavc_traces() {
    _datavc_records
    _datavc_paths
}

_datavc_revs() {
    compadd -- ${(f)"$(_datavc_list_revisions)"}
}

_datavc_revisions() {
    [[ -n $dashes ]] || _datavc_revs
    _datavc_paths
}

_datavc_paths() {
    local -a pointers
    pointers=(${(Q)PREFIX}*.datavc(N))
    (( $#pointers )) && compadd -f -- "${(@)pointers%.datavc}"
    [[ $PREFIX == *:* ]] && compadd -- ${(f)"$(_datavc_list_datasets_at "${PREFIX%%:*}")"}
    _files
}"""


FISH_HELPERS = r"""function __datavc_pointers
    for path in (commandline -ct)*.datavc
        string replace -r '\.datavc$' '' -- $path
    end
    set -l past (string match -r '^([^:]+):' -- (commandline -ct))
    and git ls-tree -r --name-only --full-tree $past[2] 2>/dev/null |
        string replace -rf '^(.*[^/])\.datavc$' "$past[2]:\$1"
end

function __datavc_revisions
    contains -- -- (commandline -opc)
    and return
    git rev-parse -q --verify HEAD >/dev/null 2>&1
    and echo HEAD
    git for-each-ref --format='%(refname:short)' refs/heads refs/tags refs/remotes 2>/dev/null
end

function __datavc_records
    set -l common (git rev-parse --git-common-dir 2>/dev/null; or echo .)
    begin
        git grep -h '^record = ' -- ':(top,glob)**/*.datavc' 2>/dev/null
        grep -rsh '"kind":"record"' $common/datavc/cache/roots
    end | string replace -rf '^(?:record = |.*"digest":)"([a-z0-9:]+)".*' '$1' | sort -u
end

function __datavc_remotes
    set -l top (git rev-parse --show-toplevel 2>/dev/null; or echo .)
    set -l common (git rev-parse --git-common-dir 2>/dev/null; or echo .datavc)
    set -l user ~/.config
    set -q XDG_CONFIG_HOME
    and set user $XDG_CONFIG_HOME
    cat $top/datavc.toml $common/datavc/config.toml $top/.datavc/config.toml $user/datavc/config.toml 2>/dev/null |
        string replace -rf '^(?:\[remote\.([A-Za-z0-9_-]+)\].*|remote\.([A-Za-z0-9_-]+)\.url.*)' '$1$2' | sort -u
end"""
