#!/usr/bin/env python3
"""Writes the golden files: what PyTorch answers for the layers, operators, losses, optimisers, schedules
and short trainings that the C++ tests of this folder repeat.

    python generate.py [--out FOLDER]

Inputs are not stored. Both sides draw them from the Philox stream of include/tenon/core/random.hpp, in
Tenon's layout (images N,H,W,C; convolution weights O,KH,KW,C/groups); here they are permuted to
PyTorch's before use, and the answers are permuted back. README.md tells the names and the conventions.
"""

import argparse
import copy
import json
import math
import pathlib
import sys

import numpy as np
import safetensors
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from torch import nn

# ------------------------------------------------------------------------------------------------ inputs


def philox_words(seed, count, stream=0):
    """The first `count` 32-bit words of the stream: Philox 4x32-10 of the counters 0, 1, 2 ..."""
    mask = np.uint64(0xFFFFFFFF)
    shift = np.uint64(32)
    index = np.arange((count + 3) // 4, dtype=np.uint64)
    c0, c1 = index & mask, index >> shift
    c2 = np.full_like(index, stream & 0xFFFFFFFF)
    c3 = np.full_like(index, stream >> 32)
    k0, k1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p0 = np.uint64(0xD2511F53) * c0
        p1 = np.uint64(0xCD9E8D57) * c2
        c0, c1, c2, c3 = (
            (p1 >> shift) ^ c1 ^ np.uint64(k0),
            p1 & mask,
            (p0 >> shift) ^ c3 ^ np.uint64(k1),
            p0 & mask,
        )
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).reshape(-1)[:count].astype(np.uint32)


