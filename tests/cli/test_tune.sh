#!/bin/sh
# nacre tune: its table, its files, the same search again, killed and resumed, and what it refuses.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm # in memory: there are many small files
. "$NACRE_SOURCE/tests/expect.sh"
recipe=$NACRE_SOURCE/tests/cli/tiny.yaml
unset NACRE_DATA

# search.sh FOLDER [OPTION...]: nine settings over three rungs.
cat >"$scratch/search.sh" <<'END'
folder=$1
shift
exec "$NACRE" tune "$NACRE_SOURCE/tests/cli/tiny.yaml" -o "$folder" --quiet -n 9 --set training.epochs=4 \
    --set tune.reduction=2 --set 'target={accuracy: 0.1}' \
    --range optimizer.learning_rate=1e-3..1e-1:log --range training.batch_size=16,32 "$@"
END
export NACRE NACRE_SOURCE
# The log without what depends on the clock.
timeless() {
    sed 's/"time":[^,]*,//; s/"seconds":[^,}]*,\{0,1\}//' "$1/tune.jsonl"
}

run sh "$scratch/search.sh" "$scratch/a"
expect_code 0
expect_out 'optimizer.learning_rate'
expect_out 'best of 9 trials'
expect_no_err
for file in tune.jsonl best.yaml parallel.png trial-1/model.safetensors; do
    [ -s "$scratch/a/$file" ] || [ "$file" = parallel.png ] || fault "tune did not write $file"
done
run "$NACRE" train "$scratch/a/best.yaml" -o "$scratch/best" --quiet
expect_code 0

run sh "$scratch/search.sh" "$scratch/b" --json --set output.report=true
expect_code 0
expect_out '{"best":{"settings":{"optimizer.learning_rate":"'
[ -s "$scratch/b/report.html" ] || fault 'tune did not write report.html'
timeless "$scratch/a" >"$scratch/a.log"
timeless "$scratch/b" >"$scratch/b.log"
cmp -s "$scratch/a.log" "$scratch/b.log" || fault 'two searches with one seed differ'
run sh "$scratch/search.sh" "$scratch/c" --set tune.seed=1
expect_code 0
timeless "$scratch/c" >"$scratch/c.log"
! cmp -s "$scratch/a.log" "$scratch/c.log" || fault 'another seed makes no difference'

# Killed at any moment.
for round in 1 2 3; do
    folder=$scratch/killed$round
    resume=
    for part in 1 2 3 4; do
        # shellcheck disable=SC2086
        sh "$scratch/search.sh" "$folder" $resume >/dev/null 2>&1 &
        victim=$!
        sleep "0.$part$round"
        kill -9 "$victim" 2>/dev/null
        wait "$victim" 2>/dev/null
        resume=--resume
    done
    run sh "$scratch/search.sh" "$folder" --resume
    expect_code 0
    timeless "$folder" >"$scratch/killed.log"
    cmp -s "$scratch/a.log" "$scratch/killed.log" || fault "round $round: killed and resumed, another search"
    cmp -s "$scratch/a/best.yaml" "$folder/best.yaml" || fault "round $round: killed and resumed, another best recipe"
    for trial in "$scratch"/a/trial-*; do
        cmp -s "$trial/model.safetensors" "$folder/${trial##*/}/model.safetensors" ||
            fault "round $round: killed and resumed, other bits in ${trial##*/}"
    done
    [ -z "$(find "$folder" -name '*.tmp')" ] || fault "round $round: left $(find "$folder" -name '*.tmp')"
done

# What it refuses.
run "$NACRE" tune "$recipe" -o "$scratch/none"
expect_code 1
expect_err "'tune.ranges' is missing"
run "$NACRE" tune "$recipe" -o "$scratch/none" --range optimizer.learning_rat=1e-3..1e-1
expect_code 1
expect_err "did you mean 'optimizer.learning_rate'?"
run "$NACRE" tune "$recipe" -o "$scratch/none" --range optimizer.learning_rate=1..0.1
expect_code 1
expect_err 'the low end must be below the high end'
[ ! -e "$scratch/none" ] || fault 'a search that cannot be leaves a folder'
finish
