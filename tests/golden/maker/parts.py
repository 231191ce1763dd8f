"""Layers, losses, optimizers and initialisers, each on its own."""
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import lr_scheduler as scheduler

from .store import attribute, draw, file

# ---- optimizers -------------------------------------------------------------------------------------------------

OPTIMIZERS = {
    "sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam, "adamax": torch.optim.Adamax, "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta, "rmsprop": torch.optim.RMSprop,
}
RENAMED = {"rate_decay": "lr_decay", "initial": "initial_accumulator_value"}


class Published(torch.optim.Optimizer):
    """Optimizers that torch has not, or not in double precision, from the formulas of their papers. One parameter."""

    def __init__(self, parameters, name, lr, betas=None, momentum=0, weight_decay=0, eps=0, trust=0.001, match_rms=0):
        super().__init__(parameters, {"lr": lr, "betas": betas})
        self.name, self.momentum, self.decay, self.eps, self.trust = name, momentum, weight_decay, eps, trust
        self.match_rms, self.step_count, self.m, self.v = match_rms, 0, 0, 0

    @torch.no_grad()
    def step(self):
        group = self.param_groups[0]
        self.step_count += 1
        getattr(self, self.name)(group["params"][0], group["params"][0].grad, group["lr"], group["betas"])

    def lion(self, p, g, lr, betas):
        b1, b2 = betas or (0.9, 0.99)
        p.copy_(p * (1 - lr * self.decay) - lr * torch.sign(b1 * self.m + (1 - b1) * g))
        self.m = b2 * self.m + (1 - b2) * g

    def lars(self, p, g, lr, _):
        rate = self.trust * p.norm() / (g.norm() + self.decay * p.norm())
        self.m = self.momentum * self.m + lr * rate * (g + self.decay * p)
        p.sub_(self.m)

    def larc(self, p, g, lr, _):
        rate = min(self.trust * p.norm() / (g.norm() + self.decay * p.norm() + 1e-8) / lr, torch.tensor(1.0))
        self.m = self.momentum * self.m + rate * (g + self.decay * p)
        p.sub_(lr * self.m)

    def lamb(self, p, g, lr, betas):
        b1, b2 = betas or (0.9, 0.999)
        g = g / max(1, g.norm())
        self.m, self.v = b1 * self.m + (1 - b1) * g, b2 * self.v + (1 - b2) * g * g
        u = self.m / (1 - b1**self.step_count) / ((self.v / (1 - b2**self.step_count)).sqrt() + (self.eps or 1e-6))
        u = u + self.decay * p
        p.sub_(lr * p.norm() / u.norm() * u)

    def muon(self, p, g, lr, _):
        beta = self.momentum or 0.95
        self.m = beta * self.m + (1 - beta) * g
        x = (1 - beta) * g + beta * self.m
        rows, columns = p.shape
        x = x.T if rows > columns else x
        x = x / max(x.norm(), 1e-7)
        for _ in range(5):
            gram = x @ x.T
            x = 3.4445 * x + (-4.775 * gram + 2.0315 * gram @ gram) @ x
        x = x.T if rows > columns else x
        length = 0.2 * max(rows, columns) ** 0.5 if self.match_rms else max(1, rows / columns) ** 0.5
        p.copy_(p * (1 - lr * self.decay) - lr * length * x)


def options_of(line):
    """"sgd momentum=0.9" -> "sgd", {"momentum": 0.9}"""
    name, *words = line.split()
    return name, {key: attribute(value) for key, value in (word.split("=") for word in words)}


def optimizer_from(line, parameters):
    name, options = options_of(line)
    options["lr"] = options.pop("learning_rate")
    if name not in OPTIMIZERS:
        options["name"] = name
    if "rho" in options and name == "rmsprop":
        options["alpha"] = options.pop("rho")
    options = {RENAMED.get(key, key): value for key, value in options.items()}
    if "beta1" in options or "beta2" in options:
        options["betas"] = (options.pop("beta1", 0.9), options.pop("beta2", 0.999))
    return OPTIMIZERS.get(name, Published)(parameters, **options)


class Lookahead:
    """Zhang and others 2019, around another optimizer."""

    def __init__(self, inner, parameters, every, pull):
        self.inner, self.parameters, self.every, self.pull, self.count = inner, list(parameters), every, pull, 0
        self.slow = [p.detach().clone() for p in self.parameters]

    def step(self):
        self.inner.step()
        self.count += 1
        if self.count % self.every:
            return
        with torch.no_grad():
            for p, slow in zip(self.parameters, self.slow):
                slow += self.pull * (p - slow)
                p.copy_(slow)


def clipped(parameter, clip_value, clip_norm):
    if clip_value:
        nn.utils.clip_grad_value_([parameter], clip_value)
    if clip_norm:
        nn.utils.clip_grad_norm_([parameter], clip_norm)


