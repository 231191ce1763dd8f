#!/bin/sh
# The plans of the zoo: a change to the passes, the kernels' order or an architecture shows as a difference here.
# To accept one: NACRE_ACCEPT=1 sh tests/cli/test_plans.sh (as ctest runs it), then read the diff before committing.
. "$NACRE_SOURCE/tests/expect.sh"
plans=$NACRE_SOURCE/tests/cli/plans

check() {
    name=$1
    shift
    run "$NACRE" plan "$@" --batch-size 2 --instruction-set base --threads 1
    expect_code 0
    expect_no_err
    sed '$d' "$scratch/out" >"$scratch/plan" # the last line is the memory, which depends on the caches
    [ -z "${NACRE_ACCEPT:-}" ] || cp "$scratch/plan" "$plans/$name.txt"
    diff -u "$plans/$name.txt" "$scratch/plan" || fault "the plan of $name has changed"
}

for model in lenet resnet_cifar; do
    check "$model" "$model"
    check "$model-training" "$model" --training
done
check mlp mlp --input 784
check mlp-training mlp --input 784 --training
check_gpt() {
    name=$1
    shift
    check "$name" gpt -p layers=1 -p width=64 -p heads=2 -p vocabulary=100 -p tanh=true --length 8 "$@"
}
check_gpt gpt
check_gpt gpt-training --training
check_gpt gpt-bf16 --precision bf16
finish
