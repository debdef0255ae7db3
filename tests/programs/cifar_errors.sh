#!/usr/bin/env bash
# cifar_errors.sh BUILD: bad input of the program cifar ends with one line that says what is wrong, status 2, and
# nothing half-written.
source "$(dirname "${BASH_SOURCE[0]}")/support/program.sh" cifar "$1" || exit 1
command -v python3 >/dev/null || { echo "SKIPPED: cifar: no python3"; exit 77; }
failures=0 checks=0

# state: every file and folder with its content's sum, to see that nothing was written.
state() {
  find "$work" ! -name 'std*' -printf '%P %y %s\n' | sort
  find "$work" -type f ! -name 'std*' -exec cksum {} + | sort
}

# bad WHAT TEXT OPTIONS...: the program must refuse, with a line that contains TEXT, and write nothing.
bad() {
  local what=$1 expected=$2 before after status problem=''
  shift 2
  before=$(state)
  timeout 120 "$program" "$@" >"$work/stdout" 2>"$work/stderr" </dev/null
  status=$?
  after=$(state)
  checks=$((checks + 1))
  [[ $status == 2 ]] || problem="status $status"
  [[ $(wc -l <"$work/stderr") == 1 ]] || problem+="; not one line"
  [[ $(cat "$work/stderr") == "cifar: "*"$expected"* ]] || problem+="; expected '$expected'"
  grep -q '^accuracy' "$work/stdout" && problem+="; an accuracy was printed"
  [[ $before == "$after" ]] || problem+="; files changed: $(diff <(echo "$before") <(echo "$after"))"
  if [[ -n $problem ]]; then
    echo "FAILED: $what: ${problem#; }; it said: $(head -c 2000 "$work/stderr")"
    failures=$((failures + 1))
  fi
}
out=(--out "$work/out")
data() { python3 "$support/cifar_data.py" "$@" || { echo "FAILED: cannot make data"; exit 1; }; }

# ---- Options --------------------------------------------------------------------------------------------------
bad "unknown option" "--frobnicate" --frobnicate "${out[@]}"
bad "unknown model" "--model" --model resnet21 "${out[@]}"
bad "unknown schedule" "--schedule" --schedule never "${out[@]}"
bad "unknown device" "--device" --device tpu "${out[@]}"
bad "no epochs" "--epochs" --epochs 0 "${out[@]}"
bad "epochs that are no number" "--epochs" --epochs many "${out[@]}"
bad "too large a batch" "--batch" --batch 9223372036854775807 "${out[@]}"
bad "negative learning rate" "--lr" --lr -0.1 "${out[@]}"
bad "momentum above 1" "--momentum" --momentum 1.5 "${out[@]}"
bad "negative seed" "--seed" --seed -1 "${out[@]}"
bad "a seed that is no number" "--seed" --seed one "${out[@]}"
bad "a seed beyond 64 bits" "--seed" --seed 18446744073709551616 "${out[@]}"
bad "negative threads" "--threads" --threads -1 "${out[@]}"
bad "too many threads" "--threads" --threads 5000 "${out[@]}"
bad "a model and --compare" "--compare" --compare --model lenet "${out[@]}"
bad "an option without its value" "--data" --data

# ---- Folders --------------------------------------------------------------------------------------------------
bad "missing folder" "$work/none" --data "$work/none" "${out[@]}"
mkdir "$work/empty"
bad "empty folder" "$work/empty" --data "$work/empty" "${out[@]}"
touch "$work/file"
bad "a file as --data" "$work/file" --data "$work/file" "${out[@]}"

# ---- CIFAR-10's binary files ----------------------------------------------------------------------------------
data binary "$work/good" 60 20
cp -r "$work/good" "$work/size"
printf x >>"$work/size/data_batch_1.bin"
bad "wrong record size" "$work/size/data_batch_1.bin: 184381 bytes" --data "$work/size" "${out[@]}"
cp -r "$work/good" "$work/zero"
: >"$work/zero/test_batch.bin"
bad "empty file" "$work/zero/test_batch.bin: 0 bytes" --data "$work/zero" "${out[@]}"
cp -r "$work/good" "$work/label"
printf '\012' | dd of="$work/label/data_batch_1.bin" bs=1 seek=$((3073 * 7)) conv=notrunc status=none
bad "label out of range" "$work/label/data_batch_1.bin: record 7 " --data "$work/label" "${out[@]}"
cp -r "$work/good" "$work/test"
rm "$work/test/test_batch.bin"
bad "no test file" "$work/test/test_batch.bin" --data "$work/test" "${out[@]}"
data binary "$work/classes" 9 10
bad "class without picture" "$work/classes: class 'truck' has no picture" --data "$work/classes" "${out[@]}"
cp -r "$work/good" "$work/names"
printf 'a\nb\n' >"$work/names/batches.meta.txt"
bad "too few class names" "$work/names/batches.meta.txt: 2 class names" --data "$work/names" "${out[@]}"

