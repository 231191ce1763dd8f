#!/bin/sh
# nacre bench: every workload runs and reports the fields that bench/compare and programs read. No time is asserted.
. "$NACRE_SOURCE/tests/expect.sh"

run "$NACRE" bench list
expect_code 0
expect_out 'lenet_train'
run "$NACRE" bench
expect_code 2
expect_err 'WORKLOAD is missing'
run "$NACRE" bench lenet
expect_code 2
expect_err "did you mean 'lenet_train'?"
run "$NACRE" bench graph --once
expect_code 2
expect_err '--once belongs to startup'

for workload in mlp_train lenet_train startup graph peak triad; do
    run "$NACRE" bench "$workload" --threads 2 --seconds 0 --min-iters 2 --json
    expect_code 0
    expect_no_err
    [ "$(wc -l <"$scratch/out")" -eq 1 ] || fault "$workload: expected one line of JSON"
    for key in workload metric value unit threads dtype peak_rss_mb ms_median ms_min iters; do
        expect_out "\"$key\":"
    done
    expect_out "\"workload\":\"$workload\""
    expect_out '"threads":2'
    expect_out '"iters":2'
done

# The work is that of the comparison's other side: parameters, and arithmetic in GFLOP a step.
run "$NACRE" bench mlp_train --seconds 0 --min-iters 1 --json
expect_out '"params":669706'
expect_out '"gflop_per_step":0.4108'
run "$NACRE" bench lenet_train --seconds 0 --min-iters 1 --json
expect_out '"params":1625866'
expect_out '"gflop_per_step":12.4478'

run "$NACRE" bench startup --once
expect_code 0
grep -qx '[0-9]' "$scratch/out" || fault "startup --once printed no class: $(cat "$scratch/out")"
finish
