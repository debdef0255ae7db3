# For the scripts of the folder above:  source support/program.sh NAME BUILD
# Finds the program, or skips the test: $program is its path, $support this folder, $work one that goes away.
set -u
program=${2:?the build folder}/bin/$1
support=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[[ -x $program ]] || { echo "SKIPPED: $1: $program is not built"; exit 77; }
unset TENON_DATA TENON_NUM_THREADS
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# wrong TEXT...: says what is wrong and goes on; `exit $failed` ends the script.
failed=0
wrong() { echo "${0##*/}: $*" >&2; failed=1; }

# written FOLDER FILE...: the files must be there, and not empty.
written() {
  local folder=$1 file
  shift
  for file in "$@"; do [[ -s $folder/$file ]] || wrong "no $folder/$file"; done
}

# refused WHAT ARGUMENTS...: status 2, one line that has WHAT in it, and no output folder.
refused() {
  local what=$1 status
  shift
  "$program" --out "$work/refused" "$@" >"$work/output" 2>"$work/errors"
  status=$?
  [[ $status == 2 ]] || wrong "$*: status $status, expected 2"
  [[ $(wc -l <"$work/errors") == 1 ]] || wrong "$*: not one line: $(cat "$work/errors")"
  grep -q -- "$what" "$work/errors" || wrong "$*: '$(cat "$work/errors")' does not say '$what'"
  [[ ! -e $work/refused ]] || wrong "$*: something was written"
}
