# expect.sh - what the tests written in sh share. A test sources it, calls expect_*, and ends with finish.
# shellcheck shell=sh
: "${NACRE:?names the command to test}"

scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
faults=0

fault() {
    printf 'FAULT: %s\n' "$*"
    faults=$((faults + 1))
}

# run COMMAND...: its output lands in $scratch/out and $scratch/err, its exit code in $code.
run() {
    line=$*
    code=0
    "$@" >"$scratch/out" 2>"$scratch/err" || code=$?
}

expect_code() {
    [ "$code" -eq "$1" ] && return
    fault "$line: exit code $code, expected $1"
    sed 's/^/    /' "$scratch/out" "$scratch/err"
}

# expect_out TEXT, expect_err TEXT: the text stands somewhere in the output.
expect_in() {
    grep -qF -- "$2" "$scratch/$1" && return
    fault "$line: '$2' is not in std$1:"
    sed 's/^/    /' "$scratch/$1"
}
expect_out() { expect_in out "$1"; }
expect_err() { expect_in err "$1"; }
expect_no_out() { [ ! -s "$scratch/out" ] || fault "$line: unexpected output: $(cat "$scratch/out")"; }
expect_no_err() { [ ! -s "$scratch/err" ] || fault "$line: unexpected messages: $(cat "$scratch/err")"; }

finish() {
    [ "$faults" -eq 0 ] || printf '%s faults\n' "$faults"
    [ "$faults" -eq 0 ]
    exit
}
