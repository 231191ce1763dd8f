"""Twenty training steps of three small models with two optimizers."""
import copy
import math
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .parts import optimizer_from
from .store import FILES, draw

STEPS, BATCHES = 20, 4


class MLP(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(20, 24), nn.Linear(24, 16), nn.Linear(16, 5)

    def forward(self, x):
        return self.fc3(torch.tanh(self.fc2(F.relu(self.fc1(x)))))


class CNN(nn.Module):
    """No bias where batch normalisation follows: its gradient is nought but rounding, and Adam would magnify that."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 2)
        x = F.relu(self.bn2(self.conv2(x)))
        return self.fc(x.mean((2, 3)))


class Transformer(nn.Module):
    """One pre-norm block over token and position embeddings. Softmax does not see the bias of the keys: its gradient is
    nought but rounding, which AdamW's larger epsilon keeps from being magnified."""

    def __init__(self, vocabulary=11, length=8, width=16, heads=2):
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.norm1, self.attention = nn.LayerNorm(width), nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens):
        x = self.token(tokens) + self.position.weight
        h, later = self.norm1(x), torch.ones(tokens.shape[1], tokens.shape[1], dtype=torch.bool).triu(1)
        x = x + self.attention(h, h, h, attn_mask=later, need_weights=False)[0]
        x = x + self.down(F.gelu(self.up(self.norm2(x))))
        return self.head(self.norm(x)).flatten(0, 1)


def learned(model):
    return {key: t for key, t in model.state_dict().items() if not key.endswith("num_batches_tracked")}


def scatter_initial(model, rng):
    """Every parameter different, ones and zeros of normalisation too; numbers that f32 holds exactly."""
    for name, parameter in model.named_parameters():
        noise = draw("x".join(map(str, parameter.shape)), rng)
        if "norm" in name or "bn" in name or name.endswith("bias"):
            noise = 0.1 * noise + (1.0 if name.endswith("weight") else 0.0)
        else:
            noise = noise / math.sqrt(parameter[0].numel())
        parameter.data = noise.float().double()


def trained(model, batches, line, dtype):
    """Losses of the steps and what was learned."""
    model = copy.deepcopy(model).to(dtype).train()
    optimizer, losses = optimizer_from(line, model.parameters()), []
    for step in range(STEPS):
        x, y = batches[step % BATCHES]
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x.to(dtype) if x.is_floating_point() else x), y.flatten())
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return torch.stack(losses), learned(model)


def evaluated(model, final, x):
    """The first batch's logits in evaluation mode."""
    model = copy.deepcopy(model).eval()
    model.load_state_dict(final, strict=False)
    return model(x)


def furthest(got, expected):
    """Largest error relative to the larger of the element and its tensor's root mean square."""
    return ((got - expected).abs() / torch.maximum(expected.abs(), expected.square().mean().sqrt())).max().item()


def training(name, model, x, y, optimizers):
    def make():
        torch.manual_seed(0)
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        net = model().double()
        scatter_initial(net, rng)
        batches = [(draw(x, rng), draw(y, rng)) for _ in range(BATCHES)]
        tensors = {f"start.{key}": t.float() for key, t in learned(net).items()}
        xs, ys = torch.stack([b[0] for b in batches]), torch.stack([b[1] for b in batches])
        tensors.update(x=xs.float() if xs.is_floating_point() else xs, y=ys)
        for optimizer, line in optimizers.items():
            losses, final = trained(net, batches, line, torch.float64)
            tensors[f"{optimizer}.loss"] = losses
            tensors.update((f"{optimizer}.final.{key}", t) for key, t in final.items())
            losses32, final32 = trained(net, batches, line, torch.float32)
            tensors[f"{optimizer}.eval"] = evaluated(net, final, batches[0][0])
            worst = max(furthest(final32[key].double(), t) for key, t in final.items())
            print(f"{name} {optimizer}: loss {losses[0]:.3f} to {losses[-1]:.3f}; PyTorch's own f32 is off by "
                  f"{furthest(losses32.double(), losses):.1e} in the loss, {worst:.1e} in what was learned")
        return tensors, optimizers
    FILES[f"train_{name}"] = make


training("mlp", MLP, "16x20", "16:i64@0..4", {
    "sgd": "sgd learning_rate=0.05 momentum=0.9 weight_decay=0.001",
    "adamw": "adamw learning_rate=0.005 weight_decay=0.01",
})
training("cnn", CNN, "8x2x10x10", "8:i64@0..3", {
    "sgd": "sgd learning_rate=0.05 momentum=0.9 weight_decay=0.001",
    "adamw": "adamw learning_rate=0.005 weight_decay=0.01",
})
training("transformer", Transformer, "4x8:i64@0..10", "4x8:i64@0..10", {
    "sgd": "sgd learning_rate=0.05 momentum=0.9 weight_decay=0.001",
    "adamw": "adamw learning_rate=0.002 eps=1e-4 weight_decay=0.01",
})
