#!/usr/bin/env python3
"""Tenon's exact nearest neighbours beside scikit-learn's (L2) and OpenCV's brute-force matcher (L1), on the same
machine in the same run.

    cmake --build build/release --target bench_knn_speed
    python3 bench/knn_compare.py --build build/release [--peer PYTHON] [--json FILE]

The two take turns, round by round; each figure is the median of its rounds. A ratio above 1 means that Tenon is
faster.
"""
import statistics

from in_turns import Rows, in_turns, need_modules, options, program

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

args = options(__doc__, "scikit-learn and OpenCV").parse_args()
tenon = program(args.build, "bench_knn_speed")
need_modules(args.peer, "sklearn, cv2", "scikit-learn or no OpenCV")

rows = Rows(width=34, digits=4)
for case, (shape, script) in CASES.items():
    for threads in args.threads:
        ours, theirs = in_turns(args.rounds, threads, lambda _: [tenon, "--threads", str(threads), *shape],
                                lambda _: [args.peer, "-c", script, str(threads)])
        rows.add("kNN " + case, threads, [statistics.median(float(v) for v in run) for run in ours],
                 [float(run[0]) for run in theirs], " ".join(theirs[0][1:]))
rows.write(args.json)
