"""What the comparisons of clustering and of neighbours share: their options, taking turns, and the rows they print."""
import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path


def options(description, peers):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", help="the build folder")
    parser.add_argument("--peer", default=sys.executable, help=f"a Python that has {peers}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--json", help="write the rows to this file")
    return parser


def stop(text):
    sys.exit(f"{Path(sys.argv[0]).name}: {text}")


def program(build, name):
    found = [p for p in Path(build).rglob(name) if p.is_file() and os.access(p, os.X_OK)]
    return str(found[0]) if found else stop(f"no program {name} below {build}; build it first")


def need_modules(python, modules, peers):
    if subprocess.run([python, "-c", f"import {modules}"], capture_output=True).returncode:
        stop(f"{python} has no {peers}; name one that has with --peer")


def in_turns(rounds, threads, ours, theirs):
    """The words that the commands ours(round) and theirs(round) print: two lists, an entry a round. The peer's
    libraries are held to the number of threads; ours is told on its command line."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    printed = [], []
    for i in range(rounds):
        for command, out, env in zip((ours(i), theirs(i)), printed, (None, environment)):
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
            out.append(done.stdout.split())
    return printed


class Rows:
    """Medians of seconds, printed as they come and written at the end."""

    def __init__(self, width, digits):
        self.width, self.digits, self.rows = width, digits, []

    def add(self, case, threads, ours, theirs, peer_name, **more):
        tenon, peer = statistics.median(ours), statistics.median(theirs)
        self.rows.append({"case": case, "threads": threads, "tenon": round(tenon, self.digits),
                          "peer": round(peer, self.digits), "peer_name": peer_name, "unit": "s",
                          "ratio": round(peer / tenon, 3), **more})
        seconds = f"7.{self.digits}f"
        print(f"{case:{self.width}} {threads} thread(s)   tenon {tenon:{seconds}}   {peer_name} {peer:{seconds}} s   "
              f"ratio {peer / tenon:.2f}" + "".join(f"   {name} {value:.5f}" for name, value in more.items()), flush=True)

    def write(self, path):
        if path:
            Path(path).write_text(json.dumps(self.rows, indent=2) + "\n")