@file
def optim():
    """Twenty updates of one parameter by given gradients; the parameter after each."""
    rng = np.random.default_rng(20)
    start, gradients = draw("3x5", rng), draw("20x3x5", rng)
    torch.set_default_dtype(torch.float64)  # NAdam keeps its product of momenta in this type
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
        adam learning_rate=0.01 amsgrad=1
        adamw learning_rate=0.02 beta2=0.5 amsgrad=1 weight_decay=0.1
        nadam learning_rate=0.02
        nadam learning_rate=0.02 beta1=0.8 weight_decay=0.1 momentum_decay=0.1
        radam learning_rate=0.01
        radam learning_rate=0.05 beta2=0.8 weight_decay=0.1
        adamax learning_rate=0.02
        adamax learning_rate=0.02 beta1=0.8 beta2=0.9 weight_decay=0.1
        adagrad learning_rate=0.1
        adagrad learning_rate=0.1 rate_decay=0.1 initial=0.5 weight_decay=0.1
        adadelta learning_rate=1
        adadelta learning_rate=0.5 rho=0.8 eps=0.001 weight_decay=0.1
        rmsprop learning_rate=0.01
        rmsprop learning_rate=0.01 rho=0.9 momentum=0.9 weight_decay=0.1
        rmsprop learning_rate=0.01 centered=1
        rmsprop learning_rate=0.01 centered=1 momentum=0.8 eps=0.001
        lion learning_rate=0.01
        lion learning_rate=0.01 beta1=0.8 beta2=0.9 weight_decay=0.1
        lars learning_rate=5 momentum=0.9 weight_decay=0.01
        lars learning_rate=1 trust=0.02
        larc learning_rate=0.05 momentum=0.9 weight_decay=0.01 trust=0.02
        larc learning_rate=0.001 trust=0.02
        lamb learning_rate=0.02 weight_decay=0.01
        lamb learning_rate=0.02 beta1=0.8 beta2=0.9 weight_decay=0.1 eps=0.001
        muon learning_rate=0.02 weight_decay=0.1
        muon learning_rate=0.02 momentum=0.8 match_rms=1
        sgd learning_rate=0.1 momentum=0.9 lookahead=5 lookahead_pull=0.5
        adamw learning_rate=0.02 weight_decay=0 lookahead=3 lookahead_pull=0.8
        sgd learning_rate=0.1 clip_norm=2
        adam learning_rate=0.01 clip_value=0.5 clip_norm=1
    """.splitlines()))):
        parameter = start.clone().requires_grad_()
        _, options = options_of(line)
        around = {key: options.pop(key, 0) for key in ("lookahead", "lookahead_pull", "clip_value", "clip_norm")}
        plain = " ".join(word for word in line.split() if word.split("=")[0] not in around)
        optimizer, after = optimizer_from(plain, [parameter]), []
        if around["lookahead"]:
            optimizer = Lookahead(optimizer, [parameter], around["lookahead"], around["lookahead_pull"])
        for gradient in gradients:
            parameter.grad = gradient.clone()
            clipped(parameter, around["clip_value"], around["clip_norm"])
            optimizer.step()
            after.append(parameter.detach().clone())
        tensors[f"{i}.after"] = torch.stack(after)
        metadata[str(i)] = line
    torch.set_default_dtype(torch.float32)
    return tensors, metadata


def torch_schedule(name, o, optimizer, steps):
    """What torch calls the schedule; without warm-up."""
    low, gamma = o.get("min_rate", 0), o.get("gamma", 0.1)
    if name == "constant":
        return scheduler.ConstantLR(optimizer, 1.0)
    if name == "step":
        return scheduler.StepLR(optimizer, o["step_size"], gamma)
    if name == "multistep":
        return scheduler.MultiStepLR(optimizer, o["milestones"], gamma)
    if name == "exponential":
        return scheduler.ExponentialLR(optimizer, gamma)
    if name == "polynomial":
        return scheduler.PolynomialLR(optimizer, steps, o.get("power", 1))
    if name == "cosine":
        return scheduler.CosineAnnealingLR(optimizer, steps, low)
    if name == "cosine_restarts":
        return scheduler.CosineAnnealingWarmRestarts(optimizer, o["period"], o.get("period_factor", 1), low)
    if name == "cyclic":
        return scheduler.CyclicLR(optimizer, low, 0.4, o["step_up"], o.get("step_down"), o["mode"], o.get("gamma", 1.0),
                                  cycle_momentum=True)
    return scheduler.OneCycleLR(optimizer, 0.4, steps, pct_start=o.get("pct_start", 0.3),
                                anneal_strategy="linear" if o.get("linear") else "cos",
                                div_factor=o.get("div_factor", 25), final_div_factor=o.get("final_div_factor", 1e4),
                                three_phase=bool(o.get("three_phase")))


@file
def schedules():
    """The learning rate of each step, and the momentum where it is moved."""
    tensors, metadata = {}, {}
    for i, line in enumerate(filter(None, map(str.strip, """
        constant
        constant warmup_steps=6
        constant warmup_steps=6 warmup_factor=0.25
        constant warmup_steps=6 warmup_constant=1
        step step_size=7
        step step_size=4 gamma=0.5 warmup_steps=5
        multistep milestones=4,9,20 gamma=0.3
        exponential gamma=0.9
        polynomial power=2
        polynomial warmup_steps=4
        cosine
        cosine min_rate=0.01
        cosine min_rate=0.01 warmup_steps=8
        cosine_restarts period=7
        cosine_restarts period=3 period_factor=2 min_rate=0.01
        cyclic step_up=4 mode=triangular min_rate=0.1
        cyclic step_up=4 step_down=3 mode=triangular2 min_rate=0.1
        cyclic step_up=5 mode=exp_range gamma=0.95 min_rate=0.1
        one_cycle
        one_cycle pct_start=0.25 div_factor=10 final_div_factor=100 linear=1
        one_cycle three_phase=1
        one_cycle three_phase=1 linear=1 pct_start=0.4
        one_cycle steps=100
    """.splitlines()))):
        name, options = options_of(line)
        steps, warmup = options.get("steps", 30), options.get("warmup_steps", 0)
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.4, momentum=0.9)
        schedule = torch_schedule(name, options, optimizer, steps - warmup)
        if warmup:
            first = (scheduler.ConstantLR(optimizer, 1 / 3, warmup) if options.get("warmup_constant") else
                     scheduler.LinearLR(optimizer, options.get("warmup_factor", 1 / (warmup + 1)), total_iters=warmup))
            schedule = scheduler.SequentialLR(optimizer, [first, schedule], [warmup])
        rates, momenta = [], []
        for step in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            momenta.append(optimizer.param_groups[0]["momentum"])
            optimizer.step()
            if step + 1 < steps:
                schedule.step()
        tensors[f"{i}.rates"] = torch.tensor(rates, dtype=torch.float64)
        if name in ("cyclic", "one_cycle"):
            tensors[f"{i}.momenta"] = torch.tensor(momenta, dtype=torch.float64)
        metadata[str(i)] = line + " base=0.4"
    values = [1.0, 0.9, 0.91, 0.92, 0.90001, 0.8, 0.85, 0.86, 0.87, 0.88, 0.89, 0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96]
    for key, line in {"p0": "patience=1", "p1": "patience=2 gamma=0.5 cooldown=2 min_rate=0.02 threshold=0.05",
                      "p2": "patience=0 gamma=0.3 higher=1"}.items():
        o = options_of("plateau " + line)[1]
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.4)
        schedule = scheduler.ReduceLROnPlateau(
            optimizer, "max" if o.get("higher") else "min", o.get("gamma", 0.1), o["patience"], o.get("threshold", 1e-4),
            cooldown=o.get("cooldown", 0), min_lr=o.get("min_rate", 0), eps=0)
        rates = []
        for value in values:
            schedule.step(value)
            rates.append(optimizer.param_groups[0]["lr"])
        tensors[f"{key}.rates"] = torch.tensor(rates, dtype=torch.float64)
        metadata[key] = f"plateau {line} base=0.4"
    tensors["values"] = torch.tensor(values, dtype=torch.float64)
    tensors.update(rate_curve())
    return tensors, metadata


def rate_curve():
    """A curve of a learning rate finder and its suggestions: valley, steepest, a tenth of the minimum."""
    rng = np.random.default_rng(7)
    rates = 1e-7 * (10 / 1e-7) ** (np.arange(90) / 99)
    smooth = 2.3 - 1.6 / (1 + np.exp(-2 * (np.log10(rates) + 2.5))) + np.maximum(0, np.log10(rates) + 0.9) ** 2 * 3
    smooth += 0.004 * rng.standard_normal(90)
    x, y = rates[10:-5], smooth[10:-5]
    falls = np.ones(len(y), int)
    for i in range(len(y)):
        falls[i] = 1 + max((falls[j] for j in range(i) if y[i] < y[j]), default=0)
    end = int(falls.argmax())
    third = falls[end] / 3
    valley = x[end - falls[end] + int(third) + int(third / 2)]
    steepest = x[(np.diff(y) / np.diff(np.log(x))).argmin()]
    return {"curve.rates": torch.tensor(rates), "curve.smooth": torch.tensor(smooth),
            "curve.suggestions": torch.tensor([valley, steepest, x[y.argmin()] / 10])}


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