# ---- Pictures in folders --------------------------------------------------------------------------------------
data folder "$work/plain" 20 10
# folder NAME: a copy of the good one to spoil.
folder() { cp -r "$work/plain" "$work/$1"; }
folder text
mv "$work/text/train/3.ppm" "$work/text/train/3.jpg"
echo 'this is no picture' >"$work/text/train/3.jpg"
sed -i 's/3\.ppm/3.jpg/' "$work/text/train/annotations.json"
bad "text named .jpg" "$work/text/train/3.jpg: " --data "$work/text" "${out[@]}"
folder cut
truncate -s 1000 "$work/cut/val/4.ppm"
bad "truncated picture" "$work/cut/val/4.ppm: " --data "$work/cut" "${out[@]}"
folder gone
rm "$work/gone/train/5.ppm"
bad "picture missing" "$work/gone/train/5.ppm: " --data "$work/gone" "${out[@]}"
folder larger
{ printf 'P6 33 32 255\n'; head -c 3168 /dev/zero; } >"$work/larger/train/5.ppm"
bad "one picture larger" "$work/larger/train/5.ppm: 33" --data "$work/larger" "${out[@]}"
folder small
for i in 0 1 2 3 4 5 6 7 8 9; do { printf 'P6 28 28 255\n'; head -c 2352 /dev/zero; } >"$work/small/val/$i.ppm"; done
bad "all pictures smaller" "$work/small/val: pictures of 28" --data "$work/small" "${out[@]}"
folder json
echo '{"filenames": [' >"$work/json/train/annotations.json"
bad "annotations that are no JSON" "$work/json/train/annotations.json: " --data "$work/json" "${out[@]}"
folder count
echo '{"filenames": ["0.ppm", "1.ppm"], "labels": [1]}' >"$work/count/train/annotations.json"
bad "labels missing" "$work/count/train/annotations.json: 1 labels for 2" --data "$work/count" "${out[@]}"
folder unlabelled
echo '{"filenames": ["0.ppm"], "labels": []}' >"$work/unlabelled/val/annotations.json"
bad "no labels" "$work/unlabelled/val: 0.ppm: no label" --data "$work/unlabelled" "${out[@]}"
folder range
sed -i 's/"labels": \[0/"labels": [10/' "$work/range/train/annotations.json"
bad "label out of range" "$work/range/train/annotations.json: label of '0.ppm' is 10" --data "$work/range" "${out[@]}"
folder outside
sed -i 's/"0\.ppm"/"..\/val\/0.ppm"/' "$work/outside/train/annotations.json"
bad "name that leaves the folder" "$work/outside/train/annotations.json: " --data "$work/outside" "${out[@]}"
folder class
sed -i -E 's/"labels": \[[^]]*/"labels": [0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1/' "$work/class/train/annotations.json"
bad "class without picture" "$work/class/train: class 'bird' has no picture" --data "$work/class" "${out[@]}"
folder noval
rm -r "$work/noval/val"
bad "no validation pictures" "$work/noval/val/annotations.json: " --data "$work/noval" "${out[@]}"
name=$'two\nlines'
folder "$name"
rm "$work/$name/train/0.ppm"
bad "a line feed in a name" "train/0.ppm: " --data "$work/$name" "${out[@]}"

# ---- Where to write -------------------------------------------------------------------------------------------
bad "--out is a file" "$work/file: " --data "$work/good" --out "$work/file"
bad "--out below a file" "$work/file/out: " --data "$work/good" --out "$work/file/out"
bad "--out cannot be made" "/proc/tenon: " --data "$work/good" --out /proc/tenon
if ((EUID != 0)); then
  mkdir -m 555 "$work/locked"
  bad "--out may not be written" "$work/locked" --data "$work/good" --out "$work/locked"
fi

# ---- Device ---------------------------------------------------------------------------------------------------
if nvidia-smi >/dev/null 2>&1; then
  echo "a GPU is here: --device cuda is not expected to fail"
else
  bad "--device cuda without one" "" --data "$work/good" --device cuda "${out[@]}"
fi

# ---- Checkpoints ----------------------------------------------------------------------------------------------
run=(--data "$work/good" --model lenet5 --epochs 2 "${out[@]}")
"$program" "${run[@]}" >"$work/stdout" 2>"$work/stderr" || { echo "FAILED: $(cat "$work/stderr")"; exit 1; }
rm "$work/out/results.json" "$work/out/report.html"
last=$work/out/checkpoints/lenet5/last.safetensors
cp "$last" "$work/last"
bad "resumed with another learning rate" "$last: cannot resume: written with lr 0.02, this run has 0.1" "${run[@]}" --resume --lr 0.1
truncate -s 100000 "$last"
bad "truncated checkpoint" "$last: " "${run[@]}" --resume
echo 'no checkpoint at all' >"$last"
bad "a checkpoint that is text" "$last: " "${run[@]}" --resume
mkdir -p "$work/out/checkpoints/resnet20"
cp "$work/last" "$work/out/checkpoints/resnet20/last.safetensors"
bad "a checkpoint of another network" "checkpoints/resnet20/last.safetensors: " --data "$work/good" --model resnet20 --epochs 2 "${out[@]}" --resume

# ---- A run that cannot go on ----------------------------------------------------------------------------------
mkdir -p "$work/diverged/checkpoints/lenet5"
bad "a loss that is no number" "the loss is " --data "$work/good" --model lenet5 --batch 8 --lr 1e30 --out "$work/diverged"

echo "cifar: $((checks - failures)) of $checks refusals as they should be"
exit $((failures > 0))
