#!/usr/bin/env python3
"""Prints resize_golden.hpp: pictures resized by Pillow, which test_resize.cpp must meet byte for byte.

    python3 tests/unit/resize_golden.py > tests/unit/resize_golden.hpp
"""

import numpy as np
import PIL
from PIL import Image

HEIGHT, WIDTH = 11, 13
SIZES = [(5, 4), (3, 13), (11, 7), (20, 17), (1, 1)]  # (height, width)
FILTERS = {"nearest": Image.Resampling.NEAREST, "bilinear": Image.Resampling.BILINEAR,
           "bicubic": Image.Resampling.BICUBIC, "area": Image.Resampling.BOX}


def source(channels):
    """The picture that test_resize.cpp makes by the same rule: sharp edges and every byte value."""
    i = np.arange(HEIGHT * WIDTH * channels, dtype=np.int64)
    return ((i * i * 7 + i * 31) % 256).astype(np.uint8).reshape(HEIGHT, WIDTH, channels)


def wrapped(values, format_one):
    lines, line = [], "    "
    for v in values:
        word = format_one(v) + ", "
        if len(line) + len(word) > 108:
            lines.append(line.rstrip())
            line = "    "
        line += word
    return "\n".join(lines + [line.rstrip().rstrip(",")])


def main():
    print("// Written by resize_golden.py with Pillow %s: do not edit." % PIL.__version__)
    print("#pragma once\n\n#include <cstdint>\n#include <vector>\n\nnamespace tenon::testing {\n")
    print("// A picture of 11×13 pixels, resized. `filter` is the position in image::Filter.")
    print("template <class T>\nstruct ResizeGolden {\n  int filter, height, width, channels;\n  std::vector<T> pixels;\n};\n")
    print("inline const std::vector<ResizeGolden<std::uint8_t>> resize_golden_bytes = {")
    for position, name in enumerate(FILTERS):
        for height, width in SIZES:
            for channels in (1, 3):
                x = source(channels)
                y = np.asarray(Image.fromarray(x[:, :, 0] if channels == 1 else x).resize((width, height), FILTERS[name]))
                print("    {%d, %d, %d, %d, {  // %s\n%s}}," % (position, height, width, channels, name,
                                                               wrapped(y.ravel(), str)))
    print("};\n\ninline const std::vector<ResizeGolden<float>> resize_golden_floats = {")
    for position, name in enumerate(FILTERS):
        for height, width in SIZES[:2]:
            y = np.asarray(Image.fromarray(source(1)[:, :, 0].astype(np.float32) / np.float32(255)).resize((width, height), FILTERS[name]))
            print("    {%d, %d, %d, 1, {  // %s\n%s}}," % (position, height, width, name,
                                                          wrapped(y.ravel(), lambda v: "%.7ff" % v)))
    print("};\n\n}  // namespace tenon::testing")


if __name__ == "__main__":
    main()
