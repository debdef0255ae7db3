"""Checks of what the program cifar left behind.

  cifar_results.py contract OUT LINE      OUT fulfils the contract of programs; LINE is the last line printed
  cifar_results.py same OUT OUT MODEL...  two runs found the same, but for times; the checkpoints agree bit for bit
"""
import json
import pathlib
import re
import struct
import sys
import xml.etree.ElementTree as xml


def contract(out, line):
    results = json.loads((out / "results.json").read_text())
    assert set(results) == {"program", "config", "metrics", "seconds", "peak_bytes"}, sorted(results)
    assert results["program"] == "cifar"
    assert results["seconds"] > 0 and results["peak_bytes"] > 0
    found = re.fullmatch(r"accuracy (0\.\d{4}|1\.0000)", line)
    assert found, f"the last line is {line!r}"
    assert found[1] == f"{results['metrics']['accuracy']:.4f}", (line, results["metrics"]["accuracy"])
    for key in ("data", "device", "seed", "threads", "epochs", "batch", "lr", "schedule"):
        assert key in results["config"], key

    drawings = sorted(out.glob("*.svg"))
    assert drawings, "no SVG"
    for drawing in drawings:
        assert xml.parse(drawing).getroot().tag == "{http://www.w3.org/2000/svg}svg", drawing
        assert drawing.with_suffix(".png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n"), drawing
    assert len(drawings) == len(list(out.glob("*.png")))

    page = (out / "report.html").read_text()
    sources = re.findall(r"\b(?:src|href|data|action)\s*=\s*[\"']?([^\"'\s>]*)", page)
    assert len(sources) == len(drawings), (len(sources), len(drawings))
    assert all(s.startswith("data:image/") for s in sources), [s[:40] for s in sources]
    for outside in ("<script", "<link", "<iframe", "@import", "url("):
        assert outside not in page, outside
    rest = {p.name for p in out.iterdir()} - {d.with_suffix(e).name for d in drawings for e in (".svg", ".png")}
    assert rest == {"results.json", "report.html", "checkpoints"}, rest


def without_times(value):
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in ("seconds", "images_per_second")}
    return [without_times(v) for v in value] if isinstance(value, list) else value


def checkpoint(path):
    """The elements of all tensors, and the metadata without times."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    metadata = header.pop("__metadata__")
    return data[8 + size :], header, metadata["values"], without_times(json.loads(metadata["run"]))


def same(first, second, models):
    a, b = (json.loads((out / "results.json").read_text()) for out in (first, second))
    assert without_times(a["metrics"]) == without_times(b["metrics"]), "metrics"
    for model in models:
        for name in ("last", "best"):
            place = pathlib.Path("checkpoints") / model / f"{name}.safetensors"
            for x, y, what in zip(checkpoint(first / place), checkpoint(second / place), ("elements", "header", "values", "run")):
                assert x == y, f"{place}: {what}"


out = pathlib.Path(sys.argv[2])
if sys.argv[1] == "contract":
    contract(out, sys.argv[3])
else:
    same(out, pathlib.Path(sys.argv[3]), sys.argv[4:])