def check_philox():
    """Known answers of the Random123 distribution (Salmon et al. 2011): counter 0 under key 0."""
    expected = [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    if philox_words(0, 4).tolist() != expected:
        sys.exit("generate.py: Philox differs from its known answer")


def golden_values(seed, shape, scale=1.0, offset=0.0):
    """offset + scale * u, u uniform in [-1, 1), row-major in Tenon's layout."""
    words = philox_words(seed, math.prod(shape))
    unit = (words >> np.uint32(8)).astype(np.float64) * 2.0**-24
    return (offset + scale * (2.0 * unit - 1.0)).reshape(shape)


def golden_labels(seed, count, classes):
    return (philox_words(seed, count) % np.uint32(classes)).astype(np.int64)


def to_torch_layout(array):
    """N,H,W,C -> N,C,H,W, and O,KH,KW,I -> O,I,KH,KW."""
    return np.ascontiguousarray(np.transpose(array, (0, 3, 1, 2)))


def to_our_layout(array):
    return np.ascontiguousarray(np.transpose(array, (0, 2, 3, 1)))


# ------------------------------------------------------------------------------------------- golden files


class GoldenFile:
    """Collects tensors and the JSON description of every case, then writes one safetensors file."""

    def __init__(self):
        self.tensors = {}
        self.cases = {}

    def store(self, name, value):
        if isinstance(value, torch.Tensor):
            value = value.detach().numpy()
        value = np.array(value, order="C")
        if value.dtype == np.float64 and not np.isfinite(value).all():
            sys.exit(f"generate.py: {name} is not finite")
        self.tensors[name] = value

    def write(self, path):
        about = {
            "torch": torch.__version__,
            "numpy": np.__version__,
            "safetensors": safetensors.__version__,
            "cases": self.cases,
        }
        # One metadata entry: the writer keeps no order among several, and the file would change every time.
        save_file(self.tensors, path, metadata={"golden": json.dumps(about)})
        print(f"{path.name}: {len(self.cases)} cases, {path.stat().st_size} bytes")


class Case:
    """One call of a layer or operator: its parameters, its drawn inputs, its output and every gradient."""

    def __init__(self, file, name, **parameters):
        if name in file.cases:
            sys.exit(f"generate.py: two cases are called {name}")
        self.file, self.name = file, name
        self.first_seed = 100 * (len(file.cases) + 1)
        self.parameters = parameters
        self.inputs = {}
        self.leaves = []
        file.cases[name] = {"parameters": parameters, "inputs": self.inputs}

    def _draw(self, name, shape, scale=1.0, offset=0.0):
        seed = self.first_seed + len(self.inputs)
        self.inputs[name] = {"seed": seed, "shape": list(shape), "scale": scale, "offset": offset}
        return golden_values(seed, shape, scale, offset)

    def input(self, name, shape, scale=1.0, offset=0.0, image=None, gradient=True):
        """A drawn leaf; of rank 4 it is an image or a convolution weight unless told otherwise."""
        image = len(shape) == 4 if image is None else image
        values = self._draw(name, shape, scale, offset)
        leaf = torch.from_numpy(to_torch_layout(values) if image else values)
        if gradient:
            leaf.requires_grad_()
            self.leaves.append((name, leaf, image))
        return leaf

    def labels(self, name, count, classes):
        seed = self.first_seed + len(self.inputs)
        self.inputs[name] = {"seed": seed, "shape": [count], "classes": classes}
        return torch.from_numpy(golden_labels(seed, count, classes))

    def store(self, name, value):
        self.file.store(f"{self.name}.{name}", value)

    def finish(self, y, image=None):
        """Stores y and, under a drawn cotangent dy, the gradient of every leaf as d<leaf>."""
        image = y.dim() == 4 if image is None else image
        permute = to_our_layout if image else np.asarray
        our_y = permute(y.detach().numpy())
        dy = self._draw("dy", our_y.shape)
        y.backward(torch.from_numpy(to_torch_layout(dy) if image else dy))
        self.store("y", our_y)
        for name, leaf, leaf_image in self.leaves:
            grad = leaf.grad.numpy()
            self.store("d" + name, to_our_layout(grad) if leaf_image else grad)


# ------------------------------------------------------------------------------------------------- layers


def pair(extent):
    return extent if isinstance(extent, tuple) else (extent, extent)


def layers():
    file = GoldenFile()

    for i, (bias, shape, out) in enumerate([(True, (4, 7), 5), (False, (3, 6), 1)]):
        case = Case(file, f"linear.{i}", bias=bias)
        x = case.input("x", shape)
        w = case.input("w", (out, shape[-1]))
        b = case.input("b", (out,)) if bias else None
        case.finish(F.linear(x, w, b))

    # (image shape, output channels, kernel, stride, padding, dilation, groups, bias); one number stands for both axes
    convolutions = [
        ((2, 6, 7, 3), 4, 3, 1, 1, 1, 1, True),
        ((2, 9, 7, 3), 5, 3, 2, 1, 1, 1, False),
        ((1, 8, 8, 2), 3, 5, 1, 0, 1, 1, True),
        ((2, 7, 9, 4), 6, 3, 1, 2, 2, 1, True),
        ((2, 6, 5, 6), 9, 3, 1, 1, 1, 3, True),
        ((2, 7, 6, 5), 5, 3, 2, 1, 1, 5, False),
        ((2, 5, 6, 3), 6, 3, 1, 1, 1, 3, True),
        ((3, 5, 4, 7), 5, 1, 1, 0, 1, 1, True),
        ((2, 7, 7, 3), 4, 1, 2, 0, 1, 1, False),
        ((1, 11, 9, 4), 6, 4, 3, 2, 2, 2, True),
        ((1, 9, 9, 3), 4, 7, 2, 3, 1, 1, False),
        ((2, 8, 7, 4), 6, (3, 2), (2, 1), (0, 2), (1, 3), 2, True),
    ]
    for i, (shape, out, kernel, stride, padding, dilation, groups, bias) in enumerate(convolutions):
        kernel, stride, padding, dilation = map(pair, (kernel, stride, padding, dilation))
        case = Case(
            file, f"conv2d.{i}",
            stride=stride, padding=padding, dilation=dilation, groups=groups, bias=bias,
        )
        x = case.input("x", shape)
        w = case.input("w", (out, *kernel, shape[3] // groups))
        b = case.input("b", (out,)) if bias else None
        case.finish(F.conv2d(x, w, b, stride, padding, dilation, groups))

    for name, shape in [("batch_norm2d", (3, 4, 5, 3)), ("batch_norm1d", (6, 5))]:
        for training in (True, False):
            case = Case(file, f"{name}.{'train' if training else 'eval'}", momentum=0.1, eps=1e-5)
            channels = (shape[-1],)
            x = case.input("x", shape, scale=2.0, offset=0.5)
            w = case.input("w", channels, scale=0.5, offset=1.0)
            b = case.input("b", channels)
            mean = case.input("running_mean", channels, gradient=False)
            var = case.input("running_var", channels, scale=0.5, offset=1.0, gradient=False)
            y = F.batch_norm(x, mean, var, w, b, training=training, momentum=0.1, eps=1e-5)
            case.finish(y)
            if training:
                case.store("running_mean", mean)
                case.store("running_var", var)

    for i, (shape, kernel, stride, padding) in enumerate(
        [((2, 7, 9, 3), 3, 2, 1), ((2, 6, 4, 5), 2, 2, 0), ((1, 7, 6, 2), 3, 1, 0), ((1, 7, 8, 3), (3, 4), (1, 3), (0, 2))]
    ):
        kernel, stride, padding = map(pair, (kernel, stride, padding))
        for kind in ("max", "avg"):
            case = Case(file, f"{kind}_pool2d.{i}", kernel=kernel, stride=stride, padding=padding)
            x = case.input("x", shape)
            pool = F.max_pool2d if kind == "max" else F.avg_pool2d
            case.finish(pool(x, kernel, stride, padding))

    for i, (shape, out) in enumerate([((2, 7, 5, 3), (3, 2)), ((2, 4, 6, 3), (1, 1)), ((1, 3, 4, 2), (5, 3))]):
        case = Case(file, f"adaptive_avg_pool2d.{i}", out=out)
        case.finish(F.adaptive_avg_pool2d(case.input("x", shape), out))

    case = Case(file, "global_avg_pool2d")
    case.finish(case.input("x", (3, 4, 5, 7)).mean(dim=(2, 3)))

    for i, (shape, size) in enumerate([((2, 3, 4, 3), (6, 8)), ((2, 5, 4, 3), (9, 7)), ((1, 7, 6, 2), (4, 5))]):
        case = Case(file, f"upsample_nearest.{i}", size=size)
        case.finish(F.interpolate(case.input("x", shape), size=size, mode="nearest"))
        for align in (False, True):
            case = Case(file, f"upsample_bilinear.{'corners' if align else 'centres'}.{i}", size=size, align_corners=align)
            case.finish(F.interpolate(case.input("x", shape), size=size, mode="bilinear", align_corners=align))
    return file


# -------------------------------------------------------------------------------------- operators, losses


def operators():
    file = GoldenFile()

    unary = {
        "relu": F.relu,
        "leaky_relu": lambda x: F.leaky_relu(x, 0.01),
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "gelu": F.gelu,
        "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
        "silu": F.silu,
        "exp": torch.exp,
        "abs": torch.abs,
        "neg": torch.neg,
        "square": torch.square,
        "softplus": F.softplus,
        "sin": torch.sin,
        "cos": torch.cos,
    }
    for name, function in unary.items():
        case = Case(file, name)
        case.finish(function(case.input("x", (3, 4, 5), scale=4.0)))
    for name, function in {"log": torch.log, "sqrt": torch.sqrt, "reciprocal": torch.reciprocal}.items():
        case = Case(file, name)
        case.finish(function(case.input("x", (3, 4, 5), scale=1.9, offset=2.0)))
    case = Case(file, "pow", exponent=2.5)
    case.finish(case.input("x", (3, 4, 5), scale=1.9, offset=2.0) ** 2.5)
    case = Case(file, "clamp", low=-0.5, high=0.7)
    case.finish(case.input("x", (3, 4, 5), scale=1.5).clamp(-0.5, 0.7))

    binary = {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "maximum": torch.maximum, "minimum": torch.minimum}
    shapes = [((3, 4, 5), (3, 4, 5)), ((2, 3, 4, 5), (5,)), ((4, 1, 3), (2, 1, 5, 1)), ((), (2, 3))]
    for name, function in binary.items():
        for i, (a_shape, b_shape) in enumerate(shapes):
            case = Case(file, f"{name}.{i}")
            a = case.input("a", a_shape, image=False)
            b = case.input("b", b_shape, scale=0.5, offset=1.0 if name == "div" else 0.0, image=False)
            case.finish(function(a, b), image=False)

    for name, function in {"softmax": F.softmax, "log_softmax": F.log_softmax}.items():
        for i, (shape, axis) in enumerate([((4, 7), -1), ((2, 5, 3), -1), ((2, 5, 3), 1)]):
            case = Case(file, f"{name}.{i}", axis=axis)
            case.finish(function(case.input("x", shape, scale=5.0), dim=axis))

    matmuls = [((4, 6), (6, 5)), ((3, 4, 6), (3, 6, 5)), ((2, 3, 4, 6), (6, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((7, 3), (2, 3, 5))]
    for i, (a_shape, b_shape) in enumerate(matmuls):
        case = Case(file, f"matmul.{i}")
        a = case.input("a", a_shape, image=False)
        b = case.input("b", b_shape, image=False)
        case.finish(torch.matmul(a, b), image=False)

    reductions = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax, "min": torch.amin}
    for name, function in reductions.items():
        for i, (axes, keep) in enumerate([((1,), False), ((0, 2), False), ((2,), True), ((0, 1, 2), False)]):
            case = Case(file, f"{name}.{i}", axes=axes, keep=keep)
            case.finish(function(case.input("x", (3, 4, 5)), dim=axes, keepdim=keep))

    case = Case(file, "pad", value=0.25, before=[1, 0, 2], after=[0, 3, 1])
    case.finish(F.pad(case.input("x", (2, 3, 4)), (2, 1, 0, 3, 1, 0), value=0.25))
    case = Case(file, "concat", axis=1)
    case.finish(torch.cat([case.input("a", (2, 3, 4)), case.input("b", (2, 1, 4)), case.input("c", (2, 2, 4))], dim=1))
    case = Case(file, "permute", axes=[2, 0, 1])
    case.finish(case.input("x", (3, 4, 5)).permute(2, 0, 1).contiguous())
    case = Case(file, "slice", begin=1, end=4)
    case.finish(case.input("x", (5, 2, 3))[1:4])
    case = Case(file, "reshape", shape=[6, 10])
    case.finish(case.input("x", (3, 4, 5)).reshape(6, 10))

    return file


def losses():
    file = GoldenFile()
    for smoothing in (0.0, 0.1):
        tag = "smooth" if smoothing else "plain"
        for reduction in ("mean", "sum", "none"):
            case = Case(file, f"cross_entropy.index.{tag}.{reduction}", label_smoothing=smoothing, reduction=reduction)
            x = case.input("x", (6, 5), scale=4.0)
            target = case.labels("target", 6, 5)
            case.finish(F.cross_entropy(x, target, label_smoothing=smoothing, reduction=reduction))
        case = Case(file, f"cross_entropy.soft.{tag}", label_smoothing=smoothing, reduction="mean")
        x = case.input("x", (6, 5), scale=4.0)
        target = case.input("target", (6, 5), scale=0.2, offset=0.2, gradient=False)
        case.finish(F.cross_entropy(x, target, label_smoothing=smoothing))

    case = Case(file, "nll", reduction="mean")
    x = case.input("x", (6, 5), scale=4.0)
    case.finish(F.nll_loss(x, case.labels("target", 6, 5)))
    case = Case(file, "mse", reduction="mean")
    x = case.input("x", (6, 5))
    case.finish(F.mse_loss(x, case.input("target", (6, 5), gradient=False)))
    case = Case(file, "bce_with_logits", reduction="mean")
    x = case.input("x", (6, 5), scale=6.0)
    case.finish(F.binary_cross_entropy_with_logits(x, case.input("target", (6, 5), 0.5, 0.5, gradient=False)))
    return file


# --------------------------------------------------------------------------------------------- optimisers

OPTIM_SHAPES = [(5,), (3, 4)]
OPTIM_STEPS = 10


def start_parameters():
    return [nn.Parameter(torch.from_numpy(golden_values(10 + i, s))) for i, s in enumerate(OPTIM_SHAPES)]


def step_gradient(step, i):
    return torch.from_numpy(golden_values(100 + 10 * step + i, OPTIM_SHAPES[i]))


def optimisers():
    file = GoldenFile()
    problem = {"steps": OPTIM_STEPS, "shapes": OPTIM_SHAPES}
    sgd, adam, adamw = torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW
    runs = [
        ("sgd.plain", sgd, dict(lr=0.1)),
        ("sgd.momentum", sgd, dict(lr=0.1, momentum=0.9)),
        ("sgd.dampening", sgd, dict(lr=0.1, momentum=0.9, dampening=0.1)),
        ("sgd.nesterov", sgd, dict(lr=0.1, momentum=0.9, nesterov=True)),
        ("sgd.decay", sgd, dict(lr=0.1, weight_decay=1e-2)),
        ("sgd.all", sgd, dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-2)),
        ("adam.plain", adam, dict(lr=0.01)),
        ("adam.options", adam, dict(lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=1e-2)),
        ("adamw.plain", adamw, dict(lr=0.01, weight_decay=1e-2)),
        ("adamw.options", adamw, dict(lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1)),
    ]
    for name, kind, options in runs:
        file.cases[name] = {"parameters": options} | problem
        parameters = start_parameters()
        optimiser = kind(parameters, **options)
        history = [[] for _ in parameters]
        for step in range(OPTIM_STEPS):
            for i, p in enumerate(parameters):
                p.grad = step_gradient(step, i)
            optimiser.step()
            for i, p in enumerate(parameters):
                history[i].append(p.detach().numpy().copy())
        for i, values in enumerate(history):
            file.store(f"{name}.p{i}", np.stack(values))

    for name, limit in [("clip_norm.active", 1.0), ("clip_norm.idle", 100.0), ("clip_value", 0.3)]:
        file.cases[name] = {"parameters": {"limit": limit}} | problem
        parameters = start_parameters()
        for i, p in enumerate(parameters):
            p.grad = step_gradient(0, i)
        if name == "clip_value":
            torch.nn.utils.clip_grad_value_(parameters, limit)
        else:
            file.store(f"{name}.norm", torch.nn.utils.clip_grad_norm_(parameters, limit))
        for i, p in enumerate(parameters):
            file.store(f"{name}.g{i}", p.grad)

    # The average follows the parameters of `sgd.momentum`; its first update copies them.
    decay = 0.99
    file.cases["ema"] = {"parameters": {"decay": decay, "lr": 0.1, "momentum": 0.9}} | problem
    model = nn.Module()
    model.p0, model.p1 = start_parameters()
    average = torch.optim.swa_utils.AveragedModel(
        model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(decay)
    )
    optimiser = sgd(model.parameters(), lr=0.1, momentum=0.9)
    history = [[], []]
    for step in range(OPTIM_STEPS):
        model.p0.grad, model.p1.grad = step_gradient(step, 0), step_gradient(step, 1)
        optimiser.step()
        average.update_parameters(model)
        for i, p in enumerate(average.module.parameters()):
            history[i].append(p.detach().numpy().copy())
    for i, values in enumerate(history):
        file.store(f"ema.p{i}", np.stack(values))
    return file


# ---------------------------------------------------------------------------------------------- schedules

SCHEDULE_STEPS = 100


def schedules():
    from torch.optim import lr_scheduler as s

    file = GoldenFile()

    def optimiser(lr, momentum=0.9):
        return torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr, momentum=momentum)

    def run(name, options, lr, make, metric=None, momentum=False):
        file.cases[name] = {"parameters": {"lr": lr} | options, "steps": SCHEDULE_STEPS}
        opt = optimiser(lr)
        schedule = make(opt)
        rates, momenta = [], []
        for step in range(SCHEDULE_STEPS):
            rates.append(opt.param_groups[0]["lr"])
            momenta.append(opt.param_groups[0]["momentum"])
            opt.step()
            if step + 1 < SCHEDULE_STEPS:
                schedule.step() if metric is None else schedule.step(metric[step])
        file.store(f"{name}.lr", np.array(rates, dtype=np.float64))
        if momentum:
            file.store(f"{name}.momentum", np.array(momenta, dtype=np.float64))
        if metric is not None:
            file.store(f"{name}.metric", metric)

    run("step", {"step_size": 30, "gamma": 0.1}, 0.1, lambda o: s.StepLR(o, 30, 0.1))
    run("multi_step", {"milestones": [15, 25, 30], "gamma": 0.1}, 0.01, lambda o: s.MultiStepLR(o, [15, 25, 30], 0.1))
    run("exponential", {"gamma": 0.95}, 0.1, lambda o: s.ExponentialLR(o, 0.95))
    run("cosine", {"t_max": 100, "eta_min": 1e-4}, 0.1, lambda o: s.CosineAnnealingLR(o, 100, 1e-4))
    one_cycle = {
        "max_lr": 0.4, "total_steps": 100, "pct_start": 0.3, "div_factor": 25.0,
        "final_div_factor": 1e4, "base_momentum": 0.85, "max_momentum": 0.95,
    }
    run("one_cycle", one_cycle, 0.4, lambda o: s.OneCycleLR(o, anneal_strategy="cos", three_phase=False, **one_cycle), momentum=True)
    warmup = {"start_factor": 0.1, "end_factor": 1.0, "total_iters": 10}
    run("linear", warmup, 0.1, lambda o: s.LinearLR(o, **warmup))
    run(
        "warmup_cosine", warmup | {"t_max": 90, "eta_min": 1e-4, "milestones": [10]}, 0.1,
        lambda o: s.SequentialLR(o, [s.LinearLR(o, **warmup), s.CosineAnnealingLR(o, 90, 1e-4)], [10]),
    )
    # A loss that falls, stalls, and falls again.
    time = np.arange(SCHEDULE_STEPS)
    metric = 1.0 / (1.0 + 0.05 * time) + golden_values(7, (SCHEDULE_STEPS,), 0.15)
    for name, more in [("plateau", {"cooldown": 0}), ("plateau_cooldown", {"cooldown": 3, "min_lr": 2e-3})]:
        options = {"factor": 0.6, "patience": 2, "threshold": 1e-4} | more
        run(name, options, 0.1, lambda o, p=options: s.ReduceLROnPlateau(o, **p), metric=metric)
    return file


# --------------------------------------------------------------------------------------------- trainings


class TwinBlock(nn.Module):
    """relu(bn(conv3x3(x)) + x), or without the addition in the plain net."""

    def __init__(self, channels, residual):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn = nn.BatchNorm2d(channels)
        self.residual = residual

    def forward(self, x):
        y = self.bn(self.conv(x))
        return F.relu(y + x if self.residual else y)


class Twin(nn.Module):
    """The LeNet with batch normalisation, and its residual twin, for 32 x 32 pictures."""

    def __init__(self, residual=True):
        super().__init__()
        self.block1 = TwinBlock(3, residual)
        self.conv1 = nn.Conv2d(3, 6, 5)
        self.block2 = TwinBlock(6, residual)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.block3 = TwinBlock(16, residual)
        self.fc1 = nn.Linear(400, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(self.block1(x))), 2)
        x = F.max_pool2d(F.relu(self.conv2(self.block2(x))), 2)
        x = torch.flatten(self.block3(x), 1)
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class BasicBlock(nn.Module):
    """He et al. 2016, with the parameter-free shortcut (option A)."""

    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.widen = stride != 1 or channels_in != channels
        self.extra = channels // 4

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.widen:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra))
        return F.relu(y + x)


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        stage = lambda c_in, c, stride: nn.Sequential(
            BasicBlock(c_in, c, stride), BasicBlock(c, c, 1), BasicBlock(c, c, 1)
        )
        self.layer1 = stage(16, 16, 1)
        self.layer2 = stage(16, 32, 2)
        self.layer3 = stage(32, 64, 2)
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean(dim=(2, 3)))


