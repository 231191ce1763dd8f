#!/bin/sh
# The frame of the command: help, wrong usage and exit codes, for every command there is.
. "$NACRE_SOURCE/tests/expect.sh"

commands=$("$NACRE" help | sed -n '/^Commands/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ -n "$commands" ] || fault 'help lists no commands'

for command in $commands; do
    run "$NACRE" help "$command"
    expect_code 0
    expect_out "nacre $command - "
    expect_out 'Exit codes'
    expect_no_err
    cp "$scratch/out" "$scratch/help"
    run "$NACRE" "$command" --help
    expect_code 0
    cmp -s "$scratch/out" "$scratch/help" || fault "$command --help differs from help $command"
    awk 'length > 80 { exit 1 }' "$scratch/help" || fault "help $command has lines over 80 columns"
    run "$NACRE" "$command" --no-such-option
    expect_code 2
    expect_err "unknown option '--no-such-option'"
    expect_no_out
done

run "$NACRE"
expect_code 2
expect_err 'Usage: nacre COMMAND'
expect_no_out
run "$NACRE" --help
expect_code 0
expect_out 'Usage: nacre COMMAND'
run "$NACRE" help --recipe
expect_code 0
expect_out 'training.epochs'
run "$NACRE" --version
expect_code 0
expect_out "nacre $(sed -n 's/.*NACRE_VERSION_STRING "\(.*\)"/\1/p' "$NACRE_SOURCE/include/nacre/base.h")"

run "$NACRE" devcies
expect_code 2
expect_err "did you mean 'devices'?"
run "$NACRE" help devcies
expect_code 2
expect_err "did you mean 'devices'?"
run "$NACRE" devices --jsn
expect_code 2
expect_err "did you mean '--json'?"
run "$NACRE" devices --js
expect_code 2
expect_err "did you mean '--json'?"
run "$NACRE" devices --json=yes
expect_code 2
expect_err '--json takes no value'
run "$NACRE" devices --json --json
expect_code 2
expect_err '--json was given twice'
run "$NACRE" devices -x
expect_code 2
expect_err "unknown option '-x'"
run "$NACRE" devices here
expect_code 2
expect_err "unexpected argument 'here'"
run "$NACRE" devices -- --json
expect_code 2
expect_err "unexpected argument '--json'"
run "$NACRE" completion
expect_code 2
expect_err 'SHELL is missing'
run "$NACRE" completion basch
expect_code 2
expect_err "did you mean 'bash'?"

run "$NACRE" devices --json
expect_code 0
expect_out '"instruction_set":"'
run env NO_COLOR=1 "$NACRE" devices
expect_code 0
expect_out 'reference'

if [ -w /dev/full ]; then
    run sh -c '"$NACRE" devices >/dev/full'
    expect_code 1
    expect_err 'cannot write to standard output'
fi
finish
