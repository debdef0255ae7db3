#!/usr/bin/env python3
"""Tenon beside PyTorch on the same machine in the same run: training steps, images/s.

    cmake --build build/release --target bench_train_speed
    python3 bench/compare.py --build build/release [--torch PYTHON] [--json FILE]

The two take turns, round by round, so that a busy machine is unfair to neither; each figure is the median of its
rounds' medians. PyTorch gets the better of its two memory layouts. A ratio above 1 means that Tenon is faster.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default="build/release", help="the build folder")
parser.add_argument("--torch", default=sys.executable, help="a Python that has PyTorch")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
parser.add_argument("--models", nargs="+", default=["lenet5", "resnet20"])
parser.add_argument("--json", help="write the rows to this file")
args = parser.parse_args()

here = Path(__file__).resolve().parent
found = [p for p in Path(args.build).rglob("bench_train_speed") if p.is_file() and os.access(p, os.X_OK)]
if not found:
    sys.exit(f"compare.py: no program bench_train_speed below {args.build}; build it first")
# The peer at its best: memory is kept, not returned and faulted in again, and no processor type is forced on it.
environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
environment |= {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296"}
torch_version = subprocess.run([args.torch, "-c", "import torch; print(torch.__version__)"], capture_output=True,
                               text=True)
if torch_version.returncode:
    sys.exit(f"compare.py: {args.torch} has no PyTorch; name one that has with --torch")
peer_name = "PyTorch " + torch_version.stdout.strip()


def speed(command):
    lines = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.split()
    return statistics.median(float(line) for line in lines)


rows = []
for model in args.models:
    for threads in args.threads:
        options = ["--model", model, "--threads", str(threads), "--steps", "30" if model == "lenet5" else "8"]
        runs = {"tenon": [str(found[0])] + options}
        for layout in ("nchw", "channels_last"):
            script = str(here / "train_speed_torch.py")
            runs[layout] = [args.torch, script, "--layout", layout] + options
        figures = {name: [] for name in runs}
        for _ in range(args.rounds):
            for name, command in runs.items():
                figures[name].append(speed(command))
        tenon = statistics.median(figures["tenon"])
        peer = max(statistics.median(figures["nchw"]), statistics.median(figures["channels_last"]))
        rows.append({"case": f"{model} training, batch 128", "threads": threads, "tenon": round(tenon, 1),
                     "peer": round(peer, 1), "peer_name": peer_name, "unit": "images/s",
                     "ratio": round(tenon / peer, 3)})
        print(f"{rows[-1]['case']:32} {threads} thread(s)   tenon {tenon:9.1f}   {peer_name} {peer:9.1f} images/s   "
              f"ratio {tenon / peer:.2f}", flush=True)
if args.json:
    Path(args.json).write_text(json.dumps(rows, indent=2) + "\n")
