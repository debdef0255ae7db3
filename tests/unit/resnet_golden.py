"""Writes the numbers of test_resnet.cpp: logits of torchvision's ResNet-18 and -50 layout, defined here in PyTorch,
with every value given by a formula of its position (so nothing is stored), in double.

    python3 tests/unit/resnet_golden.py      # made with PyTorch 2.15.0
"""
import math

import torch
import torch.nn as nn


class Block(nn.Module):
    def __init__(self, inside, width, stride, bottleneck):
        super().__init__()
        out = 4 * width if bottleneck else width
        conv = lambda i, o, k, s=1: nn.Conv2d(i, o, k, s, k // 2, bias=False)
        if bottleneck:
            self.conv1, self.bn1 = conv(inside, width, 1), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = conv(width, width, 3, stride), nn.BatchNorm2d(width)
            self.conv3, self.bn3 = conv(width, out, 1), nn.BatchNorm2d(out)
        else:
            self.conv1, self.bn1 = conv(inside, width, 3, stride), nn.BatchNorm2d(width)
            self.conv2, self.bn2 = conv(width, out, 3), nn.BatchNorm2d(out)
        self.bottleneck, self.downsample = bottleneck, None
        if stride != 1 or inside != out:
            self.downsample = nn.Sequential(conv(inside, out, 1, stride), nn.BatchNorm2d(out))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.bottleneck:
            y = self.bn3(self.conv3(torch.relu(y)))
        return torch.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    def __init__(self, depth, classes):
        super().__init__()
        bottleneck = depth >= 50
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        inside = 64
        for stage, count in enumerate({18: [2, 2, 2, 2], 50: [3, 4, 6, 3]}[depth]):
            blocks = []
            for i in range(count):
                blocks.append(Block(inside, 64 << stage, 2 if i == 0 and stage > 0 else 1, bottleneck))
                inside = (64 << stage) * (4 if bottleneck else 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(inside, classes)

    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = layer(x)
        return self.fc(x.mean((2, 3)))


def wave(shape, at):
    """sin of a sum that gives each axis, in PyTorch's order, a step of its own."""
    steps = [0.7, 1.3, 2.1, 2.9]
    phase = torch.tensor(1 + 0.37 * at, dtype=torch.float64)
    for axis, extent in enumerate(shape):
        view = [1] * len(shape)
        view[axis] = extent
        phase = phase + steps[axis] * torch.arange(extent, dtype=torch.float64).reshape(view)
    return torch.sin(phase)


def fill(model):
    state = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    for at, (name, value) in enumerate(state.items()):
        w = wave(value.shape, at)
        if value.dim() > 1:
            w = w * math.sqrt(2 / (value.numel() / value.shape[0]))
        elif name.endswith("running_var"):
            w = 1 + 0.5 * w
        elif name.endswith("weight"):
            w = 1 + 0.1 * w
        else:
            w = 0.1 * w
        value.copy_(w)


for depth in (18, 50):
    model = ResNet(depth, 4).double()
    with torch.no_grad():
        fill(model)
        x = wave((2, 3, 40, 36), 0)
        for mode in ("eval", "train") if depth == 18 else ("eval",):
            getattr(model, mode)()
            print(depth, mode, ", ".join(f"{v:.15g}" for v in model(x).flatten().tolist()))
