"""Architectures of the zoo at small widths: what PyTorch's functions give with the same weights.

The metadata maps a case to "architecture setting=value ..."; "<case>.y", "<case>.y1", ... are what it must return in
evaluation, "<case>.x" is its input if that are token ids; other inputs are sin(0.7 i). Weights are not stored either:
each is a function of its published name, its shape and the element's place (weight below), so a wrong name or order
shows as a wrong result.
"""
import zlib

import numpy as np
import torch
import torch.nn.functional as F

from .store import draw, file


def weight(name, *shape):
    """sin(0.7 i + sum of the name's bytes), scaled so that signals neither vanish nor explode; rounded to f32."""
    i = np.arange(int(np.prod(shape)), dtype=np.float64)
    wave = np.sin(0.7 * i + sum(name.encode()))
    if name.endswith("running_var"):
        wave = 1 + 0.5 * wave
    elif len(shape) > 1:
        wave *= np.sqrt(6 / np.prod(shape[1:]))
    elif name.endswith("weight"):
        wave = 1 + 0.2 * wave
    else:
        wave *= 0.1
    return torch.tensor(wave.astype(np.float32).astype(np.float64).reshape(shape))


# ---- layers ---------------------------------------------------------------------------------------------------------

def linear(name, x, features, bias=True):
    return F.linear(x, weight(f"{name}.weight", features, x.shape[-1]), weight(f"{name}.bias", features) if bias else None)


def conv(name, x, channels, kernel, stride=1, groups=1, bias=False, padding=None):
    w = weight(f"{name}.weight", channels, x.shape[1] // groups, kernel, kernel)
    b = weight(f"{name}.bias", channels) if bias else None
    return F.conv2d(x, w, b, stride, kernel // 2 if padding is None else padding, 1, groups)


def batch_norm(name, x):
    parts = [weight(f"{name}.{part}", x.shape[1]) for part in ("running_mean", "running_var", "weight", "bias")]
    return F.batch_norm(x, *parts)


def layer_norm(name, x, eps=1e-5):
    return F.layer_norm(x, x.shape[-1:], weight(f"{name}.weight", x.shape[-1]), weight(f"{name}.bias", x.shape[-1]), eps)


def attention(q, k, v, heads, causal=False):
    q, k, v = (t.unflatten(2, (heads, -1)).transpose(1, 2) for t in (q, k, v))
    return F.scaled_dot_product_attention(q, k, v, is_causal=causal).transpose(1, 2).flatten(2)


# ---- architectures --------------------------------------------------------------------------------------------------

def resnet(x, depth, width, classes):
    counts = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}[depth]
    x = F.max_pool2d(F.relu(batch_norm("bn1", conv("conv1", x, width, 7, 2))), 3, 2, 1)
    for stage, count in enumerate(counts):
        for i in range(count):
            name, channels, stride = f"layer{stage + 1}.{i}", width * 2 ** stage, 2 if stage and not i else 1
            plan = [(1, 1, 1), (3, stride, 1), (1, 1, 4)] if depth >= 50 else [(3, stride, 1), (3, 1, 1)]
            h = x
            for k, (kernel, step, grow) in enumerate(plan):
                h = F.relu(h) if k else h
                h = batch_norm(f"{name}.bn{k + 1}", conv(f"{name}.conv{k + 1}", h, channels * grow, kernel, step))
            if h.shape != x.shape:
                x = batch_norm(f"{name}.downsample.1", conv(f"{name}.downsample.0", x, h.shape[1], 1, stride))
            x = F.relu(h + x)
    return linear("fc", x.mean((2, 3)), classes)


def resnet_cifar(x, depth, projection, classes):
    x = F.relu(batch_norm("bn1", conv("conv1", x, 16, 3)))
    for stage in range(3):
        for i in range((depth - 2) // 6):
            name, channels, stride = f"layer{stage + 1}.{i}", 16 * 2 ** stage, 2 if stage and not i else 1
            h = F.relu(batch_norm(f"{name}.bn1", conv(f"{name}.conv1", x, channels, 3, stride)))
            h = batch_norm(f"{name}.bn2", conv(f"{name}.conv2", h, channels, 3))
            if stride != 1:
                assert not projection
                more = (channels - x.shape[1]) // 2
                x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, more, more))
            x = F.relu(h + x)
    return linear("fc", x.mean((2, 3)), classes)


