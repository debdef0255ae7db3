#!/usr/bin/env python3
"""SIFT beside OpenCV's detectAndCompute, on the same pictures in the same run.

    python3 bench/sift_speed.py IMAGE --build build/release [--opencv PYTHON] [--json FILE]

IMAGE is scaled to each size once and both get the same 8-bit gray file. The two take turns, round by round, so that a
busy machine is unfair to neither; a figure is the median of all runs. A ratio above 1 means that Tenon is faster.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SIZES = [(256, 256), (640, 480), (1920, 1080)]


def peer(path, threads, repeats):
    """Runs in a process of its own: a line a run, milliseconds and key points."""
    import time

    import cv2
    cv2.setNumThreads(threads)
    image = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
    sift = cv2.SIFT_create()
    for i in range(repeats + 1):
        start = time.perf_counter()
        keypoints, _ = sift.detectAndCompute(image, None)
        if i > 0:
            print(f"{1e3 * (time.perf_counter() - start):.3f} {len(keypoints)}")


def scale(source, folder):
    """Writes the picture in every size; the larger ones are tiled before they are scaled, so that detail stays."""
    import cv2
    import numpy as np
    image = cv2.imread(source, cv2.IMREAD_GRAYSCALE)
    if image is None:
        sys.exit(f"sift_speed.py: cannot read {source}")
    for width, height in SIZES:
        tiled = image
        while tiled.shape[0] < height or tiled.shape[1] < width:
            tiled = np.block([[tiled, tiled[:, ::-1]], [tiled[::-1], tiled[::-1, ::-1]]])
        factor = max(width / tiled.shape[1], height / tiled.shape[0])
        size = (max(width, round(tiled.shape[1] * factor)), max(height, round(tiled.shape[0] * factor)))
        small = cv2.resize(tiled, size, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(Path(folder) / f"{width}x{height}.pgm"), small[:height, :width])


def run(command):
    env = {k: v for k, v in os.environ.items() if not k.startswith("OMP_")}
    lines = subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout.splitlines()
    return [(float(line.split()[0]), int(line.split()[1])) for line in lines]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--opencv", default=sys.executable, help="a Python that has OpenCV")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", help="write the rows to this file")
    parser.add_argument("--peer", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--scale", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peer:
        return peer(args.image, args.peer, args.repeats)
    if args.scale:
        return scale(args.image, args.scale)

    found = [p for p in Path(args.build).rglob("bench_sift_speed") if p.is_file() and os.access(p, os.X_OK)]
    if not found:
        sys.exit(f"sift_speed.py: no program bench_sift_speed below {args.build}; build it first")
    version = subprocess.run([args.opencv, "-c", "import cv2; print(cv2.__version__)"], capture_output=True, text=True)
    if version.returncode:
        sys.exit(f"sift_speed.py: {args.opencv} has no OpenCV; name one that has with --opencv")
    peer_name = "OpenCV " + version.stdout.strip()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([args.opencv, __file__, args.image, "--scale", folder], check=True)
        for width, height in SIZES:
            picture = str(Path(folder) / f"{width}x{height}.pgm")
            for threads in args.threads:
                repeats = ["--repeats", str(args.repeats)]
                commands = {"tenon": [str(found[0]), picture, "--threads", str(threads)] + repeats,
                            "peer": [args.opencv, __file__, picture, "--peer", str(threads)] + repeats}
                runs = {name: [] for name in commands}
                for _ in range(args.rounds):
                    for name, command in commands.items():
                        runs[name] += run(command)
                ms = {name: statistics.median(t for t, _ in r) for name, r in runs.items()}
                count = {name: r[0][1] for name, r in runs.items()}
                rows.append({"case": f"SIFT {width}x{height}", "threads": threads, "tenon": round(ms["tenon"], 2),
                             "peer": round(ms["peer"], 2), "peer_name": peer_name, "unit": "ms",
                             "ratio": round(ms["peer"] / ms["tenon"], 3), "tenon_keypoints": count["tenon"],
                             "peer_keypoints": count["peer"]})
                print(f"{width:5}x{height:<5} {threads} thread(s)   tenon {ms['tenon']:8.1f} ms, "
                      f"{count['tenon']:6} key points   {peer_name} {ms['peer']:8.1f} ms, {count['peer']:6} key points"
                      f"   ratio {ms['peer'] / ms['tenon']:.2f}", flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
