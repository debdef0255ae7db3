#!/usr/bin/env python3
"""Tenon beside its peers on the same machine in the same run: training and inference beside PyTorch, matrix products
beside oneDNN, OpenBLAS and Eigen, convolutions beside oneDNN, and peak memory beside PyTorch.

    pip install onednn-cpu-gomp onednn-devel-cpu-gomp     # into $VENV; Debian's oneDNN is too old
    cmake -S . -B build/release -DCMAKE_PREFIX_PATH=$VENV && cmake --build build/release
    python3 bench/compare.py --build build/release [--torch PYTHON] [--only gemm conv] [--quick] [--json FILE]

The two take turns, so that a busy machine is unfair to neither: networks round by round, where a figure is the median
of the rounds' medians, matrix products and convolutions in slices of some milliseconds, where a figure is the median of
the slices and a ratio the median of their ratios. Every process is pinned to as many processors as it has threads.
PyTorch gets the better of its two memory layouts and, for inference, of its forms (eager, folded, frozen, compiled);
oneDNN the better of N,H,W,C and of the layouts it likes best. A ratio above 1 means that Tenon is faster or smaller.
Peers that are missing are left out.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
from itertools import product
from pathlib import Path

KINDS = ["training", "inference", "gemm", "conv", "memory"]
parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--build", default="build/release", help="the build folder")
parser.add_argument("--torch", default=sys.executable, help="a Python that has PyTorch")
parser.add_argument("--only", nargs="+", choices=KINDS, default=KINDS)
parser.add_argument("--rounds", type=int, help="turns of each side, of 10 slices each: 5, or 2 with --quick")
parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
parser.add_argument("--models", nargs="+", choices=["lenet5", "resnet20", "resnet50"],
                    default=["lenet5", "resnet20", "resnet50"], help="of training")
parser.add_argument("--cases", nargs="+", help="gemm and conv: only the cases whose names contain one of these")
parser.add_argument("--forms", nargs="+", choices=["eager", "folded", "frozen", "compiled"],
                    help="of inference in PyTorch; all, or with --quick only frozen")
parser.add_argument("--quick", action="store_true", help="fewer steps and rounds")
parser.add_argument("--cpu-time", action="store_true",
                    help="on a busy machine: count time on the processor, and so compare one thread only")
parser.add_argument("--json", help="write the rows to this file")
args = parser.parse_args()
rounds = args.rounds or (2 if args.quick else 5)
if args.cpu_time:
    args.threads = [1]

here = Path(__file__).resolve().parent
# The peer at its best: memory is kept, not returned and faulted in again; no processor type is forced on it; its
# threads stay where they are.
environment = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
environment |= {"MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "4294967296",
                "OMP_PROC_BIND": "close", "OMP_PLACES": "cores", "TENON_BIND_THREADS": "1"}
# Between slices OpenMP's threads must not keep a processor that is another's turn: they may spin for some 100 µs.
turn_taking = environment | {"GOMP_SPINCOUNT": "20000"}
processors = sorted(os.sched_getaffinity(0))
rows = []


def program(name):
    found = [p for p in Path(args.build).rglob(name) if p.is_file() and os.access(p, os.X_OK)]
    return str(found[0]) if found else None


def needed(name):
    return program(name) or sys.exit(f"compare.py: no program {name} below {args.build}; build it first")


def run(command, threads):
    """The lines that a command prints, on as many processors as it has threads."""
    options = ["--threads", str(threads)] + (["--cpu-time"] if args.cpu_time else [])
    done = subprocess.run(command + options, capture_output=True, text=True, env=environment,
                          preexec_fn=lambda: os.sched_setaffinity(0, processors[:threads]))
    if done.returncode:
        sys.exit(f"compare.py: {' '.join(command)} failed:\n{done.stderr.strip()}")
    return done.stdout.splitlines()


def version_of(command):
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    return done.stdout.strip() if done.returncode == 0 else None


def add(case, threads, tenon, peer, peer_name, unit, smaller_is_better=False, ratio=None):
    ratio = ratio or (peer / tenon if smaller_is_better else tenon / peer)
    rows.append({"case": case, "threads": threads, "tenon": round(tenon, 1), "peer": round(peer, 1),
                 "peer_name": peer_name, "unit": unit, "ratio": round(ratio, 3)})
    print(f"{case:46} {threads} thread(s)   tenon {tenon:9.1f}   {peer_name} {peer:9.1f} {unit}   ratio {ratio:.2f}",
          flush=True)


def networks(torch_name):
    """Training and inference; the memory of both comes along."""
    tenon = needed("bench_train_speed")
    work = []
    if {"training", "memory"} & set(args.only):
        for model in args.models:
            steps = {"lenet5": 40, "resnet20": 12, "resnet50": 4}[model]
            work.append((model, "training", 8 if model == "resnet50" else 128, steps))
    if {"inference", "memory"} & set(args.only):
        work += [("resnet50", "inference", 1, 30), ("resnet50", "inference", 8, 8)]
    for (model, mode, batch, steps), threads in product(work, args.threads):
        options = ["--model", model, "--mode", mode, "--batch", str(batch),
                   "--steps", str(max(3, steps // 4) if args.quick else steps)]
        forms = ["eager"] if mode == "training" else args.forms or (
            ["frozen"] if args.quick else ["eager", "folded", "frozen", "compiled"])
        runs = {"tenon": [tenon] + options}
        for form, layout in product(forms, ["nchw", "channels_last"]):
            runs[f"{form}, {layout}"] = [args.torch, str(here / "train_speed_torch.py"), "--form", form,
                                         "--layout", layout] + options
        speed, memory = {name: [] for name in runs}, {name: [] for name in runs}
        for _ in range(rounds):
            for name, command in runs.items():
                lines = run(command, threads)
                speed[name].append(statistics.median(float(line) for line in lines[:-1]))
                memory[name].append(float(lines[-1].split()[1]) / 2**20)
        best = max((name for name in runs if name != "tenon"), key=lambda name: statistics.median(speed[name]))
        case = f"{model} {mode}, batch {batch}"
        if mode in args.only:
            add(case, threads, statistics.median(speed["tenon"]), statistics.median(speed[best]),
                f"{torch_name} ({best})", "images/s")
        if "memory" in args.only:  # of the form that was fastest
            add(f"{case}: peak memory", threads, max(memory["tenon"]), min(memory[best]), f"{torch_name} ({best})", "MiB",
                smaller_is_better=True)


def kernels(kind):
    """GFLOP/s of each matrix product or convolution."""
    tenon = needed("bench_kernel_speed")
    peers = {}
    for name in ["onednn", "openblas", "eigen"] if kind == "gemm" else ["onednn"]:
        path = program(f"bench_peer_{name}")
        if not path:
            print(f"{kind}: no bench_peer_{name} below {args.build}, left out", file=sys.stderr)
            continue
        layouts = {"gemm": [["--layout", "plain"]], "conv": [["--layout", "plain"], ["--layout", "any"]]}[kind]
        label = version_of([path, "--version"]).splitlines()[0]
        peers[label] = [[path] + layout for layout in layouts] if name == "onednn" else [[path]]
    cases = [word for word in version_of([tenon, "--list", kind]).split()
             if not args.cases or any(part in word for part in args.cases)]
    for case, threads in product(cases, args.threads):
        speed = slices({"tenon": [[tenon]], **peers}, case, threads)
        best = {name: max(variants, key=statistics.median) for name, variants in speed.items()}
        for name in peers:
            add(case, threads, statistics.median(best["tenon"]), statistics.median(best[name]), name, "GFLOP/s",
                ratio=statistics.median(ours / theirs for ours, theirs in zip(best["tenon"], best[name])))


def slices(commands, case, threads):
    """GFLOP/s of each variant of each command, a list for its slices. While one runs the others wait for their turn."""
    options = [case, "--turns", "--threads", str(threads)] + (["--cpu-time"] if args.cpu_time else [])
    running = {name: [subprocess.Popen(command + options, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                       env=turn_taking, preexec_fn=lambda: os.sched_setaffinity(0, processors[:threads]))
                      for command in variants] for name, variants in commands.items()}
    speed = {name: [[] for _ in variants] for name, variants in running.items()}
    for turn in range(10 * rounds + 1):
        for name in running:
            for process, figures in zip(running[name], speed[name]):
                try:
                    print(file=process.stdin, flush=True)
                    line = process.stdout.readline()
                except BrokenPipeError:
                    line = ""
                if not line:
                    sys.exit(f"compare.py: {' '.join(process.args)} failed")
                if turn > 0:  # the first is for warming up
                    figures.append(float(line))
    for process in sum(running.values(), []):
        process.stdin.close()
        process.wait()
    return speed


if {"training", "inference", "memory"} & set(args.only):
    torch_version = version_of([args.torch, "-c", "import torch; print(torch.__version__)"])
    if torch_version:
        networks("PyTorch " + torch_version)
    else:
        print(f"{args.torch} has no PyTorch, left out; name one that has with --torch", file=sys.stderr)
for kind in ["gemm", "conv"]:
    if kind in args.only:
        kernels(kind)
if not rows:
    sys.exit("compare.py: nothing was compared")
if args.json:
    Path(args.json).write_text(json.dumps(rows, indent=2) + "\n")
