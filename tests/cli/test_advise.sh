#!/bin/sh
# nacre advise: a recipe that is too small, data without a recipe, the files, and what it refuses.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm # in memory: there are many small files
. "$NACRE_SOURCE/tests/expect.sh"
unset NACRE_DATA

# Two rings: no line parts them.
awk 'BEGIN {
    print "x,y,ring"
    for (i = 0; i < 240; i++) {
        r = i % 2 ? 1 : 2.2
        printf "%.4f,%.4f,%s\n", r * cos(i * 0.7) + (i % 7) / 20, r * sin(i * 0.7) - (i % 5) / 20, i % 2 ? "inner" : "outer"
    }
}' >"$scratch/rings.csv"
cat >"$scratch/small.yaml" <<'END'
data: {source: ./rings.csv, test: 0, workers: 0, transforms: [standardise]}
model: {zoo: mlp, parameters: {classes: 2, hidden: 1, layers: 1}}
optimizer: {name: adamw, learning_rate: 0.02}
training: {epochs: 15, batch_size: 16}
END

run "$NACRE" advise "$scratch/small.yaml" -o "$scratch/a" --recipe "$scratch/better.yaml"
expect_code 0
expect_out 'a table of shape [2], 240 training samples, 2 classes of 120 to 120'
expect_out 'multi-layer perceptron'
expect_out 'underfitting'
expect_out '--set model.parameters.hidden='
for file in advice.json report.html; do
    [ -s "$scratch/a/$file" ] || fault "advise did not write $file"
done
grep -q '<svg' "$scratch/a/report.html" || fault 'the report shows no curves'
grep -q 'hidden: [0-9][0-9]*' "$scratch/better.yaml" || fault 'the changed recipe has no capacity'
! grep -q 'hidden: 1,' "$scratch/better.yaml" || fault 'the recipe was not changed'
run "$NACRE" train "$scratch/better.yaml" -o "$scratch/run" --quiet
expect_code 0

# Data alone.
run "$NACRE" advise "$scratch/rings.csv" -o "$scratch/b" --json --quiet --set training.epochs=3 \
    --set 'target={accuracy: 0.1}' --recipe "$scratch/first.yaml"
expect_code 0
expect_out '"diagnosis":'
expect_out '"kind":"a table"'
expect_no_err
grep -q 'zoo: mlp' "$scratch/first.yaml" || fault 'no recipe was suggested'

# What it refuses.
run "$NACRE" advise "$scratch/small.yaml" -o "$scratch/none" --folds 300
expect_code 1
expect_err 'at most 20 folds'
run "$NACRE" advise "$scratch/nothing.csv" -o "$scratch/none"
expect_code 1
expect_err 'nothing.csv'
run "$NACRE" advise "$scratch/small.yaml" -o "$scratch/none" --samples 2
expect_code 1
expect_err '3 folds asked for, but there are only 2 samples'
[ ! -e "$scratch/none" ] || fault 'advice that cannot be leaves a folder'
finish
