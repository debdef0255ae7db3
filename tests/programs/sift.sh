#!/usr/bin/env bash
# The program `sift`, end to end: key points and matches of pictures it is given, and what it says of bad input.
#   sift.sh BUILD
source "$(dirname "${BASH_SOURCE[0]}")/support/program.sh" sift "$1" || exit 1

# picture SHIFT: a gray picture of 200×160 with blobs of many sizes, moved to the right by SHIFT.
picture() {
  awk -v shift="$1" 'BEGIN {
    print "P2\n200 160\n255"
    for (n = 0; n < 60; n++) { x[n] = (n * 73) % 211 - 5; y[n] = (n * 47) % 167 - 3; s[n] = 2 + n % 7; a[n] = n % 2 ? 110 : -90 }
    for (i = 0; i < 160; i++) for (j = 0; j < 200; j++) {
      v = 120
      for (n = 0; n < 60; n++) { d = ((j - shift - x[n]) ^ 2 * (1 + n % 3) + (i - y[n]) ^ 2) / (2 * s[n] ^ 2); if (d < 12) v += a[n] * exp(-d) }
      printf "%d ", (v < 0 ? 0 : v > 255 ? 255 : v)
    }
  }'
}
picture 0 >"$work/a.pgm"
picture 12 >"$work/b.pgm"

last=$("$program" "$work/a.pgm" --out "$work/one" 2>"$work/errors" | tail -n 1)
[[ $last =~ ^keypoints\ [0-9]+$ ]] || wrong "the last line is '$last': $(cat "$work/errors")"
count=${last#keypoints }
((count >= 30)) || wrong "$count key points, expected at least 30"
written "$work/one" keypoints.npy descriptors.npy overlay.png results.json report.html
# The size of the files: a header of 128 bytes, then float32.
[[ $(stat -c %s "$work/one/keypoints.npy") == $((128 + 4 * 5 * count)) ]] || wrong "keypoints.npy is not (n,5) of float32"
[[ $(stat -c %s "$work/one/descriptors.npy") == $((128 + 4 * 128 * count)) ]] || wrong "descriptors.npy is not (n,128) of float32"
"$program" "$work/a.pgm" --out "$work/two" --threads 1 >/dev/null 2>&1
cmp -s "$work/one/descriptors.npy" "$work/two/descriptors.npy" || wrong "descriptors depend on the number of threads"
last=$("$program" a.pgm --data "$work" --out "$work/few" --max-features 10 | tail -n 1)
[[ $last == 'keypoints 10' ]] || wrong "--max-features 10 gives '$last'"

last=$("$program" "$work/a.pgm" "$work/b.pgm" --out "$work/pair" 2>"$work/errors" | tail -n 1)
[[ $last =~ ^inliers\ [0-9]+$ ]] || wrong "the last line is '$last': $(cat "$work/errors")"
((${last#inliers } >= 15)) || wrong "$last, expected at least 15"
written "$work/pair" matches.png homography.npy results.json report.html
# The shift of 12 pixels is the third number of the homography.
grep -A12 '"homography"' "$work/pair/results.json" | tr -d '\n' |
  grep -Eq '\[ *\[ *(1\.0|0\.99|1\.00)[0-9]*, *-?0\.0[0-9e.-]*, *(11\.[5-9]|12\.[0-4])' ||
  wrong "not a shift by 12: $(grep -A12 '"homography"' "$work/pair/results.json" | tr -d '\n ')"

echo 'no picture' >"$work/text.jpg"
refused 'none.png' "$work/none.png"
refused 'text.jpg' "$work/text.jpg"
refused 'text.jpg' "$work/a.pgm" "$work/text.jpg"
refused 'CPU alone' "$work/a.pgm" --device cuda
refused 'IMAGE' --seed 2
refused 'preset' "$work/a.pgm" --preset surf
# A picture without any key point is no error.
{ echo 'P2 40 40 255'; for ((i = 0; i < 1600; i++)); do printf '90 '; done; } >"$work/flat.pgm"
last=$("$program" "$work/flat.pgm" --out "$work/flat" | tail -n 1)
[[ $last == 'keypoints 0' ]] || wrong "a flat picture gives '$last'"
last=$("$program" "$work/flat.pgm" "$work/a.pgm" --out "$work/flatpair" | tail -n 1)
[[ $last == 'inliers 0' ]] || wrong "a flat picture matched gives '$last'"
exit $failed
