#!/bin/sh
# nacre train and evaluate: what they print and write, the same bits again, killed and resumed runs, one run per folder.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm # in memory: there are many small files
. "$NACRE_SOURCE/tests/expect.sh"
recipe=$NACRE_SOURCE/tests/cli/tiny.yaml
unset NACRE_DATA

# number FILE KEY: the value of the first "KEY": in the last line of a file.
number() {
    tail -n 1 "$1" | sed -n 's/.*"'"$2"'":\([-+.0-9e]*\).*/\1/p'
}
# is EXPRESSION: true in awk's eyes.
is() {
    awk "BEGIN { exit !($1) }"
}
# A number from 1 to $1.
random() {
    od -An -N2 -tu2 /dev/urandom | awk -v limit="$1" '{ print 1 + $1 % limit }'
}
expect_no_temporaries() {
    [ -z "$(find "$1" -name '*.tmp')" ] || fault "$line: left $(find "$1" -name '*.tmp')"
}

# ---- results ----

run "$NACRE" train "$recipe" -o "$scratch/a" --json --set output.report=true
expect_code 0
expect_err 'epoch 4/4'
[ "$(wc -l <"$scratch/out")" -eq 1 ] || fault 'train --json prints more than its object'
accuracy=$(number "$scratch/out" accuracy)
is "${accuracy:-2} >= 0.2 && ${accuracy:-2} <= 1" || fault "metrics.test.accuracy is '$accuracy'"
expect_out '{"metrics":{"test":{"loss":'
[ "$(number "$scratch/out" seed)" = 1 ] || fault 'the seed is not in the object'
[ "$(number "$scratch/out" parameters)" = 694 ] || fault 'the parameters are not in the object'
is "$(number "$scratch/out" seconds) > 0" || fault 'the seconds are not in the object'
is "$(number "$scratch/out" steps) == 60" || fault 'there were not 60 steps'
for file in model.safetensors last.safetensors log.jsonl report.html; do
    [ -s "$scratch/a/$file" ] || fault "train did not write $file"
done
grep -q '<svg' "$scratch/a/report.html" || fault 'the report shows no curves'
! grep -q 'https\{0,1\}://[^"]*\.\(js\|css\)' "$scratch/a/report.html" || fault 'the report needs a network'
expect_no_temporaries "$scratch/a"

run "$NACRE" evaluate "$scratch/a/model.safetensors" --json
expect_code 0
[ "$(number "$scratch/out" accuracy)" = "$accuracy" ] || fault 'evaluate disagrees with train'
[ "$(number "$scratch/out" samples)" = 40 ] || fault 'evaluate did not see 40 samples'
[ "$(number "$scratch/out" parameters)" = 694 ] || fault 'the parameters are not in the object'
is "$(number "$scratch/out" seconds) > 0" || fault 'the seconds are not in the object'
expect_no_err

# The saved weights are those of the best epoch.
run "$NACRE" evaluate "$scratch/a/model.safetensors" --part validation --json
expect_code 0
expect_out '{"metrics":{"validation":{'
best=$(sed 's/.*"validation.accuracy":\([.0-9e-]*\).*/\1/' "$scratch/a/log.jsonl" | sort -g | tail -n 1)
is "$(number "$scratch/out" accuracy) == $best" || fault "evaluate on validation is not the best of the log, $best"
run "$NACRE" evaluate "$scratch/a/model.safetensors" --part train
expect_code 0
expect_out '(240 samples'

# ---- the same bits ----

for run in b c; do
    run "$NACRE" train "$recipe" -o "$scratch/$run" --quiet
    expect_code 0
    expect_out 'best epoch'
    expect_no_err
done
cmp -s "$scratch/b/model.safetensors" "$scratch/c/model.safetensors" || fault 'two runs with one seed differ'
run "$NACRE" train "$recipe" -o "$scratch/d" --quiet --seed 2
expect_code 0
! cmp -s "$scratch/b/model.safetensors" "$scratch/d/model.safetensors" || fault 'another seed makes no difference'

# ---- killed and resumed ----

for round in 1 2 3; do
    folder=$scratch/killed$round
    resume=
    for _ in 1 2 3; do
        # shellcheck disable=SC2086
        "$NACRE" train "$recipe" -o "$folder" --quiet $resume >/dev/null 2>&1 &
        victim=$!
        sleep "0.$(random 3)"
        kill -9 "$victim" 2>/dev/null
        wait "$victim" 2>/dev/null
        resume=--resume
    done
    run "$NACRE" train "$recipe" -o "$folder" --resume
    expect_code 0
    cmp -s "$scratch/b/model.safetensors" "$folder/model.safetensors" || fault "round $round: killed and resumed, other bits"
    [ "$(wc -l <"$folder/log.jsonl")" -eq 4 ] || fault "round $round: the log does not have its 4 epochs"
    expect_no_temporaries "$folder"
done

# Ctrl-C: the run stops by itself and says how to go on. (A shell's background commands do not hear it.)
cat >"$scratch/interrupted.sh" <<'END'
"$NACRE" train "$1" -o "$2" --set training.epochs=4000 &
child=$!
while [ ! -s "$2/last.safetensors" ]; do sleep 0.05; done
kill -TERM "$child"
wait "$child"
END
run env NACRE="$NACRE" sh "$scratch/interrupted.sh" "$recipe" "$scratch/interrupted"
expect_code 1
expect_out 'go on with --resume'
[ -s "$scratch/interrupted/last.safetensors" ] || fault 'an interrupted run has no checkpoint'
expect_no_temporaries "$scratch/interrupted"

