#!/usr/bin/env python3
"""Tenon's exact nearest neighbours beside scikit-learn's (L2) and OpenCV's brute-force matcher (L1), on the same
machine in the same run.

    cmake --build build/release --target bench_knn_speed
    python3 bench/knn_compare.py --build build/release [--peer PYTHON] [--json FILE]

The two take turns, round by round; each figure is the median of its rounds. A ratio above 1 means that Tenon is
faster.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

SKLEARN = """
import sys, time
import numpy as np, sklearn
from sklearn.neighbors import NearestNeighbors
rng = np.random.default_rng(0)
x, q = rng.random((100000, 128), dtype=np.float32), rng.random((10000, 128), dtype=np.float32)
model = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(x)
model.kneighbors(q[:500])
began = time.perf_counter()
model.kneighbors(q)
print(time.perf_counter() - began, "scikit-learn", sklearn.__version__)
"""
OPENCV = """
import statistics, sys, time
import cv2, numpy as np
cv2.setNumThreads(int(sys.argv[1]))
rng = np.random.default_rng(0)
x, q = rng.random((1500, 400), dtype=np.float32), rng.random((1500, 400), dtype=np.float32)
matcher, times = cv2.BFMatcher(cv2.NORM_L1), []
for i in range(4):
    began = time.perf_counter()
    matcher.knnMatch(q, x, k=5)
    times.append(time.perf_counter() - began)
print(statistics.median(times[1:]), "OpenCV", cv2.__version__)
"""
CASES = {
    "l2, 10000 x 100000 x 128, k 5": (["--runs", "1"], SKLEARN),
    "l1, 1500 x 1500 x 400, k 5": (["--base", "1500", "--queries", "1500", "--d", "400", "--metric", "l1", "--runs", "3"],
                                   OPENCV),
}

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default="build/release", help="the build folder")
parser.add_argument("--peer", default=sys.executable, help="a Python that has scikit-learn and OpenCV")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
parser.add_argument("--json", help="write the rows to this file")
args = parser.parse_args()

found = [p for p in Path(args.build).rglob("bench_knn_speed") if p.is_file() and os.access(p, os.X_OK)]
if not found:
    sys.exit(f"knn_compare.py: no program bench_knn_speed below {args.build}; build it first")
if subprocess.run([args.peer, "-c", "import sklearn, cv2"], capture_output=True).returncode:
    sys.exit(f"knn_compare.py: {args.peer} lacks scikit-learn or OpenCV; name one that has both with --peer")

rows = []
for case, (options, script) in CASES.items():
    for threads in args.threads:
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
        ours, theirs, name = [], [], ""
        for _ in range(args.rounds):
            out = subprocess.run([str(found[0]), "--threads", str(threads)] + options, check=True, capture_output=True,
                                 text=True).stdout.split()
            ours.append(statistics.median(float(v) for v in out))
            out = subprocess.run([args.peer, "-c", script, str(threads)], check=True, capture_output=True, text=True,
                                 env=environment).stdout.split(maxsplit=1)
            theirs.append(float(out[0]))
            name = out[1].strip()
        tenon, peer = statistics.median(ours), statistics.median(theirs)
        rows.append({"case": "kNN " + case, "threads": threads, "tenon": round(tenon, 4), "peer": round(peer, 4),
                     "peer_name": name, "unit": "s", "ratio": round(peer / tenon, 3)})
        print(f"{rows[-1]['case']:34} {threads} thread(s)   tenon {tenon:7.4f}   {name} {peer:7.4f} s   "
              f"ratio {peer / tenon:.2f}", flush=True)
if args.json:
    Path(args.json).write_text(json.dumps(rows, indent=2) + "\n")
