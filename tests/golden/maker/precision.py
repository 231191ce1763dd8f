"""Training under torch.autocast in bf16, and what torch.amp.GradScaler makes of updates that overflow."""
import copy
import zlib

import numpy as np
import torch
import torch.nn.functional as F

from .parts import optimizer_from
from .store import draw, file
from .training import BATCHES, CNN, MLP, STEPS, Transformer, scatter_initial


def losses_in_bf16(model, batches, line):
    model = copy.deepcopy(model).float().train()
    optimizer, losses = optimizer_from(line, model.parameters()), []
    for step in range(STEPS):
        x, y = batches[step % BATCHES]
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = F.cross_entropy(model(x.float() if x.is_floating_point() else x), y.flatten())
        loss.backward()
        optimizer.step()
        losses.append(loss.detach().double())
    return torch.stack(losses)


@file
def precision():
    """The start and the batches are those of train_NAME: the same generator draws them in the same order."""
    tensors = {}
    for name, model, x, y in (("mlp", MLP, "16x20", "16:i64@0..4"), ("cnn", CNN, "8x2x10x10", "8:i64@0..3"),
                              ("transformer", Transformer, "4x8:i64@0..10", "4x8:i64@0..10")):
        torch.manual_seed(0)
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        net = model().double()
        scatter_initial(net, rng)
        batches = [(draw(x, rng), draw(y, rng)) for _ in range(BATCHES)]
        tensors[f"{name}.sgd"] = losses_in_bf16(net, batches, "sgd learning_rate=0.05 momentum=0.9 weight_decay=0.001")
    return tensors, {}


SCALERS = {
    "usual": "growth=2 backoff=0.5 interval=4 initial=65536",
    "odd": "growth=1.5 backoff=0.3 interval=3 initial=1000",
    "limit": "growth=1e30 backoff=0.5 interval=1 initial=1e15",
}


@file
def scaler():
    """One parameter, Adam with clipping; its gradient of each step is given, infinite or not a number in some."""
    rng = np.random.default_rng(7)
    gradients = torch.tensor(rng.standard_normal(40).astype(np.float32))
    for step, bad in ((0, "inf"), (1, "inf"), (7, "nan"), (13, "-inf"), (14, "inf"), (15, "inf"), (30, "nan")):
        gradients[step] = float(bad)
    tensors = {"gradients": gradients}
    for name, line in SCALERS.items():
        options = {key: float(value) for key, value in (part.split("=") for part in line.split())}
        weight = torch.nn.Parameter(torch.tensor(1.0))
        optimizer = torch.optim.Adam([weight], lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=options["initial"], growth_factor=options["growth"],
                                      backoff_factor=options["backoff"], growth_interval=int(options["interval"]))
        rows = []
        for gradient in gradients:
            optimizer.zero_grad()
            scaler.scale(weight * gradient).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_([weight], 0.5)
            scaler.step(optimizer)
            scaler.update()
            rows.append([scaler.get_scale(), scaler._get_growth_tracker(), weight.item()])
        rows = torch.tensor(rows, dtype=torch.float64)
        tensors.update({f"{name}.scale": rows[:, 0], f"{name}.growth_tracker": rows[:, 1], f"{name}.weight": rows[:, 2]})
    return tensors, SCALERS
