"""Layers, losses, optimizers and initialisers, each on its own."""
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import lr_scheduler as scheduler

from .store import attribute, draw, file

# ---- optimizers -------------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW,
}


def options_of(line):
    """"sgd momentum=0.9" -> "sgd", {"momentum": 0.9}"""
    name, *words = line.split()
    return name, {key: attribute(value) for key, value in (word.split("=") for word in words)}


def optimizer_from(line, parameters):
    name, options = options_of(line)
    options["lr"] = options.pop("learning_rate")
    if "beta1" in options or "beta2" in options:
        options["betas"] = (options.pop("beta1", 0.9), options.pop("beta2", 0.999))
    return OPTIMIZERS[name](parameters, **options)


@file
def optim():
    """Twenty updates of one parameter by given gradients; the parameter after each."""
    rng = np.random.default_rng(20)
    start, gradients = draw("3x5", rng), draw("20x3x5", rng)
    tensors, metadata = {"start": start.float(), "gradients": gradients.float()}, {}
    for i, line in enumerate(filter(None, map(str.strip, """
        sgd learning_rate=0.1
        sgd learning_rate=0.1 momentum=0.9
        sgd learning_rate=0.05 momentum=0.9 nesterov=1
        sgd learning_rate=0.05 momentum=0.8 weight_decay=0.1
        sgd learning_rate=0.05 weight_decay=0.1
        adam learning_rate=0.01
        adam learning_rate=0.02 beta1=0.8 beta2=0.95 eps=0.001
        adam learning_rate=0.01 weight_decay=0.1
        adamw learning_rate=0.01 weight_decay=0
        sgd learning_rate=0.05 momentum=0.9 dampening=0.3
        adamw learning_rate=0.02 beta1=0.8 beta2=0.95 weight_decay=0.2
    """.splitlines()))):
        parameter = start.clone().requires_grad_()
        optimizer, after = optimizer_from(line, [parameter]), []
        for gradient in gradients:
            parameter.grad = gradient.clone()
            optimizer.step()
            after.append(parameter.detach().clone())
        tensors[f"{i}.after"] = torch.stack(after)
        metadata[str(i)] = line
    return tensors, metadata


@file
def schedules():
    """The learning rate of each of thirty steps."""
    steps, tensors, metadata = 30, {}, {}
    for i, line in enumerate(filter(None, map(str.strip, """
        constant
        constant warmup_steps=6
        step step_size=7
        step step_size=4 gamma=0.5 warmup_steps=5
        cosine
        cosine min_rate=0.01
        cosine min_rate=0.01 warmup_steps=8
    """.splitlines()))):
        name, options = options_of(line)
        optimizer, warmup = torch.optim.SGD([torch.zeros(1)], lr=0.4), options.get("warmup_steps", 0)
        schedule = {
            "constant": lambda: scheduler.ConstantLR(optimizer, 1.0),
            "step": lambda: scheduler.StepLR(optimizer, options["step_size"], options.get("gamma", 0.1)),
            "cosine": lambda: scheduler.CosineAnnealingLR(optimizer, steps - warmup, options.get("min_rate", 0)),
        }[name]()
        if warmup:
            linear = scheduler.LinearLR(optimizer, 1 / (warmup + 1), total_iters=warmup)
            schedule = scheduler.SequentialLR(optimizer, [linear, schedule], [warmup])
        rates = []
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        tensors[f"{i}.rates"] = torch.tensor(rates, dtype=torch.float64)
        metadata[str(i)] = line + " base=0.4"
    return tensors, metadata


# ---- layers, losses, initialisers ---------------------------------------------------------------------------------

class SelfAttention(nn.MultiheadAttention):
    def __init__(self, width, heads, causal=False):
        super().__init__(width, heads, batch_first=True)
        self.causal = causal
        self.in_proj_bias.data.normal_()

    def forward(self, x):
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1) if self.causal else None
        return super().forward(x, x, x, attn_mask=later, need_weights=False)[0]


class Recurrent(nn.Module):
    def __init__(self, kind, width, hidden, layers, bidirectional, bias=True):
        super().__init__()
        self.inner = kind(width, hidden, layers, bias=bias, batch_first=True, bidirectional=bidirectional)

    def forward(self, x):
        return self.inner(x)[0]

    def state_dict(self):
        return self.inner.state_dict(keep_vars=True)


