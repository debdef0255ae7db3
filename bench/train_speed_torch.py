"""The work of train_speed.cpp in PyTorch: images/s of each timed step, one number a line, then the peak of resident
memory, `peak_bytes N`."""
import argparse
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--model", choices=["lenet5", "resnet20", "resnet50"], default="lenet5")
parser.add_argument("--mode", choices=["training", "inference"], default="training")
parser.add_argument("--batch", type=int, default=128)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--layout", choices=["nchw", "channels_last"], default="nchw")
parser.add_argument("--form", choices=["eager", "folded", "frozen", "compiled"], default="eager",
                    help="of inference: as written; batch norms folded (torch.fx); traced, frozen and optimised "
                         "(torch.jit); compiled with frozen weights (inductor)")
parser.add_argument("--cpu-time", action="store_true",
                    help="count the process's time on the processor: one thread, busy machine")
args = parser.parse_args()
now = time.process_time if args.cpu_time else time.perf_counter
torch.set_num_threads(args.threads)
torch.set_flush_denormal(True)
torch.manual_seed(1)


class LeNet5(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x.flatten(1))))))


class Block(nn.Module):
    def __init__(self, inside, outside, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outside), nn.BatchNorm2d(outside)
        self.more, self.stride = outside - inside, stride

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride != 1:  # option A: subsample, and zeros for the new channels
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more // 2))
        return F.relu(y + x)


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        widths = [16, 16, 16, 16, 32, 32, 32, 64, 64, 64]
        self.blocks = nn.Sequential(*[Block(a, b, 1 if a == b else 2) for a, b in zip(widths, widths[1:])])
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.blocks(F.relu(self.bn1(self.conv1(x))))
        return self.linear(x.mean((2, 3)))


class Bottleneck(nn.Module):
    def __init__(self, inside, width, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or inside != 4 * width:
            self.downsample = nn.Sequential(nn.Conv2d(inside, 4 * width, 1, stride, bias=False),
                                            nn.BatchNorm2d(4 * width))

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(self.relu(self.bn2(self.conv2(y)))))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class ResNet50(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        blocks, inside = [], 64
        for stage, count in enumerate([3, 4, 6, 3]):
            for i in range(count):
                width = 64 << stage
                blocks.append(Bottleneck(inside, width, 2 if i == 0 and stage > 0 else 1))
                inside = 4 * width
        self.layers, self.avgpool, self.fc = nn.Sequential(*blocks), nn.AdaptiveAvgPool2d(1), nn.Linear(2048, 1000)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.layers(x)), 1))


def train(model, images, labels):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def step():
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def infer(model, images):
    model.eval()
    if args.form == "folded":
        from torch.fx.experimental.optimization import fuse
        model = fuse(model)
    elif args.form == "frozen":
        model = torch.jit.optimize_for_inference(torch.jit.freeze(torch.jit.trace(model, images)))
    elif args.form == "compiled":
        model = torch.compile(model, options={"freezing": True})
    return lambda: model(images)


extent, classes = (224, 1000) if args.model == "resnet50" else (32, 10)
model = {"lenet5": LeNet5, "resnet20": ResNet20, "resnet50": ResNet50}[args.model]()
images = torch.rand(args.batch, 3, extent, extent) * 2 - 1
labels = torch.randint(classes, (args.batch,))
if args.layout == "channels_last":
    model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
with torch.set_grad_enabled(args.mode == "training"):
    step = train(model, images, labels) if args.mode == "training" else infer(model, images)
    for count in range(-3, args.steps):  # three to warm up
        start = now()
        step()
        if count >= 0:
            print(f"{args.batch / (now() - start):.2f}", flush=True)
with open("/proc/self/status") as status:
    print("peak_bytes", next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM")))
