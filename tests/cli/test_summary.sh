#!/bin/sh
# nacre summary and plan of everything that is a model: a name of the zoo, a text, a recipe, a saved file.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm # in memory: there are many small files
. "$NACRE_SOURCE/tests/expect.sh"
unset NACRE_DATA
recipe=$NACRE_SOURCE/tests/cli/tiny.yaml
run "$NACRE" train "$recipe" -o "$scratch/run" --quiet
expect_code 0
model=$scratch/run/model.safetensors

# Layers with their shapes and parameters, which add up.
run "$NACRE" summary "$model" --batch-size 7
expect_code 0
grep -qE '^conv1 +conv +\[7, 4, 8, 8\] +36$' "$scratch/out" || fault "no conv1: $(cat "$scratch/out")"
grep -qE '^bn1 .* 8$' "$scratch/out" || fault "no bn1: $(cat "$scratch/out")"
grep -qE '^fc +matmul +\[7, 10\] +650$' "$scratch/out" || fault "no fc: $(cat "$scratch/out")"
grep -qE '^total +694$' "$scratch/out" || fault "no total: $(cat "$scratch/out")"
cp "$scratch/out" "$scratch/saved"
run "$NACRE" summary "$recipe" --batch-size 7
expect_code 0
cmp -s "$scratch/out" "$scratch/saved" || fault 'the recipe and the saved model have different summaries'

grep -q '^parameters are f32$' "$scratch/saved" || fault 'the type of the parameters is not told'

# The text of a saved model is a model.
run "$NACRE" summary "$model" --text
expect_code 0
sed -n '/^model tiny/,$p' "$scratch/out" >"$scratch/tiny.nacre"
run "$NACRE" summary "$scratch/tiny.nacre" --batch-size 7
expect_code 0
cmp -s "$scratch/out" "$scratch/saved" || fault 'the text of a saved model has another summary'

run "$NACRE" summary lenet --json
expect_code 0
expect_out '"path":"conv2","operation":"conv","parameters":18496'
expect_out '"parameters":421642}'
run "$NACRE" summary resnet_cifar --parameter depth=56 --json
expect_code 0
expect_out '"parameters":855770}'
run "$NACRE" summary gpt -p layers=1 -p width=48 -p tanh=true --length 32 --batch-size 2
expect_code 0
expect_out '[2, 32, 65]'
run "$NACRE" summary resnet_cifar --parameter dept=56
expect_code 1
expect_err "did you mean 'depth'?"
run "$NACRE" summary resnet_cifar --parameter depth
expect_code 1
expect_err '--parameter depth: expected NAME=VALUE'
run "$NACRE" summary "$model" --parameter depth=56
expect_code 1
expect_err '--parameter is for model texts'
run "$NACRE" plan gpt -p layers=1 -p width=48 --length 32 --training
expect_code 0
expect_out 'attention_backward'
run "$NACRE" summary mlp
expect_code 1
expect_err "the shape of 'x' is open"
run "$NACRE" summary lennet
expect_code 1
expect_err 'lennet: is neither a saved model'
run "$NACRE" summary "$scratch/none.nacre"
expect_code 1
expect_err 'No such file'
run "$NACRE" summary lenet --batch-size 0
expect_code 2

# Plans: the steps, why other kernels were refused, and what a training step adds.
run "$NACRE" plan "$model" --explain --threads 1
expect_code 0
expect_out 'matmul'
expect_out 'not '
expect_out 'packed into'
steps=$(tail -n 1 "$scratch/out" | cut -d ' ' -f 1)
run "$NACRE" plan "$recipe" --threads 1
expect_code 0
[ "$(tail -n 1 "$scratch/out" | cut -d ' ' -f 1)" -eq "$steps" ] || fault 'the recipe and the saved model have different plans'
run "$NACRE" plan "$model" --training --batch-size 4 --json --threads 1
expect_code 0
[ "$(wc -l <"$scratch/out")" -eq 1 ] || fault 'plan --json prints more than its object'
[ "$(grep -o '"op":"adam"' "$scratch/out" | wc -l)" -eq 1 ] || fault 'a training step has not exactly one update'
expect_out '"activation_bytes":'
run "$NACRE" plan "$model" --device reference
expect_code 0
! grep -q 'packed_f32' "$scratch/out" || fault 'the reference device uses fast kernels'
finish
