"""Made-up data sets for the tests of the program cifar.

  cifar_data.py binary DIR TRAIN TEST   CIFAR-10's binary files with so many pictures
  cifar_data.py folder DIR TRAIN VAL    train/ and val/ with PPM pictures and annotations.json

A picture is noise over a pattern of its class, so that a network can learn something in a few steps.
"""
import json
import pathlib
import random
import sys


def pixel(label, x, y, channel, noise):
    lit = (x // (label + 2) + y // (11 - label) + channel * (label % 3)) % 2
    return min(255, max(0, 60 + 120 * lit + noise.randrange(-50, 51)))


def planes(label, noise):
    return bytes(pixel(label, x, y, c, noise) for c in range(3) for y in range(32) for x in range(32))


def write_binary(folder, train, test):
    noise = random.Random(1)
    for name, count in (("data_batch_1.bin", train), ("test_batch.bin", test)):
        (folder / name).write_bytes(b"".join(bytes([i % 10]) + planes(i % 10, noise) for i in range(count)))


def write_folder(folder, train, val):
    noise = random.Random(2)
    for part, count in (("train", train), ("val", val)):
        (folder / part).mkdir()
        names = [f"{i}.ppm" for i in range(count)]
        for i, name in enumerate(names):
            p = planes(i % 10, noise)
            pixels = bytes(p[c * 1024 + k] for k in range(1024) for c in range(3))
            (folder / part / name).write_bytes(b"P6 32 32 255\n" + pixels)
        annotations = {"filenames": names, "labels": [i % 10 for i in range(count)]}
        (folder / part / "annotations.json").write_text(json.dumps(annotations))


kind, folder, first, second = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
folder.mkdir(parents=True)
{"binary": write_binary, "folder": write_folder}[kind](folder, first, second)