# Flattening gives H,W,C here and C,H,W in PyTorch: the columns of the first linear layer after it.
FLATTENED = {"fc1.weight": (5, 5, 16)}


def our_parameter(name, array):
    if array.ndim == 4:
        return to_our_layout(array)
    if name in FLATTENED:
        h, w, c = FLATTENED[name]
        return array.reshape(-1, c, h, w).transpose(0, 2, 3, 1).reshape(array.shape)
    return array


def set_parameters(model):
    """Drawn starting values, in the layout of Tenon; returns their names and our shapes."""
    listing = []
    fan_in = 1
    bare = not any(name.endswith("conv1.bias") for name, _ in model.named_parameters())
    for index, (name, parameter) in enumerate(model.named_parameters()):
        shape = our_parameter(name, parameter.detach().numpy()).shape
        kind = "weight" if name.endswith("weight") else "bias"
        if "bn" in name:
            values = np.full(shape, 1.0 if kind == "weight" else 0.0)
            scale = 0.0
        else:
            fan_in = math.prod(shape[1:]) if kind == "weight" else fan_in
            # Kaiming's bound for convolutions without a bias, PyTorch's default bound elsewhere.
            scale = math.sqrt((6.0 if bare and len(shape) == 4 else 1.0) / fan_in)
            values = golden_values(1000 + index, shape, scale)
        if values.ndim == 4:
            values = to_torch_layout(values)
        elif name in FLATTENED:
            h, w, c = FLATTENED[name]
            values = values.reshape(-1, h, w, c).transpose(0, 3, 1, 2).reshape(shape)
        with torch.no_grad():
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(values)))
        listing.append({"name": name, "shape": shape, "seed": 1000 + index, "scale": scale})
    return listing


