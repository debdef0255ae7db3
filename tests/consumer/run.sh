#!/usr/bin/env bash
# run.sh installed|fetched|plain [WORK]: builds and runs one consumer of the library in the folder WORK.
set -eu
kind=${1:?installed, fetched or plain}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${2:-$(mktemp -d)}
rm -rf "${work:?}/$kind"
mkdir -p "$work/$kind"
work=$(cd "$work/$kind" && pwd)
compiler=${CXX:-g++}
command -v ninja >/dev/null && export CMAKE_GENERATOR=${CMAKE_GENERATOR:-Ninja}

case $kind in
  installed)
    cmake -S "$root" -B "$work/tenon" -DTENON_BUILD_TESTS=OFF -DTENON_BUILD_EXAMPLES=OFF -DTENON_BUILD_BENCH=OFF
    DESTDIR='' cmake --install "$work/tenon" --prefix "$work/prefix"
    # Moved: a package must not remember where it was installed.
    mv "$work/prefix" "$work/moved"
    cmake -S "$here/installed" -B "$work/build" -DCMAKE_PREFIX_PATH="$work/moved"
    cmake --build "$work/build"
    "$work/build/consumer"
    ;;
  fetched)
    cmake -S "$here/fetched" -B "$work/build" -DTENON_SOURCE="$root"
    cmake --build "$work/build"
    "$work/build/consumer"
    ;;
  plain)
    # Third-party headers outside the compiler's own folders are named by TENON_PLAIN_FLAGS.
    # shellcheck disable=SC2086
    "$compiler" -std=c++20 -O1 -I "$root/include" \
      ${TENON_PLAIN_FLAGS:--isystem /usr/include/eigen3 -isystem /usr/include/cairo} \
      "$here/main.cpp" "$here/other.cpp" -o "$work/consumer" ${TENON_PLAIN_LIBS:--lz -lcairo}
    "$work/consumer"
    ;;
  *)
    echo "run.sh: '$kind' is none of installed, fetched, plain" >&2
    exit 2
    ;;
esac
