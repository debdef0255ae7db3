#!/usr/bin/env bash
# check_header.sh HEADER [FLAGS...]: HEADER (tenon/...) compiles alone, first in a file, without a warning; and
# unless it belongs to the CUDA backend, it reaches no CUDA header. CXX names the compiler.
set -u
header=$1
shift
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dependencies=$(mktemp)
trap 'rm -f "$dependencies"' EXIT

printf '#include "%s"\n' "$header" |
  "${CXX:-g++}" -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Wshadow -Werror \
    -I "$root/include" "$@" -MD -MF "$dependencies" -MT header -x c++ - || exit 1
case $header in
  tenon/cuda.hpp | tenon/backend/cuda/*) exit 0 ;;
esac
if grep -oE '[^ ]*(/backend/cuda/|/cuda[^/ ]*\.h|/cublas[^/ ]*\.h|/cudnn[^/ ]*\.h)[^ ]*' "$dependencies"; then
  echo "$header: a CPU header reaches the CUDA headers above"
  exit 1
fi