def vgg(x, depth, width, hidden, classes):
    index = 0
    for stage, count in enumerate({11: (1, 1, 2, 2, 2), 16: (2, 2, 3, 3, 3)}[depth]):
        for _ in range(count):
            x = F.relu(conv(f"features.{index}", x, width * min(2 ** stage, 8), 3, bias=True))
            index += 2
        x = F.max_pool2d(x, 2)
        index += 1
    x = F.relu(linear("classifier.0", x.flatten(1), hidden))
    x = F.relu(linear("classifier.3", x, hidden))
    return linear("classifier.6", x, classes)


def mobilenet_v2(x, width, classes):
    def rounded(channels):
        whole = max(8, int(channels * width + 4) // 8 * 8)
        return whole + 8 if whole < 0.9 * channels * width else whole

    def cell(name, x, channels, kernel, stride=1, groups=1):
        return F.relu6(batch_norm(f"{name}.1", conv(f"{name}.0", x, channels, kernel, stride, groups)))

    x, index = cell("features.0", x, rounded(32), 3, 2), 1
    for t, c, n, s in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
                       (6, 320, 1, 1)):
        for i in range(n):
            name, inside, wide = f"features.{index}.conv", x.shape[1] * t, int(t != 1)
            h = cell(f"{name}.0", x, inside, 1) if wide else x
            h = cell(f"{name}.{wide}", h, inside, 3, 1 if i else s, inside)
            h = batch_norm(f"{name}.{wide + 2}", conv(f"{name}.{wide + 1}", h, rounded(c), 1))
            x = x + h if h.shape == x.shape else h
            index += 1
    x = cell("features.18", x, 1280, 1)
    return linear("classifier.1", x.mean((2, 3)), classes)


def gpt(x, layers, heads, width, context, vocabulary, tanh):
    table = weight("transformer.wte.weight", vocabulary, width)
    h = F.embedding(x, table) + weight("transformer.wpe.weight", context, width)[:x.shape[1]]
    for i in range(layers):
        name = f"transformer.h.{i}"
        qkv = linear(f"{name}.attn.c_attn", layer_norm(f"{name}.ln_1", h), 3 * width)
        h = h + linear(f"{name}.attn.c_proj", attention(*qkv.split(width, 2), heads, causal=True), width)
        inside = linear(f"{name}.mlp.c_fc", layer_norm(f"{name}.ln_2", h), 4 * width)
        h = h + linear(f"{name}.mlp.c_proj", F.gelu(inside, approximate="tanh" if tanh else "none"), width)
    return F.linear(layer_norm("transformer.ln_f", h), table)


def bert(x, layers, heads, width, hidden, context, vocabulary):
    h = F.embedding(x, weight("embeddings.word_embeddings.weight", vocabulary, width))
    h = h + weight("embeddings.position_embeddings.weight", context, width)[:x.shape[1]]
    h = h + weight("embeddings.token_type_embeddings.weight", 2, width)[0]
    h = layer_norm("embeddings.LayerNorm", h, 1e-12)
    for i in range(layers):
        name = f"encoder.layer.{i}"
        q, k, v = (linear(f"{name}.attention.self.{part}", h, width) for part in ("query", "key", "value"))
        a = linear(f"{name}.attention.output.dense", attention(q, k, v, heads), width)
        h = layer_norm(f"{name}.attention.output.LayerNorm", a + h, 1e-12)
        a = linear(f"{name}.output.dense", F.gelu(linear(f"{name}.intermediate.dense", h, hidden)), width)
        h = layer_norm(f"{name}.output.LayerNorm", a + h, 1e-12)
    return h


