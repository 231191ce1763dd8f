#!/bin/sh
# nacre train and evaluate given what they cannot use: a message that names the place, exit code 1, and nothing half
# written. Wrong usage is exit code 2.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm # in memory: there are many small files
. "$NACRE_SOURCE/tests/expect.sh"
unset NACRE_DATA
recipe=$NACRE_SOURCE/tests/cli/tiny.yaml

# fails MESSAGE ARGUMENTS...: training fails with this message before anything is written.
fails() {
    message=$1
    shift
    run "$NACRE" train "$@" -o "$scratch/never"
    expect_code 1
    expect_err "$message"
    expect_no_out
    [ ! -e "$scratch/never" ] || fault "$line: left $(ls -A "$scratch/never")"
}
# changed SED-SCRIPT: the recipe, changed.
changed() {
    sed "$1" "$recipe" >"$scratch/changed.yaml"
    ! cmp -s "$recipe" "$scratch/changed.yaml" || fault "'$1' changes nothing"
}

# ---- recipes and data ----

fails "cannot read '$scratch/none.yaml': No such file or directory" "$scratch/none.yaml"
fails "mnist is not in '$scratch/data'" "$recipe" --set data.source=mnist --data "$scratch/data"
fails "did you mean 'glyphs'" "$recipe" --set data.source=glyps
changed 's/batch_size/bacth_size/'
fails "changed.yaml:34: unknown key 'training.bacth_size'; did you mean 'training.batch_size'?" "$scratch/changed.yaml"
fails "did you mean 'training.epochs'?" "$recipe" --set training.epoch=3
fails "'training.epochs'" "$recipe" --set training.epochs=0
fails "'training.accumulate'" "$recipe" --set training.accumulate=20
fails "'auc' is not among training.metrics" "$recipe" --set 'target={auc: 0.9}'
printf 'a,b,class\n1,2,x\n3,4,y\n5,,x\n' >"$scratch/holes.csv"
fails 'holes.csv' "$recipe" --set data.source="$scratch/holes.csv" --set data.transforms=[]
printf '\0\0\010\003\0\0\0\002\0\0\0\002\0\0\0\002' >"$scratch/train-images-idx3-ubyte"
printf '\0\0\010\001\0\0\0\002\001\002' >"$scratch/train-labels-idx1-ubyte"
fails 'train-images-idx3-ubyte' "$recipe" --set data.source="$scratch"

# ---- model texts ----

changed 's/flatten(h)/flaten(h)/'
fails "model.text:7: unknown layer or operation 'flaten'; did you mean 'flatten'?" "$scratch/changed.yaml"
changed 's/bias=false/bais=false/'
fails "model.text:3: conv2d: there is no attribute 'bais'; did you mean 'bias'?" "$scratch/changed.yaml"
changed 's/max_pool(h, 2)/softmax(h, axis=9)/'
fails 'model.text:6: softmax' "$scratch/changed.yaml"
changed 's/1, 8, 8/1, 9, 8/'
fails "model.text:2: input 'x' is f32[N, 1, 9, 8] here, got f32[1, 1, 8, 8]" "$scratch/changed.yaml"
changed 's/resize(8)/resize(9)/'
fails "model.text:2: input 'x' is f32[N, 1, 8, 8] here, got f32[1, 1, 9, 9]" "$scratch/changed.yaml"
changed 's/h = flatten(h)/h = matmul(h, conv1)/'
fails 'model.text:7: matmul' "$scratch/changed.yaml"
changed 's/classes=10/classes=5/'
fails 'the model gives 5 outputs for 10 classes' "$scratch/changed.yaml"
changed 's/    end/    edn/'
fails 'model.text:' "$scratch/changed.yaml"
changed '/text: |/,/ end$/c\  zoo: lennet'
fails "did you mean \"lenet\"?" "$scratch/changed.yaml"

# ---- a rate that diverges ----

run "$NACRE" train "$recipe" -o "$scratch/kept" --quiet
expect_code 0
cp "$scratch/kept/model.safetensors" "$scratch/old.safetensors"
changed '/text: |/,/ end$/c\  zoo: mlp\n  parameters: {hidden: 16}'
run "$NACRE" train "$scratch/changed.yaml" -o "$scratch/kept" --quiet --set optimizer.name=sgd \
    --set optimizer.learning_rate=1e30 --set schedule.name=constant --set schedule.warmup_epochs=0
expect_code 1
expect_err 'the loss is not finite (epoch 1, batch 2, learning rate 1e+30): first in matmul "fc2"'
expect_no_out
cmp -s "$scratch/old.safetensors" "$scratch/kept/model.safetensors" || fault 'a run that diverged has changed the model'
[ -z "$(find "$scratch/kept" -name '*.tmp')" ] || fault 'a run that diverged left temporary files'