# Going on where there is nothing yet begins; going on under another recipe is said.
run "$NACRE" train "$recipe" -o "$scratch/new" --resume
expect_code 0
expect_err 'the run begins anew'
cmp -s "$scratch/b/model.safetensors" "$scratch/new/model.safetensors" || fault 'resume without a checkpoint: other bits'
run "$NACRE" train "$recipe" -o "$scratch/new" --resume --set optimizer.learning_rate=0.01
expect_code 0
expect_err 'was made with another nacre.recipe'
run "$NACRE" train "$recipe" -o "$scratch/new" --resume --set training.batch_size=8
expect_code 1
expect_err 'was made with seed 1, batch size 16'

# ---- one run per folder ----

"$NACRE" train "$recipe" -o "$scratch/shared" --quiet --set training.epochs=4000 >/dev/null 2>&1 &
first=$!
while [ ! -s "$scratch/shared/last.safetensors" ]; do sleep 0.05; done
run "$NACRE" train "$recipe" -o "$scratch/shared"
expect_code 1
expect_err "is in use by process $first"
expect_no_out
kill -9 "$first"
wait "$first" 2>/dev/null
run "$NACRE" train "$recipe" -o "$scratch/shared" --quiet
expect_code 0
cmp -s "$scratch/b/model.safetensors" "$scratch/shared/model.safetensors" || fault 'a fresh run in a used folder: other bits'

# ---- cross-validation ----

run "$NACRE" train "$recipe" -o "$scratch/folds" --folds 3
expect_code 0
expect_err 'fold 3/3'
expect_out '3 folds, mean ± standard deviation:'
for file in folds.json fold-1/model.safetensors fold-3/log.jsonl; do
    [ -s "$scratch/folds/$file" ] || fault "train --folds did not write $file"
done
run "$NACRE" train "$recipe" -o "$scratch/folds" --folds 3 --resume --json
expect_code 0
expect_out '"deviation":{"loss":'
run "$NACRE" train "$recipe" -o "$scratch/none" --folds 4000
expect_code 1
expect_err '4000 folds asked for, but there are only 240 samples'
[ ! -e "$scratch/none" ] || fault 'folds that cannot be leave a folder'

# ---- before a long run ----

run "$NACRE" train "$recipe" -o "$scratch/dry" --dry-run
expect_code 0
expect_out 'conv1  conv                  [16, 4, 8, 8]            36'
expect_out 'activations'
expect_out 'samples/s'
expect_out 'Nothing was trained and nothing written.'
[ ! -e "$scratch/dry" ] || fault 'a dry run wrote something'
run "$NACRE" train "$recipe" -o "$scratch/dry" --dry-run --json
expect_code 0
is "$(number "$scratch/out" steps_per_epoch) == 15" || fault 'the steps of an epoch are not in the object'
is "$(number "$scratch/out" step_seconds) > 0" || fault 'the time of a step is not in the object'
expect_out '"transfers_per_step":{"borrowed_bytes":4224'
run "$NACRE" train "$recipe" -o "$scratch/dry" --overfit 16
expect_code 0
expect_out 'The model can learn'
run "$NACRE" train "$recipe" -o "$scratch/dry" --overfit 16 --set optimizer.learning_rate=1e-12
expect_code 1
expect_out 'The model cannot learn them as the recipe has it: the loss hardly moves'
run "$NACRE" train "$recipe" -o "$scratch/dry" --overfit 0
expect_code 1
expect_err 'at least one sample'
[ ! -e "$scratch/dry" ] || fault 'overfitting wrote something'

# ---- logs for others ----

run "$NACRE" train "$recipe" -o "$scratch/logs" --quiet --set output.csv=true --set output.tensorboard=true \
    --set output.keep_best=2 --set output.log_every=5
expect_code 0
[ "$(wc -l <"$scratch/logs/metrics.csv")" -eq 5 ] || fault 'metrics.csv does not have a header and 4 rows'
[ "$(find "$scratch/logs/checkpoints" -name 'epoch-*-accuracy-*.safetensors' | wc -l)" -eq 2 ] ||
    fault 'there are not two kept models'
kept=$(find "$scratch/logs/checkpoints" -name 'epoch-*' | sort | head -n 1)
run "$NACRE" evaluate "$kept" --part validation --json
expect_code 0
wanted=$(echo "$kept" | sed 's/.*accuracy-\([0-9.]*\)[.]safetensors/\1/')
is "$(number "$scratch/out" accuracy) - $wanted < 1e-6" || fault "$kept does not measure what its name says"
[ -s "$scratch/logs/tensorboard/events.out.tfevents.nacre" ] || fault 'there is no event file'
# ---- where the time goes ----

run "$NACRE" train "$recipe" -o "$scratch/profiled" --quiet --profile
expect_code 0
expect_out 'GFLOP/s'
expect_out 'ceilings:'
grep -q '"traceEvents"' "$scratch/profiled/trace.json" || fault 'train --profile wrote no time line'
run "$NACRE" train "$recipe" -o "$scratch/folds" --folds 3 --profile
expect_code 2

# ---- figures to reach ----

run "$NACRE" train "$recipe" -o "$scratch/target" --quiet --require-target --set 'target={accuracy: 0.1}'
expect_code 0
run "$NACRE" train "$recipe" -o "$scratch/target" --quiet --require-target --set 'target={f1_macro: 0.999}'
expect_code 1
expect_out 'target for f1_macro was not reached'
finish