def checksums(tensors):
    """Sum and sum of magnitudes of each."""
    return np.array([[float(t.double().sum()), float(t.double().abs().sum())] for t in tensors])


def relu_margin(run):
    """The smallest magnitude that enters a ReLU while `run` runs."""
    smallest = math.inf
    plain = F.relu

    def watched(x):
        nonlocal smallest
        smallest = min(smallest, float(x.detach().abs().min()))
        return plain(x)

    F.relu = watched
    try:
        run()
    finally:
        F.relu = plain
    return smallest


# At full rate in double, where rounding stays below 1e-11. In float it would not stay small: a ReLU input near
# zero falls on either side, and at this rate PyTorch differs by 1e-3 to 1e-1 between two of its own memory
# layouts. The gentle runs keep that at 1e-5, and begin with pictures that leave no ReLU input of the first step
# near zero: one on the other side would change that step's gradients by 5e-4.
TRAININGS = [
    ("twin", lambda: Twin(True), 16, 0.05, ["double"]),
    ("lenet", lambda: Twin(False), 16, 0.05, ["double"]),
    ("resnet20", ResNet20, 8, 0.05, ["double"]),
    ("twin.gentle", lambda: Twin(True), 16, 0.005, ["float"]),
    ("lenet.gentle", lambda: Twin(False), 16, 0.005, ["float"]),
    ("resnet20.gentle", ResNet20, 4, 0.001, ["float"]),
]


