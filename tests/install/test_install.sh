#!/bin/sh
# An installed tree is complete, can be moved, and a program outside finds it through pkg-config and CMake alike.
. "$NACRE_SOURCE/tests/expect.sh"

if [ -n "$NACRE_SANITIZERS" ]; then
    echo 'skipped: a program without sanitizers cannot link a library with them'
    exit 77
fi

run cmake --install "$NACRE_BUILD" --prefix "$scratch/first"
expect_code 0
mv "$scratch/first" "$scratch/usr"
usr=$scratch/usr
for file in bin/nacre lib/libnacre.so lib/libnacre.a include/nacre/nacre.h lib/pkgconfig/nacre.pc \
    lib/cmake/nacre/nacreConfig.cmake share/man/man1/nacre.1 share/bash-completion/completions/nacre \
    share/zsh/site-functions/_nacre share/fish/vendor_completions.d/nacre.fish share/doc/nacre/LICENSE; do
    [ -s "$usr/$file" ] || fault "$file was not installed"
done
run "$usr/bin/nacre" version
expect_code 0

# Only what the headers promise leaves the library, and all of it does.
nm -D --defined-only "$usr/lib/libnacre.so" | awk '{ print $NF }' | sort >"$scratch/exported"
cat "$usr"/include/nacre/*.h | tr '\n' ' ' | grep -oE 'NACRE_API [^;(]*[;(]' |
    grep -oE 'nacre_[a-z0-9_]+ ?(\[\])?[,;(]' |
    tr -d ' ()[];,' | sort -u >"$scratch/declared"
comm -23 "$scratch/exported" "$scratch/declared" >"$scratch/undeclared"
comm -13 "$scratch/exported" "$scratch/declared" >"$scratch/undefined"
[ ! -s "$scratch/undeclared" ] || fault "exported, but in no header: $(tr '\n' ' ' <"$scratch/undeclared")"
[ ! -s "$scratch/undefined" ] || fault "in a header, but not in the library: $(tr '\n' ' ' <"$scratch/undefined")"

# Each header stands alone, for C and for C++.
for header in "$usr"/include/nacre/*.h; do
    run cc -std=c17 -Wall -Wextra -Werror -I"$usr/include" -fsyntax-only -x c "$header"
    expect_code 0
    command -v c++ >/dev/null || continue
    run c++ -std=c++17 -Wall -Wextra -Werror -I"$usr/include" -fsyntax-only -x c++ "$header"
    expect_code 0
done

cp -r "$NACRE_SOURCE/examples/hello" "$scratch/hello"
cd "$scratch/hello" || exit 1
LD_LIBRARY_PATH=$usr/lib PKG_CONFIG_PATH=$usr/lib/pkgconfig
export LD_LIBRARY_PATH PKG_CONFIG_PATH

# shellcheck disable=SC2046 # flags, not one word
run cc -std=c17 -O2 -Wall -Wextra -Werror hello.c $(pkg-config --cflags --libs nacre) -o hello
expect_code 0
run ./hello
expect_code 0
expect_out 'accuracy'

run cmake -G Ninja -S . -B build -DCMAKE_PREFIX_PATH="$usr"
expect_code 0
run cmake --build build
expect_code 0
run build/hello
expect_code 0
expect_out 'accuracy'
run build/hello_static
expect_code 0
expect_out 'accuracy'
finish
