#!/usr/bin/env bash
# cifar.sh BUILD: the program cifar from end to end: what it prints and writes, the same for any number of threads,
# and the same when it was killed and resumed.
source "$(dirname "${BASH_SOURCE[0]}")/support/program.sh" cifar "$1" || exit 1
command -v python3 >/dev/null || { echo "SKIPPED: cifar: no python3"; exit 77; }

fail() {
  echo "FAILED: $*"
  exit 1
}

# run NAME OPTIONS...: writes into $work/NAME; what it prints is $work/NAME.txt.
run() {
  local name=$1
  shift
  "$program" --out "$work/$name" "$@" >"$work/$name.txt" 2>"$work/$name.err" || fail "$name: status $?: $(cat "$work/$name.err")"
  [[ ! -s $work/$name.err ]] || fail "$name: on standard error: $(cat "$work/$name.err")"
}
results() { python3 "$support/cifar_results.py" "$@" || fail "cifar_results.py $*"; }
# What a run printed, but for speeds and places.
printed() { sed -E 's/[0-9]+ images\/s/ images\/s/; s/^report: .*/report/' "$work/$1.txt"; }

# ---- Without any data, on all threads: the built-in pictures --------------------------------------------------
run synthetic --model lenet5 --epochs 1
grep -q '^pictures: synthetic, 4000 for training, 1000 for validation$' "$work/synthetic.txt" || fail "no synthetic pictures"
results contract "$work/synthetic" "$(tail -n 1 "$work/synthetic.txt")"

# ---- Both networks; one thread and two ------------------------------------------------------------------------
python3 "$support/cifar_data.py" binary "$work/binary" 300 100 || fail "cannot make data"
for threads in 1 2; do run "threads$threads" --data "$work/binary" --compare --epochs 2 --threads $threads; done
results contract "$work/threads1" "$(tail -n 1 "$work/threads1.txt")"
results same "$work/threads1" "$work/threads2" lenet residual
diff <(printed threads1) <(printed threads2) || fail "one thread and two print different things"
[[ -s $work/threads1/comparison.svg ]] || fail "no comparison"
[[ $(grep -c '^LeNet | Epoch [12]/2 | Train Loss: ' "$work/threads1.txt") == 2 ]] || fail "no lines of the epochs"
run seed2 --data "$work/binary" --compare --epochs 2 --seed 2
python3 "$support/cifar_results.py" same "$work/threads1" "$work/seed2" lenet 2>/dev/null && fail "another seed changes nothing"

# ---- Pictures in folders --------------------------------------------------------------------------------------
python3 "$support/cifar_data.py" folder "$work/sets/cifar10_mini" 60 20 || fail "cannot make data"
run folder --data "$work/sets" --model resnet20 --epochs 1 --batch 16 --no-augment --schedule onecycle
results contract "$work/folder" "$(tail -n 1 "$work/folder.txt")"
grep -q "^pictures: $work/sets/cifar10_mini, 60 for training, 20 for validation" "$work/folder.txt" || fail "other pictures"

# ---- Killed in the middle, then resumed -----------------------------------------------------------------------
python3 "$support/cifar_data.py" binary "$work/more" 1500 200 || fail "cannot make data"
long=(--data "$work/more" --model residual --epochs 6)
run whole "${long[@]}"
"$program" --out "$work/killed" "${long[@]}" >"$work/killed.txt" 2>&1 &
process=$!
for ((i = 0; i < 6000; i++)); do
  [[ -e $work/killed/checkpoints/residual/last.safetensors ]] && break
  sleep 0.01
done
kill -KILL $process 2>/dev/null || fail "the run was over before it could be killed"
wait $process 2>/dev/null
epochs=$(grep -c 'Epoch' "$work/killed.txt")
((epochs < 6)) || fail "all epochs were over before it could be killed"
[[ ! -e $work/killed/results.json && ! -e $work/killed/report.html ]] || fail "a killed run left results"
run killed "${long[@]}" --resume
results contract "$work/killed" "$(tail -n 1 "$work/killed.txt")"
results same "$work/whole" "$work/killed" residual
(($(grep -c Epoch "$work/killed.txt") < 6)) || fail "it began anew instead of resuming"
diff <(printed whole | tail -n 3) <(printed killed | tail -n 3) || fail "a resumed run ends differently"

# ---- Resumed when everything is done --------------------------------------------------------------------------
cp -r "$work/whole" "$work/again"
run again "${long[@]}" --resume
results same "$work/whole" "$work/again" residual
grep -q Epoch "$work/again.txt" && fail "epochs of a finished run were trained again"
echo "cifar: all as it should be"
