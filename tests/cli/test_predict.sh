#!/bin/sh
# nacre predict: pictures and folders in, labels and probabilities out, from the saved file alone and as evaluate says.
[ ! -w /dev/shm ] || export TMPDIR=/dev/shm # in memory: there are many small files
. "$NACRE_SOURCE/tests/expect.sh"
unset NACRE_DATA
recipe=$NACRE_SOURCE/tests/cli/tiny.yaml

run "$NACRE" train "$recipe" -o "$scratch/run" --quiet
expect_code 0
run "$NACRE" data export glyphs --count 30 --output "$scratch/digits" --quiet
expect_code 0
mkdir "$scratch/elsewhere"
cp "$scratch/run/model.safetensors" "$scratch/elsewhere/m.safetensors"
rm -r "$scratch/run"
cd "$scratch/elsewhere" || exit 1
model=m.safetensors

# One line a picture: path, tab, label, probability.
one=$(find "$scratch/digits/3" -name "*.png" | sort | head -n 1)
run "$NACRE" predict $model "$one"
expect_code 0
expect_no_err
tab=$(printf '\t')
grep -qE "^$one${tab}[0-9] [01]\.[0-9]{4}\$" "$scratch/out" || fault "predict printed: $(cat "$scratch/out")"

run "$NACRE" predict $model "$scratch/digits"
expect_code 0
[ "$(wc -l <"$scratch/out")" -eq 30 ] || fault 'predict did not print a line for each of 30 pictures'
cut -f 1 "$scratch/out" | while read -r path; do [ -f "$path" ] || echo "$path"; done >"$scratch/missing"
[ ! -s "$scratch/missing" ] || fault "predict names files that are not there: $(head -n 1 "$scratch/missing")"
right=$(awk -F'\t' '{ n = split($1, path, "/"); split($2, answer, " "); right += path[n - 1] == answer[1] }
    END { print right + 0 }' "$scratch/out")
cp "$scratch/out" "$scratch/all"
[ "$right" -ge 6 ] || fault "only $right of 30 labels are right; chance gives 3"

# A file and a folder together; other batch sizes change nothing.
run "$NACRE" predict $model "$one" "$scratch/digits/7"
expect_code 0
[ "$(wc -l <"$scratch/out")" -eq 4 ] || fault 'a picture and a folder of three are not four lines'
run "$NACRE" predict $model --batch-size 7 "$scratch/digits"
expect_code 0
cut -f 1,2 "$scratch/out" | cut -d ' ' -f 1 >"$scratch/labels"
cut -f 1,2 "$scratch/all" | cut -d ' ' -f 1 | cmp -s - "$scratch/labels" || fault 'the batch size changes labels'

# The labels are those that evaluate counts.
cat >pictures.yaml <<END
data: {source: $scratch/digits, test: 0, validation: 0}
model: {zoo: mlp}
END
run "$NACRE" evaluate $model --recipe pictures.yaml --part train --json
expect_code 0
accuracy=$(sed -n 's/.*"accuracy":\([-+.0-9e]*\).*/\1/p' "$scratch/out")
awk "BEGIN { d = $right / 30 - ${accuracy:-9}; exit !(d * d < 1e-12) }" ||
    fault "predict is right on $right of 30, evaluate says $accuracy"

# Probabilities: the best first, and all ten make one.
run "$NACRE" predict $model --top 10 --json "$one"
expect_code 0
[ "$(wc -l <"$scratch/out")" -eq 1 ] || fault 'predict --json prints more than its array'
grep -o '"probability":[-+.0-9e]*' "$scratch/out" | cut -d : -f 2 >"$scratch/probabilities"
awk '{ sum += $1 } NR > 1 && $1 > last { exit 1 } { last = $1 } END { if (NR != 10 || sum < 0.9999 || sum > 1.0001) exit 1 }' \
    "$scratch/probabilities" || fault "ten probabilities: $(tr '\n' ' ' <"$scratch/probabilities")"

# ---- what goes wrong ----

run "$NACRE" predict $model
expect_code 2
expect_err 'PICTURE is missing'
run "$NACRE" predict $model --topp 3 "$one"
expect_code 2
expect_err "did you mean '--top'?"
run "$NACRE" predict $model --top 0 "$one"
expect_code 2
run "$NACRE" predict none.safetensors "$one"
expect_code 1
expect_err "cannot read 'none.safetensors': No such file or directory"
run "$NACRE" predict "$one" "$one"
expect_code 1
expect_err "$one"
run "$NACRE" predict $model none.png
expect_code 1
expect_err "cannot read 'none.png'"
mkdir empty
run "$NACRE" predict $model empty
expect_code 1
expect_no_out
printf 'not a picture' >text.png
run "$NACRE" predict $model text.png
expect_code 1
expect_err 'text.png'
expect_no_out
head -c 100 "$one" >cut.png
run "$NACRE" predict $model cut.png
expect_code 1
expect_err 'cut.png'
expect_no_out

# Pictures of another size than the model takes, where the transforms do not even them out.
run "$NACRE" train "$recipe" -o fixed --quiet --set model.text=null \
    --set 'model={zoo: mlp, parameters: {hidden: 8}}' --set 'data.transforms=[scale(1/255)]' --set training.epochs=1
expect_code 0
printf 'P5 4 4 255\n0123456789abcdef' >small.pgm
run "$NACRE" predict fixed/model.safetensors small.pgm
expect_code 1
expect_err 'the model takes "image" of shape [1, 28, 28], the data gives "image" of shape [1, 4, 4]'
expect_no_out
run "$NACRE" predict fixed/model.safetensors "$one" small.pgm
expect_code 1
expect_err "small.pgm: \"image\" is [1, 4, 4], but the first sample's is [1, 28, 28]"
run "$NACRE" predict $model "$one" small.pgm
expect_code 1
expect_err 'small.pgm: random_crop: 28 x 28 is larger than the image, 4 x 4'

# A saved model that was cut or changed says so.
size=$(wc -c <$model)
head -c $((size / 2)) $model >cut.safetensors
cp $model flipped.safetensors
printf '\377' | dd of=flipped.safetensors bs=1 seek=$((size - 9)) conv=notrunc 2>/dev/null
for command in "predict cut.safetensors $one" 'evaluate cut.safetensors'; do
    # shellcheck disable=SC2086
    run "$NACRE" $command
    expect_code 1
    expect_err 'cut.safetensors'
    expect_no_out
done
for command in "predict flipped.safetensors $one" 'evaluate flipped.safetensors' 'summary flipped.safetensors'; do
    # shellcheck disable=SC2086
    run "$NACRE" $command
    expect_code 1
    expect_err "'flipped.safetensors' was damaged"
    expect_no_out
done
finish
