#!/bin/sh
# nacre find-lr: suggestions, no side effects, and learning_rate: auto.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "$NACRE_SOURCE/tests/expect.sh"
unset NACRE_DATA
recipe=$NACRE_SOURCE/tests/cli/tiny.yaml
cd "$scratch" || exit 1

# Twice find-lr, then train: the same bits as train alone; and nothing lies about afterwards.
run "$NACRE" train "$recipe" -o alone --quiet
expect_code 0
mkdir clean && cd clean || exit 1
for _ in 1 2; do
    run "$NACRE" find-lr "$recipe"
    expect_code 0
    expect_out 'valley'
    expect_out 'nacre train'
    cp "$scratch/out" "$scratch/found"
done
[ -z "$(ls -A)" ] || fault "find-lr left files: $(ls -A)"
cd .. || exit 1
run "$NACRE" train "$recipe" -o after --quiet
expect_code 0
cmp -s alone/model.safetensors after/model.safetensors || fault 'find-lr changed the run that came after it'

# The same search again says the same.
run "$NACRE" find-lr "$recipe"
cmp -s out found || fault 'two searches differ'

# Numbers and a picture.
run "$NACRE" find-lr "$recipe" --json -p curve.png
expect_code 0
expect_out '"valley":'
expect_out '"minimum_tenth":'
head -c 4 curve.png | grep -q PNG || fault 'curve.png is no PNG'

# auto takes the valley and says so; a run that was interrupted finds it again.
run "$NACRE" train "$recipe" -o auto -s optimizer.learning_rate=auto
expect_code 0
expect_err 'found as the valley'
run "$NACRE" train "$recipe" -o again --quiet -s optimizer.learning_rate=auto
cmp -s auto/model.safetensors again/model.safetensors || fault 'auto is not the same twice'

run "$NACRE" find-lr "$recipe" --steps 5
expect_code 1
expect_err '20 steps or more'
run "$NACRE" find-lr "$recipe" --from 1 --to 0.1
expect_code 1
finish
