#!/bin/sh
# nacre op: lists, explains and checks operations.
. "$NACRE_SOURCE/tests/expect.sh"

run "$NACRE" op
expect_code 0
expect_out 'matmul'
ops=$(awk '{ print $1 }' "$scratch/out")
for op in $ops; do
    run "$NACRE" op "$op"
    expect_code 0
    expect_out 'Kernels, in the order'
    expect_no_err
done
run "$NACRE" op --json
expect_code 0
expect_out '"matmul"'

run "$NACRE" op add 'a=2x3 b=3' --check
expect_code 0
expect_out 'passed  gradient of b'
run "$NACRE" op add 'a=2x3 b=3' --check --quiet
expect_code 0
expect_no_out
run "$NACRE" op add 'a=2x3 b=4' --check
expect_code 1
expect_err 'add'
run "$NACRE" op add 'a=2x3 b=3'
expect_code 2
expect_err 'Add --check'
run "$NACRE" op aad
expect_code 2
expect_err "did you mean 'add'?"
finish
