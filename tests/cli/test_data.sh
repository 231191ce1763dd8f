#!/bin/sh
# nacre data: what there is, bringing it here, writing pictures.
. "$NACRE_SOURCE/tests/expect.sh"
data=${NACRE_DATA:-}
unset NACRE_DATA NACRE_MIRROR

run "$NACRE" data list
expect_code 0
expect_out 'fashion_mnist'
expect_out 'No data folder'
expect_no_err
run "$NACRE" data list --json
expect_code 0
expect_out '"name":"mnist"'
run "$NACRE" data list mnist
expect_code 2
run "$NACRE" data lst
expect_code 2
expect_err "did you mean 'list'?"
run "$NACRE" data info
expect_code 2
expect_err 'NAME is missing'

run "$NACRE" data info glyphs
expect_code 0
expect_out 'classes  10: 0, 1, 2'
run "$NACRE" data info mnist
expect_code 0
expect_out 'mnist/train-images-idx3-ubyte.gz'
expect_out 'no data folder is named'
run "$NACRE" data info mnits
expect_code 1
expect_err "did you mean 'mnist'?"

# Pictures written are pictures read, in folders that name their classes; the same seed draws the same ones.
run "$NACRE" data export glyphs --count 12 --output "$scratch/digits"
expect_code 0
[ "$(find "$scratch/digits" -name '*.png' | wc -l)" -eq 12 ] || fault 'export did not write 12 pictures'
run "$NACRE" data info "$scratch/digits"
expect_code 0
expect_out 'holds    12 samples'
expect_out 'classes  10: 0, 1, 2'
run "$NACRE" data export glyphs --count 12 --output "$scratch/again" --quiet
expect_no_out
diff -r "$scratch/digits" "$scratch/again" >/dev/null || fault 'the same seed drew other digits'
run "$NACRE" data export glyphs --count 12 --seed 1 --output "$scratch/other" --quiet
! diff -r "$scratch/digits" "$scratch/other" >/dev/null || fault 'another seed drew the same digits'
printf 'a,b,class\n1,2,x\n3,4,y\n' >"$scratch/table.csv"
run "$NACRE" data export "$scratch/table.csv" --output "$scratch/none"
expect_code 1
[ ! -e "$scratch/none" ] || fault 'a failed export left a folder behind'

# Fetching: from where there is nothing, from where the content is wrong, and (with real data) from where it is right.
run "$NACRE" data get mnist
expect_code 2
expect_err '--data DIR'
run "$NACRE" data get mnits --data "$scratch/data"
expect_code 1
expect_err "did you mean 'mnist'?"
mkdir -p "$scratch/mirror/tabular_classics"
run "$NACRE" data get tabular_classics --data "$scratch/data" --mirror "$scratch/mirror"
expect_code 1
expect_err 'tabular_classics/'
wrong=$scratch/mirror/tabular_classics/tabular_classics.tar.gz
"$NACRE" data info tabular_classics --json | sed 's/.*"bytes":\([0-9]*\).*/\1/' | xargs -I{} head -c {} /dev/zero >"$wrong"
run "$NACRE" data get tabular_classics --data "$scratch/data" --mirror "$scratch/mirror"
expect_code 1
expect_err 'SHA-256'
[ -z "$(find "$scratch/data" -type f 2>/dev/null)" ] || fault "left behind: $(find "$scratch/data" -type f)"
if [ -n "$data" ]; then
    run "$NACRE" data get tabular_classics --data "$scratch/data" --mirror "$data"
    expect_code 0
    expect_out 'checked'
    run "$NACRE" data info tabular_classics/iris --data "$scratch/data"
    expect_code 0
    expect_out 'holds    150 samples'
fi
# ---- show ----

run "$NACRE" data show glyphs -o "$scratch/sheet.png" -n 2
expect_code 0
expect_out "$scratch/sheet.png: samples of all classes"
run "$NACRE" data info "$scratch/sheet.png"
expect_code 0
expect_out '[3, 180, 708]'
cat >"$scratch/mixed.yaml" <<'END'
data: {source: glyphs, count: 60, transforms: [trivialaugment, scale(1/255), random_erasing]}
model: {zoo: lenet}
training: {mixup: 0.4, cutmix: 1}
END
for sheet in a b; do
    run "$NACRE" data show "$scratch/mixed.yaml" -o "$scratch/$sheet.png" -n 3
    expect_code 0
    expect_out 'each row a sample'
done
cmp -s "$scratch/a.png" "$scratch/b.png" || fault 'the same samples were drawn differently'
run "$NACRE" data show glyphs -n 0
expect_code 2
run "$NACRE" data show nonsense -o "$scratch/none.png"
expect_code 1
[ ! -e "$scratch/none.png" ] || fault 'a sheet of nothing was written'
finish
