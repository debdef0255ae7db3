#!/usr/bin/env bash
# Sets everything up and runs every test; the last line is `N passed, N failed, N skipped`.
#
#   tests/run.sh           everything
#   tests/run.sh --quick   the optimised build and its tests only
#
# TENON_DATA   folder with real data; without it the tests that need some use synthetic data or are skipped
# TENON_BUILD  where to build (default: build/ of the checkout)
# TENON_JOBS   compilations at a time (default: one a processor)
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

quick=no
for argument in "$@"; do
  case $argument in
    --quick) quick=yes ;;
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "tests/run.sh: unknown option '$argument'; there is --quick" >&2; exit 2 ;;
  esac
done

build=${TENON_BUILD:-$PWD/build}
jobs=${TENON_JOBS:-$(nproc 2>/dev/null || echo 2)}
logs=$build/logs
mkdir -p "$logs" || exit 1
passed=0 failed=0 skipped=0
started=$SECONDS

# ---- Reporting ----------------------------------------------------------------------------------------------
say() { printf '%4ds  %s\n' $((SECONDS - started)) "$*"; }
skip() { say "skipped  $1: $2"; skipped=$((skipped + 1)); }
log_of() { echo "$logs/${1//[^A-Za-z0-9_.-]/_}.log"; }

# check NAME COMMAND...: one test, which passes if the command does.
check() {
  local name=$1 log
  log=$(log_of "$name")
  shift
  if "$@" >"$log" 2>&1; then
    say "passed   $name"
    passed=$((passed + 1))
  else
    say "FAILED   $name (all of it in $log)"
    { grep -E -m3 -A8 'error:|ERROR:' "$log" || tail -n 15 "$log"; } | cut -c1-200 | sed 's/^/         | /'
    failed=$((failed + 1))
    return 1
  fi
}