def training():
    file = GoldenFile()
    steps = 20
    for name, make, batch, lr, types in TRAININGS:
        options = dict(lr=lr, momentum=0.9, weight_decay=5e-4)
        for tag in types:
            dtype = {"double": torch.float64, "float": torch.float32}[tag]
            model = make().double()
            listing = set_parameters(model)
            model = model.to(dtype)
            start = copy.deepcopy(model.state_dict())

            def images(seed):
                return torch.from_numpy(to_torch_layout(golden_values(seed, (batch, 32, 32, 3)))).to(dtype)

            image_seed = 5000
            if tag == "float":
                seeds = range(5000, 5000 + 400 * steps, steps)
                with torch.no_grad():
                    image_seed = max(seeds, key=lambda seed: relu_margin(lambda: model(images(seed))))
                model.load_state_dict(start)  # batch normalisation has counted the trials
            file.cases[name] = {
                "parameters": options, "batch": batch, "steps": steps, "classes": 10, "types": types,
                "image_seed": image_seed, "label_seed": 50000, "start": listing,
            }
            optimiser = torch.optim.SGD(model.parameters(), **options)
            losses = []

            def loss_of(step):
                x = images(image_seed + step)
                return F.cross_entropy(model(x), torch.from_numpy(golden_labels(50000 + step, batch, 10)))

            for step in range(steps):
                optimiser.zero_grad()
                loss = loss_of(step)
                loss.backward()
                if step == 0:
                    file.store(f"{name}.{tag}.first_gradients", checksums(p.grad for p in model.parameters()))
                optimiser.step()
                losses.append(loss.item())
            file.store(f"{name}.{tag}.losses", np.array(losses))
            file.store(f"{name}.{tag}.parameters", checksums(p.detach() for p in model.parameters()))
            model.eval()
            with torch.no_grad():
                file.store(f"{name}.{tag}.eval_loss", np.array(loss_of(0).item()))
    return file


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(__file__).parent)
    out = parser.parse_args().out
    check_philox()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name, make in [
        ("layers", layers), ("operators", operators), ("losses", losses), ("optimisers", optimisers),
        ("schedules", schedules), ("training", training),
    ]:
        file = make()
        if name == "operators":
            file.store("stream", golden_values(7, (10,)))
        file.write(out / f"{name}.safetensors")


if __name__ == "__main__":
    main()
