#!/usr/bin/env python3
"""Times on PyTorch what bench/cuda/gpu.cpp times on Tenon, and prints the two side by side.

    gpu_compare.py [TENON.csv]     TENON.csv: lines `name,value,unit` from bench_gpu

float without TF32, channels_last, deterministic algorithms not forced: PyTorch as a user would run it.
"""

import csv
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

DEVICE = "cuda"


def seconds_per_call(calls, work):
    for _ in range(10):
        work()
    runs = []
    for _ in range(5):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            work()
        torch.cuda.synchronize()
        runs.append((time.perf_counter() - start) / calls)
    return statistics.median(runs)


class TwinBlock(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(channels, channels, 3, padding=1), nn.BatchNorm2d(channels)

    def forward(self, x):
        return F.relu(self.bn(self.conv(x)) + x)


class LeNetTwin(nn.Module):
    def __init__(self):
        super().__init__()
        self.block1, self.block2, self.block3 = TwinBlock(3), TwinBlock(6), TwinBlock(16)
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(self.block1(x))), 2)
        x = F.max_pool2d(F.relu(self.conv2(self.block2(x))), 2)
        x = self.block3(x).flatten(1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.stride, self.more = stride, outputs - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.more:  # option A: subsample, pad the channels with zeros
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return F.relu(y + x)


def resnet20():
    layers, inputs = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()], 16
    for outputs in (16, 32, 64):
        for block in range(3):
            layers.append(BasicBlock(inputs, outputs, 2 if block == 0 and outputs > 16 else 1))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def training(model, batch):
    model = model.to(DEVICE, memory_format=torch.channels_last)
    x = torch.rand(batch, 3, 32, 32, device=DEVICE).to(memory_format=torch.channels_last)
    labels = torch.randint(10, (batch,), device=DEVICE)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def step():
        loss = F.cross_entropy(model(x), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    return batch / seconds_per_call(50, step), "images/s"


def gemm(size, dtype):
    a, b = (torch.rand(size, size, device=DEVICE).to(dtype) for _ in range(2))
    return 2 * size**3 / seconds_per_call(20, lambda: a @ b) / 1e12, "TFLOP/s"


def conv(batch, size, channels, dtype):
    def random(*shape):
        return torch.rand(*shape, device=DEVICE).to(dtype).to(memory_format=torch.channels_last)

    x, dy, w = random(batch, channels, size, size), random(batch, channels, size, size), random(channels, channels, 3, 3)

    def work():
        F.conv2d(x, w, padding=1)
        torch.ops.aten.convolution_backward(dy, x, w, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1,
                                            [True, True, False])

    return 3 * 2 * batch * size**2 * channels**2 * 9 / seconds_per_call(20, work) / 1e12, "TFLOP/s"


def main(arguments):
    if not torch.cuda.is_available():
        print("gpu_compare.py: PyTorch sees no CUDA device", file=sys.stderr)
        return 2
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    ours = {}
    if arguments:
        with open(arguments[0], encoding="utf-8") as file:
            ours = {row[0]: float(row[1]) for row in csv.reader(file) if len(row) == 3}
    work = {
        "lenet_twin_train_128": lambda: training(LeNetTwin(), 128),
        "resnet20_train_128": lambda: training(resnet20(), 128),
        "gemm_float_4096": lambda: gemm(4096, torch.float32),
        "gemm_bfloat16_4096": lambda: gemm(4096, torch.bfloat16),
        "conv3x3_float_128x32x32x64": lambda: conv(128, 32, 64, torch.float32),
        "conv3x3_bfloat16_128x32x32x64": lambda: conv(128, 32, 64, torch.bfloat16),
    }
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}, cuDNN {torch.backends.cudnn.version()}")
    print(f"{'':32}{'Tenon':>12}{'PyTorch':>12}{'ratio':>8}")
    for name, measure in work.items():
        value, unit = measure()
        mine = ours.get(name)
        left = f"{mine:12.4g}" if mine else f"{'-':>12}"
        ratio = f"{mine / value:8.2f}" if mine else f"{'-':>8}"
        print(f"{name:32}{left}{value:12.4g}{ratio}  {unit}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
