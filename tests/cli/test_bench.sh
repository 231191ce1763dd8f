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

run "$NACRE" bench graph --dtype bf16
expect_code 2
expect_err 'knows only --dtype fp32'

for workload in mlp_train lenet_train vae_train startup graph peak triad; do
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
while read -r workload parameters gflop; do
    run "$NACRE" bench "$workload" --dry-run --json
    expect_code 0
    expect_out "\"params\":$parameters"
    [ -z "$gflop" ] || expect_out "\"gflop_per_step\":$gflop"
    ! grep -q ms_ "$scratch/out" || fault "$workload: a dry run measured something"
done <<'EOF'
mlp_train 669706 0.4108
lenet_train 1625866 12.4478
resnet56_train 853018 96.2598
lstm_train 3457729 84.5698
gpt_train 10770816 290.5237
gpt2_train 124439808 191.5571
dcgan_train 6342272 72.788
vae_train 652824 0.4198
resnet50_infer_b1 25557032 8.1784
resnet50_infer_b16 25557032 130.8
mobilenetv2_infer_b1 3504872 0.6015
vgg16_infer_b1 138357544 30.9
bert_infer 108891648 178.7
gpt2_generate 124439808 37.3773
adamw_step 25557032
sgd_step 25557032
EOF

run "$NACRE" bench optimizer_step --dry-run --json
expect_code 0
expect_out '"workload":"optimizer_step"'

# A profile: the table, and a time line as JSON that says what ran.
cd "$scratch" || exit 1
run "$NACRE" bench vae_train --seconds 0 --min-iters 2 --profile
expect_code 0
expect_out 'ms a run'
expect_out 'matmul'
expect_out 'ceilings:'
expect_out 'vae_train.trace.json'
cp "$scratch/vae_train.trace.json" "$scratch/trace" || fault "there is no trace"
for word in '"traceEvents"' '"ph":"X"' '"name":"matmul"' '"layer":"fc1"' '"dur":' '"ts":'; do
    grep -q "$word" "$scratch/trace" || fault "the trace has no $word"
done

run "$NACRE" bench startup --once
expect_code 0
grep -qx '[0-9]' "$scratch/out" || fault "startup --once printed no class: $(cat "$scratch/out")"
finish
