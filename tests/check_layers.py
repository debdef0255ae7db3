#!/usr/bin/env python3
"""Checks the include structure of include/tenon: layers, cycles, third-party headers, macros.

    check_layers.py [ROOT]       checks ROOT/include/tenon (default: the checkout this file stands in)
    check_layers.py --self-test  plants one violation of each kind and sees it caught

Prints one line a violation and exits with 1 if there is any.
"""

import re
import sys
import tempfile
from pathlib import Path

# Lowest first: a header includes only its own layer and those before it.
LAYERS = [
    "core", "backend/cpu", "backend/cuda", "tensor", "autograd", "nn", "models", "optim", "io", "image",
    "features", "cluster", "neighbors", "decomposition", "svm", "bovw", "data", "train", "report", "dist",
]

# (what, pattern of the included name, where it may stand)
ONLY_HERE = [
    ("nlohmann/json", r"nlohmann/", r"io/json\.hpp"),
    ("zlib", r"zlib\.h|zconf\.h", r"io/gzip\.hpp"),
    ("cairo", r"cairo", r"report/canvas\.hpp"),
    ("stb", r"(stb/)?stb_", r"image/.*"),
    ("CUDA", r"cuda|cublas|cudnn|nccl|nvrtc", r"backend/cuda/.*|dist/.*"),
    ("MPI", r"mpi\.h", r"dist/.*"),
    ("iostreams", r"(iostream|fstream|sstream|iomanip|ostream|istream)$",
     r"(?!core/|backend/|tensor/|autograd/|nn/).*"),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
DEFINE = re.compile(r"^\s*#\s*(define|undef)\s+(\w+)")


def layer_of(name):
    """The layer's position of a header named from include/tenon, or None for a top-level header."""
    folder = name.rpartition("/")[0]
    for position, layer in enumerate(LAYERS):
        if folder == layer or folder.startswith(layer + "/"):
            return position
    return None


def find_cycle(graph):
    """One cycle of the include graph as a list of names, or None."""
    done, path = set(), []

    def visit(node):
        if node in path:
            return path[path.index(node):] + [node]
        if node in done:
            return None
        path.append(node)
        for target in graph[node]:
            cycle = visit(target)
            if cycle:
                return cycle
        path.pop()
        done.add(node)
        return None

    for start in sorted(graph):
        cycle = visit(start)
        if cycle:
            return cycle
    return None


def check(root):
    """The violations, one line each."""
    base = Path(root) / "include" / "tenon"
    names = sorted(p.relative_to(base).as_posix() for p in base.rglob("*.hpp"))
    if not names:
        return [f"{base}: no headers found"]
    problems, graph, eigen_users = [], {}, []

    for name in names:
        where = f"include/tenon/{name}"
        own = layer_of(name)
        if own is None and "/" in name:
            problems.append(f"{where}: its folder is no layer; known are {', '.join(LAYERS)}")
        graph[name] = []
        macros = {}
        lines = (base / name).read_text(encoding="utf-8").splitlines()
        if not any(line.strip() == "#pragma once" for line in lines):
            problems.append(f"{where}: no #pragma once")
        for number, line in enumerate(lines, 1):
            at = f"{where}:{number}"
            if match := DEFINE.match(line):
                if match[1] == "define":
                    macros[match[2]] = at
                else:
                    macros.pop(match[2], None)
            match = INCLUDE.match(line)
            if not match:
                continue
            quote, target = match.groups()
            if target.startswith("tenon/"):
                target = target[len("tenon/"):]
                if not (base / target).is_file():
                    problems.append(f"{at}: includes tenon/{target}, which does not exist")
                    continue
                graph[name].append(target)
                other = layer_of(target)
                if own is None:
                    if name == "tenon.hpp" and target.startswith("backend/cuda/"):
                        problems.append(f"{at}: the CPU umbrella includes the CUDA header tenon/{target}")
                elif other is None:
                    problems.append(f"{at}: {LAYERS[own]} includes the umbrella header tenon/{target}")
                elif other > own:
                    problems.append(
                        f"{at}: {LAYERS[own]} includes tenon/{target} of the higher layer {LAYERS[other]}")
                continue
            if quote == '"':
                problems.append(f'{at}: "{target}" is not named from include/, write "tenon/..."')
            if re.match(r"(eigen3/)?(unsupported/)?Eigen/", target):
                eigen_users.append(name)
            for what, pattern, place in ONLY_HERE:
                if re.match(pattern, target) and not re.fullmatch(place, name):
                    problems.append(f"{at}: includes <{target}>, but {what} may stand only in {place}")
        for macro, at in macros.items():
            problems.append(f"{at}: macro {macro} reaches the user; headers define none (or undefine it)")

    eigen_users = sorted(set(eigen_users))
    if len(eigen_users) > 1:
        problems.append("Eigen is included by more than one header: " + ", ".join(eigen_users))
    if cycle := find_cycle(graph):
        problems.append("include cycle: " + " -> ".join(cycle))
    return problems


def self_test():
    """Each violation, planted alone in a clean tree, must be the one thing reported."""
    clean = {
        "core/a.hpp": "",
        "core/b.hpp": '#include "tenon/core/a.hpp"\n#define LOCAL 1\n#undef LOCAL\n',
        "tensor/t.hpp": '#include "tenon/core/b.hpp"\n',
        "io/json.hpp": "#include <nlohmann/json.hpp>\n",
        "tenon.hpp": '#include "tenon/tensor/t.hpp"\n',
    }
    plants = {
        "higher layer": {"core/bad.hpp": '#include "tenon/tensor/t.hpp"\n'},
        "umbrella": {"tensor/bad.hpp": '#include "tenon/tenon.hpp"\n'},
        "include cycle": {"core/bad.hpp": '#include "tenon/core/c.hpp"\n',
                          "core/c.hpp": '#include "tenon/core/bad.hpp"\n'},
        "does not exist": {"core/bad.hpp": '#include "tenon/core/none.hpp"\n'},
        "not named from include/": {"core/bad.hpp": '#include "a.hpp"\n'},
        "nlohmann/json may stand only": {"io/bad.hpp": "#include <nlohmann/json.hpp>\n"},
        "zlib may stand only": {"io/bad.hpp": "#  include <zlib.h>\n"},
        "cairo may stand only": {"report/bad.hpp": "#include <cairo/cairo-svg.h>\n"},
        "stb may stand only": {"io/bad.hpp": "#include <stb/stb_image.h>\n"},
        "CUDA may stand only": {"tensor/bad.hpp": "#include <cuda_runtime_api.h>\n"},
        "iostreams may stand only": {"nn/bad.hpp": "#include <iostream>\n"},
        "more than one header": {"core/bad.hpp": "#include <Eigen/Core>\n",
                                 "core/c.hpp": "#include <Eigen/SVD>\n"},
        "reaches the user": {"core/bad.hpp": "#define TENON_BAD 1\n"},
        "no layer": {"misc/bad.hpp": ""},
        "no #pragma once": {"core/bad.hpp": None},
        "CPU umbrella": {"backend/cuda/x.hpp": "", "tenon.hpp": '#include "tenon/backend/cuda/x.hpp"\n'},
    }

    def problems_with(files):
        with tempfile.TemporaryDirectory() as root:
            for name, content in files.items():
                path = Path(root) / "include" / "tenon" / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("" if content is None else "#pragma once\n" + content, encoding="utf-8")
            return check(root)

    missed = []
    if found := problems_with(clean):
        missed.append(f"the clean tree is refused: {found}")
    for message, planted in plants.items():
        found = problems_with({**clean, **planted})
        if len(found) != 1 or message not in found[0]:
            missed.append(f"planted '{message}', reported {found}")
    return missed


def main(arguments):
    if arguments == ["--self-test"]:
        problems = self_test()
    elif len(arguments) <= 1 and not (arguments and arguments[0].startswith("-")):
        problems = check(arguments[0] if arguments else Path(__file__).resolve().parent.parent)
    else:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
