#!/usr/bin/env python3
"""SIFT beside OpenCV and VLFeat on picture pairs with known homographies.

    TENON_DATA=DIR python3 bench/sift_quality.py --build build/release [--json FILE]

Protocol, for each sequence of DIR/oxford: the 2000 strongest key points of each picture, mutual nearest neighbours by
Euclidean distance; a match is right within 3 px under the homography; means over the pairs 1 to 2 … 6. Everybody gets
the same 8-bit gray pixels. OpenCV is measured where this Python has it (package opencv-python-headless), VLFeat where a
C compiler finds vl/sift.h (Debian package libvlfeat-dev); what is missing is said, and how to get it.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default=os.environ.get("TENON_DATA"))
parser.add_argument("--build", default="build/release")
parser.add_argument("--most", type=int, default=2000)
parser.add_argument("--json", help="write the rows to this file")
args = parser.parse_args()
if not args.data:
    sys.exit("sift_quality.py: name the data folder with --data or TENON_DATA")
programs = [p for p in Path(args.build).rglob("bench_sift_quality") if p.is_file() and os.access(p, os.X_OK)]
if not programs:
    sys.exit(f"sift_quality.py: no program bench_sift_quality below {args.build}; build it first")


class Missing(Exception):
    """A peer that is not here, and how to get it."""


def read_gray(path):
    """A binary PGM or PPM as (H,W) uint8; colour by the usual luma weights."""
    data = path.read_bytes()
    fields, at = [], 0
    while len(fields) < 4:
        end = at
        while data[end:end + 1] not in (b" ", b"\n", b"\t", b"\r"):
            end += 1
        word = data[at:end]
        if word.startswith(b"#"):
            end = data.index(b"\n", at)
        elif word:
            fields.append(word)
        at = end + 1
    channels = 3 if fields[0] == b"P6" else 1
    width, height = int(fields[1]), int(fields[2])
    pixels = np.frombuffer(data, np.uint8, width * height * channels, at).reshape(height, width, channels)
    if channels == 1:
        return pixels[..., 0]
    return np.rint(pixels @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)


def printed_by(command):
    """Features of a program that is given a PGM file after its name and prints a line a key point."""
    def features(gray):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "gray.pgm"
            path.write_bytes(b"P5\n%d %d\n255\n" % (gray.shape[1], gray.shape[0]) + gray.tobytes())
            arguments = [command[0], str(path), *command[1:]]
            out = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
        rows = np.array(out.split(), np.float32).reshape(-1, 130)
        return rows[:, :2], rows[:, 2:]
    return features


def tenon(preset):
    return printed_by([str(programs[0]), "--preset", preset, "--most", str(args.most)])


def root(descriptors):
    return np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-12))


def opencv(rooted):
    try:
        import cv2
    except ImportError as e:
        raise Missing("OpenCV: pip install opencv-python-headless") from e
    detector = cv2.SIFT_create()

    def features(gray):
        keypoints, descriptors = detector.detectAndCompute(gray, None)
        order = sorted(range(len(keypoints)), key=lambda i: -keypoints[i].response)[:args.most]
        points = np.array([keypoints[i].pt for i in order], np.float32)
        descriptors = descriptors[order].astype(np.float32)
        return points, root(descriptors) if rooted else descriptors
    return "OpenCV " + cv2.__version__ + (" RootSIFT" if rooted else ""), features


def vlfeat(rooted):
    program = scratch / "sift_vlfeat"
    source = Path(__file__).with_name("sift_vlfeat.c")
    compiler = os.environ.get("CC", "cc")
    if not program.exists() and (not shutil.which(compiler) or subprocess.run(
            [compiler, "-O2", str(source), "-o", str(program), "-lvl", "-lm"], capture_output=True).returncode):
        raise Missing("VLFeat: apt-get install libvlfeat-dev, and a C compiler")
    found = printed_by([str(program), str(args.most)])

    def features(gray):
        points, descriptors = found(gray)
        return points, root(descriptors) if rooted else descriptors
    return "VLFeat" + (" RootSIFT" if rooted else ""), features


def right_matches(a, b, homography):
    (p, d), (q, e) = a, b
    distance = (d * d).sum(1)[:, None] - 2 * d @ e.T + (e * e).sum(1)[None, :]
    there, back = distance.argmin(1), distance.argmin(0)
    mutual = np.flatnonzero(back[there] == np.arange(len(p)))
    image = np.c_[p[mutual], np.ones(len(mutual))] @ homography.T
    error = np.hypot(*(image[:, :2] / image[:, 2:] - q[there[mutual]]).T)
    return int((error < 3).sum()), len(mutual)


build_folder = tempfile.TemporaryDirectory()
scratch = Path(build_folder.name)
methods = [("Tenon", tenon("default")), ("Tenon, plain SIFT", tenon("plain"))]
for make, rooted in ((opencv, False), (opencv, True), (vlfeat, False), (vlfeat, True)):
    try:
        methods.append(make(rooted))
    except Missing as e:
        if not rooted:
            print(f"not measured: {e}")

rows = []
for folder in sorted(p for p in (Path(args.data) / "oxford").iterdir() if p.is_dir()):
    pictures = [read_gray(next(folder.glob(f"img{i}.p[gp]m"))) for i in range(1, 7)]
    for name, features in methods:
        found = [features(g) for g in pictures]
        results = [right_matches(found[0], found[k], np.loadtxt(folder / f"H1to{k + 1}p")) for k in range(1, 6)]
        right = float(np.mean([r for r, _ in results]))
        precision = float(np.mean([r / max(m, 1) for r, m in results]))
        rows.append({"sequence": folder.name, "method": name, "right": round(right, 1), "precision": round(precision, 4)})
        print(f"{folder.name:8} {name:24} {right:7.1f} right   precision {precision:.3f}", flush=True)
if args.json:
    Path(args.json).write_text(json.dumps(rows, indent=2) + "\n")
