#!/usr/bin/env bash
# Reproduces the report from nothing but Debian: installs what is missing, builds the programs, and runs both parts:
#
#   cifar    LeNet against its residual twin, 30 epochs on CIFAR-10-mini; 8 on a built-in synthetic set without it
#   scenes   tiny images against bags of SIFT on the 15-scene set, then Fisher vectors with a support vector machine;
#            on made-up textures without it
#
#   examples/reproduce.sh [--quick] [--data DIR] [--out DIR] [--device cpu|cuda]
#
#   --quick       3 epochs instead of 30 (2 instead of 8 on the synthetic set), and no Fisher vectors
#   --data DIR    a folder that holds cifar10_mini/ or scenes15/ or both, or is one of them itself, or has CIFAR-10's
#                 data_batch_1.bin (default: $TENON_DATA)
#   --out DIR     where the reports go (default: ./out): cifar's into the folder itself, scenes' into its scenes/
#   --device      cpu (default), or cuda, which needs the CUDA toolkit and cuDNN, for cifar
#
# TENON_BUILD names another folder to build in (default: build/ of the checkout).
set -u
caller=$PWD
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

refuse() {
  echo "reproduce.sh: $*" >&2
  exit 2
}

# ---- Arguments ----------------------------------------------------------------------------------------------
quick=no data='' out=$caller/out device=cpu
while (($# > 0)); do
  case $1 in
    --quick) quick=yes ;;
    --data=* | --out=* | --device=*) set -- "${1%%=*}" "${1#*=}" "${@:2}"; continue ;;
    --data | --out | --device)
      [[ -n ${2:-} ]] || refuse "$1 needs a value"
      case $1 in
        --data) data=$2 ;;
        --out) out=$2 ;;
        --device) device=$2 ;;
      esac
      shift ;;
    -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '$d'; exit 0 ;;
    *) refuse "unknown argument '$1'; see --help" ;;
  esac
  shift
done
[[ $device == cpu || $device == cuda ]] || refuse "--device is '$device', expected cpu or cuda"

# pictures DIR: the pictures of cifar in DIR, if they are there. scenes DIR: those of scenes.
pictures() {
  local folder
  for folder in "$1/cifar10_mini" "$1"; do
    if [[ -d $folder/train && -d $folder/val || -f $folder/data_batch_1.bin ]]; then
      (cd "$folder" && pwd)
      return
    fi
  done
  return 1
}
scenes() {
  local folder
  for folder in "$1/scenes15" "$1"; do
    if [[ -d $folder/train && -d $folder/test ]]; then
      (cd "$folder" && pwd)
      return
    fi
  done
  return 1
}

found='' found_scenes=''
if [[ -n $data ]]; then
  [[ -d $data ]] || refuse "--data: $data is not a folder"
  found=$(pictures "$data")
  found_scenes=$(scenes "$data")
  [[ -n $found$found_scenes ]] ||
    refuse "--data: $data holds no cifar10_mini/, no scenes15/, no train/ with val/ or test/, no data_batch_1.bin"
elif [[ -n ${TENON_DATA:-} ]]; then
  found=$(pictures "$TENON_DATA") || echo "TENON_DATA ($TENON_DATA) holds no cifar10_mini/"
  found_scenes=$(scenes "$TENON_DATA") || echo "TENON_DATA ($TENON_DATA) holds no scenes15/"
fi
if [[ -n $found ]]; then
  [[ $quick == yes ]] && epochs=3 || epochs=30
else
  [[ $quick == yes ]] && epochs=2 || epochs=8
fi
if ! mkdir -p "$out" 2>/dev/null || [[ ! -w $out ]]; then refuse "--out: $out cannot be written"; fi
out=$(cd "$out" && pwd)
build=${TENON_BUILD:-$root/build}/reproduce-$device
mkdir -p "$build" 2>/dev/null || refuse "$build cannot be written; name another folder with TENON_BUILD"

# step WHAT COMMAND...: runs it quietly; what it printed is shown if it fails.
step() {
  local what=$1 log=$build/${1// /-}.log began=$SECONDS
  shift
  printf '%s ... ' "$what"
  if "$@" >"$log" 2>&1 </dev/null; then
    echo "done ($((SECONDS - began)) s)"
  else
    echo "failed"
    tail -n 30 "$log" >&2
    echo "reproduce.sh: $what failed; all of its output is in $log" >&2
    exit 1
  fi
}

# ---- What is missing ----------------------------------------------------------------------------------------
packages=(g++ cmake ninja-build pkg-config libeigen3-dev libstb-dev libcli11-dev nlohmann-json3-dev
  libcairo2-dev fonts-dejavu-core zlib1g-dev)
missing=()
if command -v dpkg-query >/dev/null; then
  for package in "${packages[@]}"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok' || missing+=("$package")
  done
else
  echo "No Debian: expecting these packages, by their Debian names: ${packages[*]}"
fi
if ((${#missing[@]} > 0)); then
  as_root=()
  if ((EUID != 0)); then
    if ! command -v sudo >/dev/null || ! sudo -v; then
      echo "reproduce.sh: packages are missing and need root: apt-get install ${missing[*]}" >&2
      exit 1
    fi
    as_root=(sudo DEBIAN_FRONTEND=noninteractive)
  fi
  export DEBIAN_FRONTEND=noninteractive
  step "updating the package lists" "${as_root[@]}" apt-get update
  step "installing ${#missing[@]} packages" \
    "${as_root[@]}" apt-get install -y --no-install-recommends "${missing[@]}"
fi

# ---- Build --------------------------------------------------------------------------------------------------
options=(-G Ninja -DCMAKE_BUILD_TYPE=Release -DTENON_BUILD_TESTS=OFF -DTENON_BUILD_BENCH=OFF)
[[ $device == cuda ]] && options+=(-DTENON_CUDA=ON)
step "configuring" cmake -S "$root" -B "$build" "${options[@]}"
step "building" cmake --build "$build" --target cifar scenes

# ---- Run ----------------------------------------------------------------------------------------------------
# A program without real pictures must not take them from TENON_DATA either: it then has none.
# run PROGRAM FOLDER ARGUMENTS...
run() {
  local program=$1 folder=$2 status
  shift 2
  if [[ -n $folder ]]; then
    "$build/bin/$program" --data "$folder" "$@"
  else
    env -u TENON_DATA "$build/bin/$program" "$@"
  fi
  status=$?
  if ((status != 0)); then
    echo "reproduce.sh: $program ended with status $status" >&2
    exit "$status"
  fi
}

if [[ -n $found ]]; then
  echo "cifar: training on the real pictures of $found, $epochs epochs."
else
  echo "cifar: no real pictures (name them with --data DIR or TENON_DATA): training on the built-in SYNTHETIC set,"
  echo "$epochs epochs. Its figures show that the program works; they are not the report's."
fi
run cifar "$found" --compare --epochs "$epochs" --device "$device" --out "$out"

if [[ -n $found_scenes ]]; then
  echo "scenes: the real pictures of $found_scenes."
else
  echo "scenes: no real pictures: made-up TEXTURES. Their figures show that the program works; they are not the report's."
fi
run scenes "$found_scenes" --out "$out/scenes"
if [[ $quick == no ]]; then
  run scenes "$found_scenes" --method bag-of-sift --encoding fisher --classifier svm --out "$out/scenes/fisher"
fi
echo "The reports: $out/report.html and $out/scenes/report.html"
