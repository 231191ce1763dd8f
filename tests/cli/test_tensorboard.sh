#!/bin/sh
# A real TensorBoard serves what a run writes: scalars and histograms by its HTTP interface. $NACRE_TENSORBOARD names the
# program, else it is looked for in PATH; skipped where there is none, or no curl.
. "$NACRE_SOURCE/tests/expect.sh"
unset NACRE_DATA
board=${NACRE_TENSORBOARD:-$(command -v tensorboard)}
[ -x "$board" ] && command -v curl >/dev/null || exit 77

run "$NACRE" train "$NACRE_SOURCE/tests/cli/tiny.yaml" -o "$scratch/run" --quiet --set output.tensorboard=true \
    --set output.histograms=true --set output.log_every=2
expect_code 0
"$board" --logdir "$scratch/run" --host 127.0.0.1 --port 0 >"$scratch/said" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null; rm -rf "$scratch"' EXIT

# It says its address when it is ready, and has read the files some time later.
get() { curl -sf --max-time 20 "$address/data/plugin/$1" >"$scratch/out" && line=$1; }
loaded=false
for _ in $(seq 120); do
    sleep 0.5
    address=$(sed -n 's|.*\(http://127[^/ ]*\).*|\1|p' "$scratch/said" | head -n 1)
    [ -n "$address" ] && get scalars/tags && grep -q 'validation/accuracy' "$scratch/out" && loaded=true && break
    kill -0 $server 2>/dev/null || break
done
$loaded || fault "TensorBoard served no scalars: $(cat "$scratch/said")"
for tag in train/loss validation/loss validation/accuracy learning_rate batch/loss; do expect_out "$tag"; done

# One point an epoch; the last is what the log says.
epochs=$(grep -c '"event":"epoch"' "$scratch/run/log.jsonl")
get 'scalars/scalars?tag=validation/loss&run=tensorboard' || fault 'there is no series of validation losses'
[ "$(grep -o '\[' "$scratch/out" | wc -l)" -eq $((epochs + 1)) ] || fault "$epochs epochs, but: $(cat "$scratch/out")"
get histograms/tags || fault 'there are no histograms'
expect_out 'weights/'
finish
