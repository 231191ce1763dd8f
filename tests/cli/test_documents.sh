#!/bin/sh
# What is generated from the tables of commands: the man page and the completions.
. "$NACRE_SOURCE/tests/expect.sh"

"$NACRE" help --man >"$scratch/nacre.1" || fault 'help --man failed'
if command -v man >/dev/null; then
    run env MANWIDTH=80 LC_ALL=C.UTF-8 man --warnings=w -l "$scratch/nacre.1"
    expect_code 0
    expect_no_err
    expect_out 'nacre - train, examine and use neural networks'
    expect_out 'EXIT STATUS'
    expect_out '--json'
fi

complete_bash() {
    line="completing: $*"
    # The shell variables belong to the script that bash reads.
    # shellcheck disable=SC2016
    bash -c 'eval "$("$NACRE" completion bash)"
        COMP_WORDS=("$@")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _nacre nacre "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf "%s\n" "${COMPREPLY[@]}"' bash "$@" >"$scratch/out" 2>"$scratch/err" || fault "$line failed"
    expect_no_err
}
if command -v bash >/dev/null; then
    complete_bash nacre dev
    expect_out devices
    complete_bash nacre devices --j
    expect_out --json
    complete_bash nacre completion f
    expect_out fish
    complete_bash nacre help ver
    expect_out version
fi
for shell in zsh fish; do
    "$NACRE" completion $shell >"$scratch/completion" || fault "completion $shell failed"
    grep -q devices "$scratch/completion" || fault "completion $shell does not know the commands"
    command -v $shell >/dev/null || continue
    run $shell -n "$scratch/completion"
    expect_code 0
    expect_no_err
done
finish
