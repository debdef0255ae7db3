#!/usr/bin/env python3
"""Tenon's k-means beside scikit-learn's: 100,000 x 128 points, 400 centres, 10 iterations, on the same machine in the
same run.

    cmake --build build/release --target bench_kmeans_speed
    python3 bench/kmeans_compare.py --build build/release [--peer PYTHON] [--json FILE]

The two take turns, round by round; each figure is the median of its rounds. A ratio above 1 means that Tenon is
faster. `inertia` is Tenon's divided by scikit-learn's: from given centres it should be 1, from k-means++ about 1.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

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
print(time.perf_counter() - began, model.inertia_, sklearn.__version__)
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

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default="build/release", help="the build folder")
parser.add_argument("--peer", default=sys.executable, help="a Python that has scikit-learn")
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
parser.add_argument("--data", nargs="+", default=["uniform", "groups"], choices=["uniform", "groups"])
parser.add_argument("--init", nargs="+", default=["given", "greedy"], choices=["given", "greedy"])
parser.add_argument("--json", help="write the rows to this file")
args = parser.parse_args()

found = [p for p in Path(args.build).rglob("bench_kmeans_speed") if p.is_file() and os.access(p, os.X_OK)]
if not found:
    sys.exit(f"kmeans_compare.py: no program bench_kmeans_speed below {args.build}; build it first")
if subprocess.run([args.peer, "-c", "import sklearn"], capture_output=True).returncode:
    sys.exit(f"kmeans_compare.py: {args.peer} has no scikit-learn; name one that has with --peer")

rows = []
with tempfile.TemporaryDirectory() as folder:
    file = str(Path(folder) / "points.f32")
    for data in args.data:
        subprocess.run([args.peer, "-c", MAKE, file, data], check=True)
        for init in args.init:
            for threads in args.threads:
                environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
                ours, theirs = [], []
                for i in range(args.rounds):
                    command = [str(found[0]), file, "--init", init, "--threads", str(threads)]
                    ours.append(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
                    command = [args.peer, "-c", PEER, file, init, str(i)]
                    theirs.append(subprocess.run(command, check=True, capture_output=True, text=True,
                                                 env=environment).stdout.split())
                tenon, peer = (statistics.median(float(r[0]) for r in runs) for runs in (ours, theirs))
                quality = (statistics.mean(float(r[1]) for r in ours) / statistics.mean(float(r[1]) for r in theirs))
                rows.append({"case": f"k-means, {data}, {init}", "threads": threads, "tenon": round(tenon, 3),
                             "peer": round(peer, 3), "peer_name": "scikit-learn " + theirs[0][2], "unit": "s",
                             "ratio": round(peer / tenon, 3), "inertia": round(quality, 6)})
                print(f"{rows[-1]['case']:26} {threads} thread(s)   tenon {tenon:7.3f}   {rows[-1]['peer_name']} "
                      f"{peer:7.3f} s   ratio {peer / tenon:.2f}   inertia {quality:.5f}", flush=True)
if args.json:
    Path(args.json).write_text(json.dumps(rows, indent=2) + "\n")