# ---- folders and disks ----

: >"$scratch/file"
run "$NACRE" train "$recipe" -o "$scratch/file/run" --quiet
expect_code 1
expect_err "cannot create folder '$scratch/file': Not a directory"
expect_no_out

# As somebody who may not write there. Root may write anywhere, and becomes nobody for this.
mkdir "$scratch/closed"
cp "$recipe" "$scratch/recipe.yaml"
chmod 755 "$scratch"
chmod 555 "$scratch/closed"
nobody=
[ "$(id -u)" -ne 0 ] || nobody='setpriv --reuid 65534 --regid 65534 --clear-groups'
# shellcheck disable=SC2086
if $nobody test -x "$NACRE" -a ! -w "$scratch/closed" 2>/dev/null; then
    run $nobody "$NACRE" train "$scratch/recipe.yaml" -o "$scratch/closed/run" --quiet
    expect_code 1
    expect_err "cannot create folder '$scratch/closed/run': Permission denied"
    expect_no_out
    run $nobody "$NACRE" train "$scratch/recipe.yaml" -o "$scratch/closed" --quiet
    expect_code 1
    expect_err "$scratch/closed/.lock': Permission denied"
    [ -z "$(ls -A "$scratch/closed")" ] || fault "a folder without permission has $(ls -A "$scratch/closed")"
fi

# A file may not grow beyond so many blocks of 512 bytes: the model fits but the checkpoint does not; neither fits.
for blocks in 16 1; do
    rm -rf "$scratch/limited"
    cp -r "$scratch/kept" "$scratch/limited"
    run sh -c "trap '' XFSZ; ulimit -f $blocks; exec \"\$0\" train \"\$@\"" "$NACRE" "$recipe" -o "$scratch/limited" --quiet
    expect_code 1
    expect_err "cannot "
    expect_err 'File too large'
    [ -z "$(find "$scratch/limited" -name '*.tmp')" ] || fault "$blocks blocks: temporary files remain"
    run "$NACRE" evaluate "$scratch/limited/model.safetensors"
    expect_code 0
done

# A disk that is full, where this user may make one. With room for the model but not for the checkpoint, the run fails,
# the model stays whole, and goes on once there is room.
cat >"$scratch/full.sh" <<'END'
mount -t tmpfs -o size=28k none "$2" || exit 77
code=0
"$NACRE" train "$1" -o "$2/run" --quiet --set optimizer.name=adam || code=$?
find "$2" -name '*.tmp'
mount -o remount,size=1m "$2"
"$NACRE" train "$1" -o "$2/run" --quiet --set optimizer.name=adam --resume || exit 78
cp "$2/run/model.safetensors" "$3"
exit $code
END
mkdir "$scratch/disk"
run env NACRE="$NACRE" unshare --mount sh "$scratch/full.sh" "$recipe" "$scratch/disk" "$scratch/after.safetensors"
if [ "$code" -ne 77 ] && [ "$code" -ne 127 ] && [ -s "$scratch/after.safetensors" ]; then
    expect_code 1
    expect_err 'No space left on device; free some space or choose another folder'
    ! grep -q '\.tmp$' "$scratch/out" || fault 'a full disk leaves temporary files'
    run "$NACRE" train "$recipe" -o "$scratch/roomy" --quiet --set optimizer.name=adam
    cmp -s "$scratch/roomy/model.safetensors" "$scratch/after.safetensors" || fault 'after the disk was full: other bits'
fi

if [ -w /dev/full ]; then
    run sh -c '"$0" train "$1" -o "$2" --json --quiet >/dev/full' "$NACRE" "$recipe" "$scratch/unheard"
    expect_code 1
    expect_err 'cannot write to standard output'
fi

# ---- wrong usage ----

run "$NACRE" train
expect_code 2
expect_err 'RECIPE is missing'
run "$NACRE" train "$recipe" --rseume
expect_code 2
expect_err "did you mean '--resume'?"
run "$NACRE" train "$recipe" --seed many
expect_code 2
run "$NACRE" evaluate "$scratch/old.safetensors" --part tests
expect_code 2
expect_err "did you mean 'test'?"
run "$NACRE" evaluate "$scratch/none.safetensors"
expect_code 1
expect_err 'No such file or directory'
run "$NACRE" evaluate "$scratch/old.safetensors" --recipe "$scratch/none.yaml"
expect_code 1
expect_err 'none.yaml'
finish