def char_lstm(x, vocabulary, width, hidden, layers):
    h = F.embedding(x, weight("encoder.weight", vocabulary, width))
    lstm = torch.nn.LSTM(width, hidden, layers, batch_first=True).double()
    with torch.no_grad():
        for name, parameter in lstm.named_parameters():
            parameter.copy_(weight(f"rnn.{name}", *parameter.shape))
    return linear("decoder", lstm(h)[0], vocabulary)


def dcgan_generator(x, noise, width):
    for index, channels in ((0, 8 * width), (3, 4 * width), (6, 2 * width), (9, width), (12, 3)):
        w = weight(f"main.{index}.weight", x.shape[1], channels, 4, 4)
        x = F.conv_transpose2d(x, w, None, 2 if index else 1, 1 if index else 0)
        x = F.relu(batch_norm(f"main.{index + 1}", x)) if index < 12 else torch.tanh(x)
    return x


def dcgan_discriminator(x, width):
    for index, channels in ((0, width), (2, 2 * width), (5, 4 * width), (8, 8 * width)):
        x = conv(f"main.{index}", x, channels, 4, 2, padding=1)
        x = F.leaky_relu(batch_norm(f"main.{index + 1}", x) if index else x, 0.2)
    return conv("main.11", x, 1, 4, padding=0).flatten(1)


def vae(x, features, hidden, latent):
    h = F.relu(linear("fc1", x, hidden))
    mean, log_variance = linear("fc21", h, latent), linear("fc22", h, latent)
    return linear("fc4", F.relu(linear("fc3", mean, hidden)), features), mean, log_variance


CASES = {
    "resnet18": (resnet, "2x3x32x32", "depth=18 width=4 classes=5 size=32"),
    "resnet50": (resnet, "2x3x64x64", "depth=50 width=4 classes=5 size=64"),
    "resnet_cifar": (resnet_cifar, "2x3x32x32", "depth=14 projection=0 classes=10"),
    "vgg16": (vgg, "2x3x32x32", "depth=16 width=4 hidden=16 classes=5 size=32"),
    "vgg11": (vgg, "1x3x64x64", "depth=11 width=4 hidden=16 classes=5 size=64"),
    "mobilenet_v2": (mobilenet_v2, "2x3x64x64", "width=0.3 classes=5 size=64"),
    "gpt": (gpt, "2x7:i64@0..12", "layers=2 heads=2 width=8 context=10 vocabulary=13 tanh=0"),
    "gpt2": (gpt, "2x10:i64@0..12", "layers=3 heads=4 width=16 context=10 vocabulary=13 tanh=1"),
    "bert": (bert, "3x9:i64@0..19", "layers=2 heads=2 width=8 hidden=24 context=12 vocabulary=20"),
    "char_lstm": (char_lstm, "3x6:i64@0..8", "vocabulary=9 width=5 hidden=7 layers=2"),
    "dcgan_generator": (dcgan_generator, "1x6x1x1", "noise=6 width=3"),
    "dcgan_discriminator": (dcgan_discriminator, "2x3x64x64", "width=3"),
    "vae": (vae, "4x12", "features=12 hidden=9 latent=3"),
}


@file
def zoo():
    tensors, metadata = {}, {}
    for name, (function, shape, settings) in CASES.items():
        values = {key: float(value) for key, value in (word.split("=") for word in settings.split())}
        values = {key: value if value % 1 else int(value) for key, value in values.items()}
        values.pop("size", None)
        x = draw(shape, np.random.default_rng(zlib.crc32(name.encode())))
        if x.is_floating_point():
            x = torch.sin(0.7 * torch.arange(x.numel(), dtype=torch.float64)).float().double().reshape(x.shape)
        outputs = function(x, **values)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        if not x.is_floating_point():
            tensors[f"{name}.x"] = x
        for i, y in enumerate(outputs):
            tensors[f"{name}.y{i or ''}"] = y.float()
        metadata[name] = f"{function.__name__} {settings}"
    return tensors, metadata
