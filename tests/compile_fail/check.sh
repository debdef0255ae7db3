#!/usr/bin/env bash
# check.sh COMPILER CASE.cpp [FLAGS...]: a mistake must not compile, and the first error must be readable.
# The case's first line is `// expect: REGEX` (POSIX extended), which the first line with `error:` must match.
# If the case names TENON_FIXED, it must compile with -DTENON_FIXED: so it fails for the mistake alone.
set -u
compiler=$1 case=$2
shift 2
expect=$(sed -n '1s|^// expect: *||p' "$case")
if [[ -z $expect ]]; then
  echo "$case: the first line is not '// expect: REGEX'"
  exit 1
fi

compile() { LC_ALL=C "$compiler" -std=c++20 -fsyntax-only "$@" "$case" 2>&1; }

if output=$(compile "$@"); then
  echo "$case: compiled by $compiler, expected an error like: $expect"
  exit 1
fi
first=$(grep -m1 'error:' <<<"$output")
if ! grep -qE -- "$expect" <<<"$first"; then
  echo "$case: the first error of $compiler does not match: $expect"
  echo "  ${first:-$output}"
  exit 1
fi
if grep -q TENON_FIXED "$case" && ! output=$(compile -DTENON_FIXED "$@"); then
  echo "$case: does not compile with -DTENON_FIXED either ($compiler):"
  grep -m3 'error:' <<<"$output"
  exit 1
fi
echo "$first"