# tally LOG: the sums `passed failed skipped` of a `ctest -V` log. A doctest executable counts by its cases (a
# line `SKIPPED: case: reason` turns one of those that passed into a skipped one; those that doctest calls skipped
# are another test's), another test counts as one.
tally() {
  awk '
    /^[0-9]+: \[doctest\] test cases:/ {
      id = $1 + 0
      for (i = 1; i <= NF; i++) {
        if ($i == "passed") p[id] += $(i - 1)
        if ($i == "failed") f[id] += $(i - 1)
      }
      summary[id] = 1
    }
    /^[0-9]+: SKIPPED: / { if (!seen[$0]++) marked[$1 + 0]++ }
    /^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / {
      match($0, /#[0-9]+/)
      id = substr($0, RSTART + 1, RLENGTH - 1) + 0
      result[id] = /   Passed / ? "passed" : /\*\*\*Skipped/ ? "skipped" : "failed"
    }
    END {
      for (id in result) {
        if (summary[id]) {
          passed += p[id] - marked[id]; failed += f[id]; skipped += marked[id]
          if (result[id] == "failed" && !f[id]) failed++
        } else if (result[id] == "passed" && marked[id]) skipped++
        else if (result[id] == "passed") passed++
        else if (result[id] == "skipped") skipped++
        else failed++
      }
      print passed + 0, failed + 0, skipped + 0
    }' "$1"
}

# run_ctest NAME FOLDER [OPTIONS...]: runs a build's tests and adds what each executable counted.
run_ctest() {
  local name=$1 folder=$2 log status p f s
  log=$(log_of "$name")
  shift 2
  ctest --test-dir "$folder" -V -j "$jobs" --timeout 1800 "$@" >"$log" 2>&1
  status=$?
  read -r p f s < <(tally "$log")
  if ((status != 0 && f == 0)); then f=1; fi
  passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
  say "$([[ $f == 0 ]] && echo passed || echo FAILED)   $name: $p passed, $f failed, $s skipped"
  sed -nE 's/^[0-9]+: (SKIPPED: .*)/         | \1/p' "$log"
  if ((f > 0)); then
    say "         all of it in $log; failing:"
    grep -E '^ *[0-9]+/[0-9]+ Test .*\*\*\*' "$log" | grep -v 'Skipped' | sed 's/^/         | /'
    grep -E '^[0-9]+: (.*(ERROR:|TEST CASE:|runtime error:|AddressSanitizer)|/.*does not|/.*: compiled by)' "$log" |
      head -n 40 | sed 's/^/         | /'
  fi
}

finish() {
  echo "$passed passed, $failed failed, $skipped skipped"
  exit $((failed > 0))
}

# ---- Setting up ---------------------------------------------------------------------------------------------
wanted=(g++ cmake ninja-build pkg-config python3 doctest-dev libeigen3-dev libstb-dev libcli11-dev
  nlohmann-json3-dev libcairo2-dev fonts-dejavu-core zlib1g-dev)
[[ $quick == no ]] && wanted+=(clang libclang-rt-dev libbenchmark-dev)

set_up() {
  local missing=() package root=()
  if ! command -v dpkg-query >/dev/null; then
    echo "this is no Debian; the packages needed are, by their Debian names: ${wanted[*]}"
    return 0
  fi
  for package in "${wanted[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok' || missing+=("$package")
  done
  ((${#missing[@]} == 0)) && return 0
  if ((EUID != 0)); then
    if ! sudo -n true 2>/dev/null; then
      echo "packages are missing and this user may not install them: ask for: apt-get install ${missing[*]}"
      return 1
    fi
    root=(sudo -n)
  fi
  export DEBIAN_FRONTEND=noninteractive
  "${root[@]}" apt-get update && "${root[@]}" apt-get install -y --no-install-recommends "${missing[@]}"
}

if ! check "set up" set_up; then finish; fi
if [[ -n ${TENON_DATA:-} ]]; then say "real data: $TENON_DATA"; else say "no TENON_DATA: synthetic data only"; fi

# configure_and_build PRESET TARGETS..., with `options` for the configuration
options=()
configure_and_build() {
  cmake --preset "$1" -B "$build/$1" "${options[@]}" && cmake --build "$build/$1" -j "$jobs" --target "${@:2}"
}

# ---- The optimised build and its tests ----------------------------------------------------------------------
# Benchmarks are not run here, so clang reads them below.
if check "build, g++" configure_and_build release examples/all tests/all; then run_ctest "tests, g++" "$build/release"; fi
if [[ $quick == yes ]]; then finish; fi

# ---- clang, with the sanitizers: one build serves both ------------------------------------------------------
system_flags=(-isystem /usr/include/eigen3)
read -ra cairo_flags < <(pkg-config --cflags-only-I cairo | sed 's/-I/-isystem /g')
system_flags+=("${cairo_flags[@]}")
# Not run under sanitizers, so only read: that takes a quarter of the time.
read_programs() {
  printf '%s\n' examples/*/*.cpp bench/*.cpp |
    xargs -P "$jobs" -I '{}' clang++ -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Wshadow \
      -Werror -I include "${system_flags[@]}" '{}'
}
sanitized() {
  export ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1
  export LSAN_OPTIONS=suppressions=$PWD/tests/leaks.supp:print_suppressions=0
  ctest --test-dir "$build/$1" -j "$jobs" --output-on-failure --timeout 1800 -L "^$2\$"
}
options=(-DTENON_BUILD_EXAMPLES=OFF -DTENON_BUILD_BENCH=OFF)
if command -v clang++ >/dev/null; then
  check "programs and benchmarks, clang++" read_programs
  if check "build, clang++ and sanitizers" configure_and_build asan-clang all; then
    check "doctest cases under address and undefined-behaviour sanitizers" sanitized asan-clang doctest
    if compgen -G 'tests/fuzz/*.cpp' >/dev/null; then
      run_ctest "fuzzing, ten seconds each" "$build/asan-clang" -L '^fuzz$'
    fi
    if compgen -G 'tests/compile_fail/*.cpp' >/dev/null; then
      run_ctest "compile-fail tests, clang++" "$build/asan-clang" -L '^compile_fail$'
    fi
  fi
else
  skip "clang++" "not installed"
  if check "build, g++ and sanitizers" configure_and_build asan all; then
    check "doctest cases under address and undefined-behaviour sanitizers" sanitized asan doctest
  fi
fi

# ---- The headers, one by one --------------------------------------------------------------------------------
reader=$(command -v clang++ || echo g++)  # clang is the faster
nvcc=$(command -v nvcc || compgen -G '/usr/local/cuda/bin/nvcc')
cuda_include=$(dirname "$(dirname "$(readlink -f "${nvcc:-/usr/bin/none}")")")/include
cudnn=$(compgen -G "$cuda_include/cudnn.h" || compgen -G '/usr/include/cudnn.h' ||
  compgen -G '/usr/local/include/cudnn.h')

check_headers() {
  printf '%s\n' "$@" | CXX=$reader xargs -P "$jobs" -I '{}' bash tests/check_header.sh '{}' "${system_flags[@]}"
}
mapfile -t cpu_headers < <(cd include && find tenon -name '*.hpp' ! -path '*/cuda/*' ! -name cuda.hpp | sort)
mapfile -t cuda_headers < <(cd include && find tenon \( -path '*/cuda/*' -o -name cuda.hpp \) -name '*.hpp' | sort)
check "each of ${#cpu_headers[@]} headers alone, and without CUDA" check_headers "${cpu_headers[@]}"
if [[ -n $cudnn ]]; then
  system_flags+=(-isystem "$cuda_include" -isystem "$(dirname "$cudnn")")
  check "each of ${#cuda_headers[@]} CUDA headers alone" check_headers "${cuda_headers[@]}"
else
  skip "CUDA headers" "no CUDA toolkit with cuDNN"
fi

# ---- The library in other people's projects -----------------------------------------------------------------
for kind in installed fetched plain; do
  check "consumer: $kind" bash tests/consumer/run.sh "$kind" "$build/consumer"
done
if command -v clang++ >/dev/null; then
  check "consumer: plain, clang++" env CXX=clang++ bash tests/consumer/run.sh plain "$build/consumer"
fi

# ---- CUDA: compiles and links anywhere; runs where there is a GPU -------------------------------------------
if [[ -n $nvcc && -n $cudnn ]]; then
  targets=(tenon_cuda cifar)  # the program that can use it
  compgen -G 'tests/parity/*.cpp' >/dev/null && targets+=(parity_tests)
  options=(-DCMAKE_CXX_FLAGS_RELEASE=-O0)  # nothing here is timed, and kernels must compile unoptimised too
  if check "build, CUDA" configure_and_build cuda "${targets[@]}"; then
    if [[ ${#targets[@]} == 3 ]]; then run_ctest "CPU-GPU parity" "$build/cuda" -R '^parity$'; fi
  fi
else
  skip "build, CUDA" "no CUDA toolkit with cuDNN"
fi
finish
