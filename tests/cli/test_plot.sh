#!/bin/sh
# nacre plot: schedules as pictures and numbers, and what cannot be.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm
. "$NACRE_SOURCE/tests/expect.sh"
unset NACRE_DATA
recipe=$NACRE_SOURCE/tests/cli/tiny.yaml
plain="-s schedule.warmup_epochs=0"

# 240 glyphs in batches of 16, four epochs: 60 updates. A picture and a few numbers, or all numbers.
# shellcheck disable=SC2086 # $plain is two words
run "$NACRE" plot schedule "$recipe" $plain -s schedule.name=one_cycle -o "$scratch/a.png"
expect_code 0
expect_out 'largest'
expect_out 'momentum'
head -c 4 "$scratch/a.png" | grep -q PNG || fault 'a.png is no PNG'
# shellcheck disable=SC2086
run "$NACRE" plot schedule "$recipe" $plain -s schedule.name=constant -o "$scratch/a.svg" --json
expect_code 0
expect_out '"updates":'
expect_out '"learning_rate":[0.02,0.02'
grep -q '<svg' "$scratch/a.svg" || fault 'a.svg is no SVG'

# Impossible schedules: one clear error, before anything is trained.
refused() {
    run "$NACRE" train "$recipe" -o "$scratch/none" --quiet -s schedule.warmup_epochs=0 -s "$1" ${2:+-s "$2"}
    expect_code 1
    expect_err "$3"
    [ ! -e "$scratch/none/last.safetensors" ] || fault "$1: it was trained"
}
refused schedule.name=one_cycle schedule.pct_start=1 "'schedule.pct_start' must be a number above 0"
refused schedule.name=one_cycle schedule.pct_start=0 "'schedule.pct_start' must be a number above 0"
refused schedule.name=one_cycle schedule.pct_start=0.01 'which must be more than 1'
refused schedule.name=noam '' 'noam needs warm-up steps'
refused schedule.name=multistep '' 'multistep needs milestones'
refused schedule.gamma=-0.5 schedule.name=step 'gamma must be positive'
refused optimizer.learning_rate=-1 '' "'optimizer.learning_rate' must be a number above 0"
refused schedule.min_rate=-1 '' "'schedule.min_rate' must be"
refused schedule.warmup_steps=1000 '' 'does not fit a run of'

# Groups of parameters that are none.
refused 'optimizer.groups={"conv2.*": {rate: 2}}' '' '"conv2.*" fits no parameter; there is "conv1.weight"'
refused 'optimizer.groups={"*": {rate: 2}, "fc.*": {frozen: true}}' '' '"fc.*" is empty'
refused 'optimizer.groups={"fc.*": {speed: 2}}' '' 'may have a rate'

run "$NACRE" plot schedule
expect_code 2
run "$NACRE" plot schedule "$recipe" --metric loss
expect_code 2

# ---- runs ----

for rate in 0.02 0.002; do
    run "$NACRE" train "$recipe" -o "$scratch/runs/$rate" --quiet --set "optimizer.learning_rate=$rate"
    expect_code 0
done
run "$NACRE" plot "$scratch/runs/0.02" "$scratch/runs/0.002/log.jsonl" -o "$scratch/runs.png"
expect_code 0
expect_out 'run                  loss            accuracy'
expect_out '0.002'
expect_out "picture  $scratch/runs.png"
[ -s "$scratch/runs.png" ] || fault 'there is no picture'
run "$NACRE" plot "$scratch/runs/0.02/" "$scratch/runs/0.002" -o "$scratch/runs.svg" --json --x step --metric f1_macro
expect_code 0
expect_out '{"runs":[{"name":"0.02","best":{"f1_macro":{"value":0.'
[ "$(grep -c '<svg' "$scratch/runs.svg")" -eq 1 ] || fault 'one panel is more than one picture'
run "$NACRE" plot "$scratch/runs/0.02" "$scratch/runs/0.002" -o "$scratch/runs.svg" --metric loss --metric learning_rate
expect_code 0
[ "$(grep -c '<svg' "$scratch/runs.svg")" -eq 3 ] || fault 'two panels are not two pictures in one'
run "$NACRE" plot nonsense
expect_code 1
expect_err "cannot read 'nonsense'"
run "$NACRE" plot "$scratch/runs/0.02" --metric nonsense -o "$scratch/none.png"
expect_code 1
expect_err "no run has logged 'nonsense'"
[ ! -e "$scratch/none.png" ] || fault 'a picture of nothing was written'
run "$NACRE" plot "$scratch/runs/0.02" -o "$scratch/runs.gif"
expect_code 1
expect_err 'ends neither in .svg nor .png'
run "$NACRE" plot a b c d e f g h i
expect_code 2
finish
