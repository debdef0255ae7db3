#!/usr/bin/env bash
# Builds and runs the GPU tests and benchmarks on this machine; a short table comes last.
#
#   tests/gpu.sh [--deps DIR] [--build DIR] [--quick]
#
# --deps DIR   a folder whose include/ has doctest/doctest.h, where the machine lacks it (or TENON_DEPS)
# --build DIR  where to build (default: build/gpu of the checkout)
# --quick      the parity tests only, no benchmarks
#
# Needs cmake, a C++20 compiler, nvcc with cuBLAS, and cuDNN 9; libraries that exist only in Python's nvidia
# packages are found there. With PyTorch the benchmarks are compared with it in the same run. Without a GPU
# everything is built, and the tests report that they were skipped.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

deps=${TENON_DEPS:-} build=$PWD/build/gpu quick=no
while (($#)); do
  case $1 in
    --deps) deps=${2:?--deps needs a folder}; shift ;;
    --build) build=${2:?--build needs a folder}; shift ;;
    --quick) quick=yes ;;
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) echo "tests/gpu.sh: unknown option '$1'; there are --deps, --build and --quick" >&2; exit 2 ;;
  esac
  shift
done
mkdir -p "$build/vendor/include" "$build/vendor/lib" || exit 1
jobs=${TENON_JOBS:-$(nproc 2>/dev/null || echo 2)}

# ---- The tools and libraries of this machine ----------------------------------------------------------------
nvcc=$(command -v nvcc || compgen -G '/usr/local/cuda*/bin/nvcc' | head -n 1)
if [[ -z $nvcc ]] || ! command -v cmake >/dev/null; then
  echo "tests/gpu.sh: needs cmake and nvcc on the PATH (or in /usr/local/cuda)" >&2
  exit 2
fi
toolkit=$(dirname "$(dirname "$(readlink -f "$nvcc")")")

# The folders of Python's nvidia packages, which hold libraries by their versioned names only.
mapfile -t wheels < <(python3 -c 'import nvidia
for path in nvidia.__path__: print(path)' 2>/dev/null)
# vendor_library NAME: makes vendor/lib/libNAME.so point to the toolkit's library or to a Python package's.
vendor_library() {
  local found
  found=$(find "$toolkit/" /usr/lib/x86_64-linux-gnu "${wheels[@]}" -name "lib$1.so" 2>/dev/null | grep -v stubs | head -n 1)
  [[ -z $found ]] && found=$(find "$toolkit/" /usr/lib/x86_64-linux-gnu "${wheels[@]}" -name "lib$1.so.[0-9]*" 2>/dev/null | sort | head -n 1)
  if [[ -z $found ]]; then
    echo "tests/gpu.sh: lib$1 was not found in $toolkit, /usr/lib/x86_64-linux-gnu or Python's nvidia packages" >&2
    return 1
  fi
  ln -sf "$found" "$build/vendor/lib/lib$1.so"
  library_folders+=("$(dirname "$(readlink -f "$found")")")
}
library_folders=()
for library in cudnn cublas cublasLt; do vendor_library "$library" || exit 2; done
# Headers that the toolkit lacks come from the Python packages too.
for header in cudnn_version.h cublasLt.h; do
  if ! compgen -G "$toolkit/include/$header" >/dev/null && ! compgen -G "$toolkit/targets/*/include/$header" >/dev/null; then
    folder=$(dirname "$(find /usr/include /usr/local/include "${wheels[@]}" -name "$header" 2>/dev/null | head -n 1)")
    [[ -d $folder ]] && ln -sf "$folder"/"${header%%[_L]*}"*.h "$build/vendor/include/"
  fi
done
if [[ ! -e $build/vendor/include/cudnn_version.h ]]; then
  folder=$(dirname "$(find "$toolkit/" /usr/include /usr/local/include -name cudnn_version.h 2>/dev/null | head -n 1)")
  ln -sf "$folder"/cudnn*.h "$build/vendor/include/"
fi

architecture=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d '.')
[[ $architecture =~ ^[0-9]+$ ]] || architecture="75;80;90"

# ---- Build --------------------------------------------------------------------------------------------------
generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
rpath=$(IFS=';'; echo "${library_folders[*]}")
if ! {
  cmake -S tests/parity -B "$build/cmake" "${generator[@]}" -DTENON_DEPS="$deps" -DCMAKE_CUDA_COMPILER="$nvcc" \
    -DCMAKE_CUDA_ARCHITECTURES="$architecture" -DCUDNN_ROOT="$build/vendor" \
    -DCUDA_cublas_LIBRARY="$build/vendor/lib/libcublas.so" -DCUDA_cublasLt_LIBRARY="$build/vendor/lib/libcublasLt.so" \
    -DCMAKE_BUILD_RPATH="$rpath" &&
    cmake --build "$build/cmake" -j "$jobs"
} >"$build/build.log" 2>&1; then
  echo "tests/gpu.sh: the build failed (all of it in $build/build.log)" >&2
  grep -m5 -A5 -iE 'error' "$build/build.log" >&2
  tail -n 5 "$build/build.log" >&2
  exit 1
fi

# ---- Tests, then benchmarks ---------------------------------------------------------------------------------
status=0
parity="left out: no doctest header (--deps DIR)"
if [[ -x $build/cmake/parity_tests ]]; then
  "$build/cmake/parity_tests" >"$build/parity.log" 2>&1 || status=1
  grep -E 'ERROR|SKIPPED|relative error|does not|differs|test cases|assertions' "$build/parity.log" | head -n 60
  skipped=$(grep -c '^SKIPPED' "$build/parity.log")
  parity=$(awk -v skipped="$skipped" '/^\[doctest\] test cases:/ {
    for (i = 2; i <= NF; i++) { if ($i == "passed") p = $(i - 1); if ($i == "failed") f = $(i - 1) }
    print p - skipped " passed, " f " failed, " skipped " skipped" }' "$build/parity.log")
  [[ -n $parity ]] || parity="the tests ended early (all of it in $build/parity.log)"
elif [[ $quick == yes ]]; then
  status=1
fi

if [[ $quick == no ]] && nvidia-smi >/dev/null 2>&1; then
  if "$build/cmake/bench_gpu" >"$build/bench.csv"; then
    if ! python3 bench/gpu_compare.py "$build/bench.csv" 2>"$build/compare.log"; then
      echo "no comparison with PyTorch ($(tail -n 1 "$build/compare.log")); Tenon alone:"
      cat "$build/bench.csv"
    fi
  else
    status=1
  fi
fi
echo "parity: $parity"
exit $status
