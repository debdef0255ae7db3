#!/usr/bin/env python3
"""Tenon's k-means beside scikit-learn's: 100,000 x 128 points, 400 centres, 10 iterations, on the same machine in the
same run.

    cmake --build build/release --target bench_kmeans_speed
    python3 bench/kmeans_compare.py --build build/release [--peer PYTHON] [--json FILE]

The two take turns, round by round; each figure is the median of its rounds. A ratio above 1 means that Tenon is
faster. `inertia` is Tenon's divided by scikit-learn's: from given centres it should be 1, from k-means++ about 1.
"""
import statistics
import subprocess
import tempfile
from pathlib import Path

from in_turns import Rows, in_turns, need_modules, options, program

PEER = """
import sys, time, warnings
import numpy as np, sklearn
from sklearn.cluster import KMeans
warnings.simplefilter("ignore")
file, init, seed = sys.argv[1:]
x = np.fromfile(file, np.float32).reshape(-1, 128)
start = x[:400].copy() if init == "given" else "k-means++"
began = time.perf_counter()
model = KMeans(400, init=start, n_init=1, max_iter=10, tol=0, random_state=int(seed)).fit(x)
print(time.perf_counter() - began, model.inertia_, "scikit-learn", sklearn.__version__)
"""
MAKE = """
import sys, numpy as np
rng = np.random.default_rng(0)
if sys.argv[2] == "uniform":
    x = rng.random((100000, 128), dtype=np.float32)
else:  # overlapping groups
    x = rng.normal(size=(1000, 128))[rng.integers(0, 1000, 100000)] + rng.normal(size=(100000, 128)) * 0.7
x.astype(np.float32).tofile(sys.argv[1])
"""

parser = options(__doc__, "scikit-learn")
parser.add_argument("--data", nargs="+", default=["uniform", "groups"], choices=["uniform", "groups"])
parser.add_argument("--init", nargs="+", default=["given", "greedy"], choices=["given", "greedy"])
args = parser.parse_args()
tenon = program(args.build, "bench_kmeans_speed")
need_modules(args.peer, "sklearn", "scikit-learn")

rows = Rows(width=26, digits=3)
with tempfile.TemporaryDirectory() as folder:
    file = str(Path(folder) / "points.f32")
    for data in args.data:
        subprocess.run([args.peer, "-c", MAKE, file, data], check=True)
        for init in args.init:
            for threads in args.threads:
                ours, theirs = in_turns(args.rounds, threads,
                                        lambda _: [tenon, file, "--init", init, "--threads", str(threads)],
                                        lambda i: [args.peer, "-c", PEER, file, init, str(i)])
                seconds, inertia = ([[float(run[k]) for run in runs] for runs in (ours, theirs)] for k in (0, 1))
                rows.add(f"k-means, {data}, {init}", threads, *seconds, " ".join(theirs[0][2:]),
                         inertia=round(statistics.mean(inertia[0]) / statistics.mean(inertia[1]), 6))
rows.write(args.json)