@file
def layers():
    """Layers on their own: weights, result and gradients of both. What the C side builds is named in the metadata."""
    torch.manual_seed(0)
    tensors, metadata = {}, {}
    for i, (line, layer, shape) in enumerate((
        ("rnn hidden=5", Recurrent(nn.RNN, 3, 5, 1, False), "2x4x3"),
        ("lstm hidden=5", Recurrent(nn.LSTM, 3, 5, 1, False), "2x4x3"),
        ("gru hidden=5", Recurrent(nn.GRU, 3, 5, 1, False), "2x4x3"),
        ("rnn hidden=4 layers=2 bidirectional=1", Recurrent(nn.RNN, 3, 4, 2, True), "2x4x3"),
        ("lstm hidden=4 layers=2 bidirectional=1", Recurrent(nn.LSTM, 3, 4, 2, True), "2x4x3"),
        ("gru hidden=4 layers=2 bidirectional=1", Recurrent(nn.GRU, 3, 4, 2, True), "2x4x3"),
        ("lstm hidden=4 no_bias=1", Recurrent(nn.LSTM, 3, 4, 1, False, False), "3x5x3"),
        ("attention heads=2", SelfAttention(8, 2), "2x5x8"),
        ("attention heads=4 causal=1", SelfAttention(8, 4, True), "2x5x8"),
        ("conv_transpose channels=4 kernel=4 stride=2 padding=1", nn.ConvTranspose1d(3, 4, 4, 2, 1), "2x3x5"),
        ("conv_transpose channels=6 kernel=3 stride=2 padding=1 output_padding=1 groups=2",
         nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2), "2x4x3x4"),
        ("conv_transpose channels=2 kernel=3 dilation=2 no_bias=1",
         nn.ConvTranspose2d(3, 2, 3, dilation=2, bias=False), "1x3x4x3"),
        ("conv channels=4 kernel=3 stride=2 dilation=2 padding=1", nn.Conv3d(2, 4, 3, 2, 1, 2), "1x2x5x6x5"),
    )):
        rng = np.random.default_rng(i)
        layer = layer.float().double()
        x = draw(shape, rng).requires_grad_()
        y = layer(x)
        seed = draw("x".join(map(str, y.shape)), rng)
        weights = layer.state_dict() if isinstance(layer, Recurrent) else dict(layer.named_parameters())
        dx, *gradients = torch.autograd.grad(y, [x, *weights.values()], seed)
        tensors.update({f"{i}.x": x.float(), f"{i}.y": y, f"{i}.dy": seed.float(), f"{i}.dx": dx})
        tensors.update((f"{i}.w.{key}", t.float()) for key, t in weights.items())
        tensors.update((f"{i}.dw.{key}", g) for key, g in zip(weights, gradients))
        metadata[str(i)] = line
    return tensors, metadata


@file
def losses():
    """Loss and gradient of predictions against targets."""
    cases = {
        "mse": (F.mse_loss, "4x5", "4x5"),
        "l1": (F.l1_loss, "4x5", "4x5"),
        "huber 0.7": (lambda p, t: F.huber_loss(p, t, delta=0.7), "4x5", "4x5"),
        "smooth_l1 0.5": (lambda p, t: F.smooth_l1_loss(p, t, beta=0.5), "4x5", "4x5"),
        "bce_with_logits": (F.binary_cross_entropy_with_logits, "4x5@-30..30", "4x5@0..1"),
        "kl_divergence": (lambda p, t: F.kl_div(p, t, reduction="batchmean"), "4x5@-4..-0.1", "4x5@0.05..1"),
        "nll": (F.nll_loss, "6x5@-4..-0.1", "6:i64@0..4"),
        "cross_entropy": (F.cross_entropy, "6x5x3", "6x3:i64@0..4"),
    }
    tensors, metadata = {}, {}
    for i, (line, (loss, prediction, target)) in enumerate(cases.items()):
        rng = np.random.default_rng(i)
        p, t = draw(prediction, rng).requires_grad_(), draw(target, rng)
        value = loss(p, t)
        (gradient,) = torch.autograd.grad(value, p)
        tensors.update({f"{i}.prediction": p.float(), f"{i}.target": t.float() if t.is_floating_point() else t,
                        f"{i}.loss": value, f"{i}.dprediction": gradient})
        metadata[str(i)] = line
    return tensors, metadata


QUANTILES = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)


@file
def init():
    """Quantiles of a large sample of each initialiser, and of what layers begin with."""
    torch.manual_seed(0)
    shape, deviation = (256, 32, 3, 3), 0.02
    fill, tensors = nn.init, {"quantiles": torch.tensor(QUANTILES, dtype=torch.float64)}
    samples = {
        "uniform": fill.uniform_(torch.empty(shape), -0.5, 1.5),
        "normal": fill.normal_(torch.empty(shape), 0.5, 2.0),
        "truncated_normal": fill.trunc_normal_(torch.empty(shape), 0, deviation, -2 * deviation, 2 * deviation),
        "xavier_uniform": fill.xavier_uniform_(torch.empty(shape), 1.5),
        "xavier_normal": fill.xavier_normal_(torch.empty(shape)),
        "kaiming_uniform": fill.kaiming_uniform_(torch.empty(shape), 0.1, nonlinearity="leaky_relu"),
        "kaiming_normal": fill.kaiming_normal_(torch.empty(shape)),
        "kaiming_normal_fan_out": fill.kaiming_normal_(torch.empty(shape), mode="fan_out"),
        "orthogonal": fill.orthogonal_(torch.empty(shape)),
        "linear": nn.Linear(300, 250).weight, "linear_bias": nn.Linear(16, 70000).bias,
        "conv": nn.Conv2d(64, 128, 3).weight, "embedding": nn.Embedding(1000, 70).weight,
        "lstm": nn.LSTM(100, 200).weight_ih_l0,
    }
    for name, sample in samples.items():
        values = sample.detach().double().flatten().numpy()
        tensors[name] = torch.tensor(np.quantile(values, QUANTILES))
    return tensors, {"shape": "x".join(map(str, shape))}
