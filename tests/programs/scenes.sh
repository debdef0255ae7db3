#!/usr/bin/env bash
# The program `scenes`, end to end on its synthetic set: results, files, settings, and what it says of bad input.
#   scenes.sh BUILD
source "$(dirname "${BASH_SOURCE[0]}")/support/program.sh" scenes "$1" || exit 1

# accuracy NAME AT_LEAST ARGUMENTS...: runs the program; its last line must be an accuracy of at least that.
accuracy() {
  local name=$1 least=$2 last
  shift 2
  last=$("$program" --out "$work/$name" "$@" 2>"$work/errors" | tail -n 1)
  [[ $last =~ ^accuracy\ [01]\.[0-9]{4}$ ]] || { wrong "$name: the last line is '$last': $(cat "$work/errors")"; return; }
  awk -v found="${last#accuracy }" -v least="$least" 'BEGIN { exit !(found >= least) }' ||
    wrong "$name: $last, expected at least $least"
}

accuracy comparison 0.9 --vocab 50
written "$work/comparison" results.json report.html confusion_tiny_images.svg confusion_tiny_images.png \
  confusion_bag_of_SIFT.svg confusion_bag_of_SIFT.png confused_tiny_images.png
grep -q '"program": "scenes"' "$work/comparison/results.json" || wrong "results.json does not name the program"
grep -q 'made-up textures' "$work/comparison/report.html" || wrong "report.html does not say that the set is synthetic"

accuracy tiny 0.2 --method tiny
accuracy svm 0.9 --method bag-of-sift --classifier svm --vocab 50 --pyramid 1
accuracy fisher 0.9 --method bag-of-sift --encoding fisher --classifier svm --vocab 8
accuracy vlad 0.9 --method bag-of-sift --encoding vlad --metric cosine --vocab 8
accuracy dog 0.5 --method bag-of-sift --detector dog --vocab 50 --tf-idf
accuracy tuned 0.9 --method bag-of-sift --vocab 50 --tune
grep -q '"tune": true' "$work/tuned/results.json" || wrong "results.json does not say --tune"

# The same seed gives the same run, whatever the threads.
for threads in 1 2; do accuracy "threads$threads" 0.5 --method bag-of-sift --vocab 20 --threads $threads --seed 3; done
counts() { grep -A400 '"confusion"' "$work/$1/results.json" | sed '/most_confused/q' | grep -v _seconds; }
[[ $(counts threads1) == "$(counts threads2)" ]] || wrong "the result depends on the number of threads"

mkdir -p "$work/empty" "$work/bad/train/a" "$work/bad/train/b" "$work/bad/test/a" "$work/bad/test/b"
for folder in train/a train/b test/a test/b; do echo "no picture" >"$work/bad/$folder/x.jpg"; done
refused 'not a folder' --data "$work/none"
refused 'holds neither' --data "$work/empty"
refused 'x.jpg' --data "$work/bad"
refused 'CPU alone' --device cuda
refused 'for histograms alone' --encoding fisher --metric chi2
refused 'method' --method guess
refused 'pyramid' --pyramid -1
exit $failed
