"""Operations: what PyTorch calls each, and the cases they are tested with.

One case is one line in the syntax of an operation's own case strings ("conv x=2x3x8x8 w=4x3x3x3 stride=2"). Its
operands are stored as "<case>.<operand>", the values it must give as "<case>.<output>", the gradient fed back as
"<case>.d<output>" and the gradients it must give as "<case>.d<operand>"; "<case>.u<operand>" is fed back through those
in turn and gives the second derivatives "<case>.dd<operand>". The file's metadata maps "<case>" to the operation and its
attributes ("conv stride=2"), so one test walks every case without knowing any of them.
"""
import inspect
import keyword
import math
import zlib

import numpy as np
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from .store import FILES, attribute, draw

OPERATIONS = {}  # name -> function: positional parameters are operands, keyword-only ones attributes


def operation(function):
    OPERATIONS[function.__name__.rstrip("_")] = function
    return function


# ---- one case ---------------------------------------------------------------------------------------------------

def parse(line, rng):
    """Operation, operands and attributes of a case, and the text that is left without the operands."""
    name, *words = line.split()
    function = OPERATIONS[name]
    parameters = inspect.signature(function).parameters
    operands, attributes, kept = {}, {}, [name]
    for word in words:
        key, _, value = word.partition("=")
        key = key + "_" if keyword.iskeyword(key) else key
        kind = parameters[key].kind if key in parameters else inspect.Parameter.VAR_POSITIONAL
        if kind == inspect.Parameter.KEYWORD_ONLY:
            attributes[key] = attribute(value)
            kept.append(word)
        else:
            operands[key] = draw(value, rng)
    return function, operands, attributes, " ".join(kept)


def vjp(outputs, leaves, rng):
    """Random seeds for the outputs that depend on the leaves, and the gradients they give."""
    seeds = {key: draw("x".join(map(str, t.shape)) or "scalar", rng) for key, t in outputs.items() if t.requires_grad}
    if not seeds:
        return {}, {}
    grads = torch.autograd.grad([outputs[key] for key in seeds], list(leaves.values()), list(seeds.values()),
                                create_graph=True, allow_unused=True)
    return seeds, {key: g for key, g in zip(leaves, grads) if g is not None}


def run_case(name, line, tensors, metadata):
    rng = np.random.default_rng(zlib.crc32(line.encode()))
    function, operands, attributes, metadata[name] = parse(line, rng)
    real = {key: t.requires_grad_() for key, t in operands.items() if t.is_floating_point()}
    repeated = any(p.kind == p.VAR_POSITIONAL for p in inspect.signature(function).parameters.values())
    outputs = function(*operands.values(), **attributes) if repeated else function(**operands, **attributes)
    outputs = {"y": outputs} if torch.is_tensor(outputs) else outputs
    seeds, grads = vjp(outputs, real, rng)
    second_seeds, second = vjp(grads, real, rng)
    for group, prefix in ((outputs, ""), (grads, "d"), (second, "dd")):
        tensors.update((f"{name}.{prefix}{key}", t.detach()) for key, t in group.items())
    for group, prefix in ((operands, ""), (seeds, "d"), (second_seeds, "u")):
        tensors.update((f"{name}.{prefix}{key}", t.detach().float() if t.is_floating_point() else t)
                       for key, t in group.items())


def cases(file, lines):
    """Registers a file of cases, one a line; they are numbered by operation: conv.0, conv.1, ..."""
    def make():
        tensors, metadata, counts = {}, {}, {}
        for line in filter(None, map(str.strip, lines.splitlines())):
            op = line.split()[0]
            counts[op] = counts.get(op, -1) + 1
            run_case(f"{op}.{counts[op]}", line, tensors, metadata)
        return tensors, metadata
    FILES[f"ops_{file}"] = make


# ---- element-wise -----------------------------------------------------------------------------------------------

UNARY = {
    "neg": torch.neg, "abs": torch.abs, "sign": torch.sign, "exp": torch.exp, "expm1": torch.expm1,
    "log": torch.log, "log1p": torch.log1p, "sqrt": torch.sqrt, "rsqrt": torch.rsqrt, "square": torch.square,
    "reciprocal": torch.reciprocal, "sin": torch.sin, "cos": torch.cos, "tan": torch.tan, "asin": torch.asin,
    "acos": torch.acos, "atan": torch.atan, "sinh": torch.sinh, "cosh": torch.cosh, "tanh": torch.tanh,
    "asinh": torch.asinh, "acosh": torch.acosh, "atanh": torch.atanh, "erf": torch.erf, "floor": torch.floor,
    "ceil": torch.ceil, "round": torch.round, "sigmoid": torch.sigmoid, "relu": F.relu, "relu6": F.relu6,
    "silu": F.silu, "mish": F.mish, "softsign": F.softsign, "selu": F.selu, "hardswish": F.hardswish,
    "hardsigmoid": lambda x: torch.clamp(x / 6 + 0.5, 0, 1), "hardtanh": F.hardtanh, "log_sigmoid": F.logsigmoid, "tanhshrink": F.tanhshrink,
    "isnan": torch.isnan, "isinf": torch.isinf, "isfinite": torch.isfinite, "logical_not": torch.logical_not,
}
BINARY = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "pow": torch.pow,
    "maximum": torch.maximum, "minimum": torch.minimum, "atan2": torch.atan2,
    "equal": torch.eq, "not_equal": torch.ne, "less": torch.lt, "less_equal": torch.le, "greater": torch.gt,
    "greater_equal": torch.ge, "logical_and": torch.logical_and, "logical_or": torch.logical_or,
    "logical_xor": torch.logical_xor,
}


def one_operand(function):
    return lambda x: function(x)


def two_operands(function):
    return lambda a, b: function(a, b)


OPERATIONS.update((name, one_operand(function)) for name, function in UNARY.items())
OPERATIONS.update((name, two_operands(function)) for name, function in BINARY.items())


@operation
def leaky_relu(x, *, slope=0.01):
    return F.leaky_relu(x, slope)


@operation
def elu(x, *, alpha=1.0):
    return F.elu(x, alpha)


@operation
def celu(x, *, alpha=1.0):
    return F.celu(x, alpha)


@operation
def softplus(x, *, beta=1.0, threshold=20.0):
    return F.softplus(x, beta, threshold)


@operation
def gelu(x, *, approximate="none"):
    return F.gelu(x, approximate=approximate)


@operation
def prelu(x, slope):
    return torch.where(x > 0, x, slope * x)


@operation
def softshrink(x, *, lambda_=0.5):
    return F.softshrink(x, lambda_)


@operation
def hardshrink(x, *, lambda_=0.5):
    return F.hardshrink(x, lambda_)


@operation
def mod(a, b, *, truncated=False):
    return torch.fmod(a, b) if truncated else torch.remainder(a, b)


@operation
def where(condition, a, b):
    return torch.where(condition, a, b)


@operation
def clamp(x, *, min=-math.inf, max=math.inf):
    return torch.clamp(x, min, max)


# ---- reductions, products, orders -------------------------------------------------------------------------------

def reduction(function):
    def call(x, *, axes=None, keep=False):
        axes = list(range(x.dim())) if axes is None else axes if isinstance(axes, list) else [axes]
        return function(x, axes, keep)
    return call


def product(x, axes, keep):
    for axis in sorted((a % x.dim() for a in axes), reverse=True):
        x = x.prod(axis, keepdim=True)
    return x if keep else x.squeeze(tuple(axes))


OPERATIONS.update({
    "sum": reduction(lambda x, axes, keep: x.sum(axes, keep)),
    "mean": reduction(lambda x, axes, keep: x.mean(axes, keep)),
    "max": reduction(lambda x, axes, keep: x.amax(axes, keep)),
    "min": reduction(lambda x, axes, keep: x.amin(axes, keep)),
    "logsumexp": reduction(lambda x, axes, keep: x.logsumexp(axes, keep)),
    "prod": reduction(product),
    "norm": reduction(lambda x, axes, keep: x.square().sum(axes, keep).sqrt()),
    "all": reduction(lambda x, axes, keep: x.all(tuple(axes), keep)),
    "any": reduction(lambda x, axes, keep: x.any(tuple(axes), keep)),
})


@operation
def var(x, *, axes=None, keep=False, correction=0):
    return reduction(lambda x, axes, keep: x.var(axes, correction=correction, keepdim=keep))(
        x, axes=axes, keep=keep)


@operation
def std(x, *, axes=None, keep=False, correction=0):
    return var(x, axes=axes, keep=keep, correction=correction).sqrt()


@operation
def cumprod(x, *, axis=-1):
    return x.cumprod(axis)


@operation
def argmax(x, *, axis=-1, keep=False):
    return x.argmax(axis, keep)


@operation
def argmin(x, *, axis=-1, keep=False):
    return x.argmin(axis, keep)


@operation
def matmul(a, b, *, transpose_a=False, transpose_b=False):
    return torch.matmul(a.mT if transpose_a else a, b.mT if transpose_b else b)


@operation
def cumsum(x, *, axis=-1, reverse=False, exclusive=False):
    if reverse:
        return cumsum(x.flip(axis), axis=axis, exclusive=exclusive).flip(axis)
    return x.cumsum(axis) - x if exclusive else x.cumsum(axis)


@operation
def sort(x, *, axis=-1, descending=False):
    values, indices = x.sort(axis, descending)
    return {"values": values, "indices": indices}


@operation
def topk(x, *, k, axis=-1, largest=True):
    values, indices = x.topk(k, axis, largest)
    return {"values": values, "indices": indices}


# ---- gather, scatter, shapes ------------------------------------------------------------------------------------

@operation
def gather(x, indices, *, axis=0):
    return x.gather(axis, indices)


@operation
def take(x, indices, *, axis=0):
    rows = x.index_select(axis, indices.flatten())
    return rows.unflatten(axis, list(indices.shape))


@operation
def scatter(x, indices, updates, *, axis=0):
    return x.scatter(axis, indices, updates)


@operation
def one_hot(indices, *, classes):
    return F.one_hot(indices, classes).double()


@operation
def slice(x, *, start, stop, axes=None, step=1):
    axes = range(len(listed(start))) if axes is None else listed(axes)
    for axis, first, last, by in zip(axes, listed(start), listed(stop), listed(step) * len(listed(start))):
        x = x.index_select(axis, torch.arange(x.shape[axis])[first:last:by])
    return x


@operation
def tril(x, *, diagonal=0):
    return x.tril(diagonal)


@operation
def triu(x, *, diagonal=0):
    return x.triu(diagonal)


@operation
def embedding(weight, indices):
    return F.embedding(indices, weight)


@operation
def scatter_add(x, indices, updates, *, axis=0):
    return x.scatter_add(axis, indices, updates)


def listed(value):
    return value if isinstance(value, list) else [value]


@operation
def transpose(x, *, order):
    return x.permute(listed(order))


@operation
def flip(x, *, axes):
    return x.flip(listed(axes))


@operation
def expand(x, *, shape):
    return x.expand(listed(shape))


@operation
def concat(*x, axis=0):
    return torch.cat(x, axis)


@operation
def stack(*x, axis=0):
    return torch.stack(x, axis)


@operation
def pad(x, *, before, after, mode="constant", value=0.0):
    pairs = [p for pair in zip(reversed(listed(before)), reversed(listed(after))) for p in pair]
    return F.pad(x, pairs, mode, value) if mode == "constant" else F.pad(x, pairs, mode)


# ---- convolution, pooling, interpolation ------------------------------------------------------------------------

def padded(x, padding, value=0.0):
    """Padding is one number, one an axis, or all the beginnings and then all the ends."""
    axes = x.dim() - 2
    padding = listed(padding)
    padding = padding * axes if len(padding) == 1 else padding
    ends = padding if len(padding) == axes else padding[axes:]
    return F.pad(x, [p for pair in zip(reversed(padding[:axes]), reversed(ends)) for p in pair], value=value)


@operation
def conv(x, w, b=None, *, stride=1, padding=0, dilation=1, groups=1):
    function = {3: F.conv1d, 4: F.conv2d, 5: F.conv3d}[x.dim()]
    return function(padded(x, padding), w, b, stride, 0, dilation, groups)


@operation
def conv_backward_data(dy, w, *, stride=1, padding=0, dilation=1, groups=1, size=None):
    """The transposed convolution; the size of its result settles the output padding."""
    axes = dy.dim() - 2
    function = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[axes]
    stride, padding, dilation = (listed(v) * axes if len(listed(v)) == 1 else v for v in (stride, padding, dilation))
    least = [(n - 1) * s - 2 * p + d * (k - 1) + 1
             for n, s, p, d, k in zip(dy.shape[2:], stride, padding, dilation, w.shape[2:])]
    extra = [wanted - n for wanted, n in zip(listed(size), least)] if size else 0
    return {"dx": function(dy, w, None, stride, padding, extra, groups, dilation)}


@operation
def max_pool(x, *, kernel, stride=None, padding=0, dilation=1, ceil_mode=False):
    function = {3: F.max_pool1d, 4: F.max_pool2d, 5: F.max_pool3d}[x.dim()]
    y, indices = function(x, kernel, stride, padding, dilation, ceil_mode, return_indices=True)
    return {"y": y, "indices": indices}


@operation
def avg_pool(x, *, kernel, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    function = {3: F.avg_pool1d, 4: F.avg_pool2d, 5: F.avg_pool3d}[x.dim()]
    return function(x, kernel, stride, padding, ceil_mode, count_include_pad)


@operation
def adaptive_avg_pool(x, *, size):
    return {3: F.adaptive_avg_pool1d, 4: F.adaptive_avg_pool2d, 5: F.adaptive_avg_pool3d}[x.dim()](x, size)


@operation
def adaptive_max_pool(x, *, size):
    function = {3: F.adaptive_max_pool1d, 4: F.adaptive_max_pool2d, 5: F.adaptive_max_pool3d}[x.dim()]
    y, indices = function(x, size, return_indices=True)
    return {"y": y, "indices": indices}


@operation
def interpolate(x, *, size=None, mode="nearest", align_corners=False, scale=None):
    if mode == "nearest":
        return F.interpolate(x, size, scale, mode=mode)
    mode = {3: "linear", 4: "bilinear", 5: "trilinear"}[x.dim()]
    return F.interpolate(x, size, scale, mode=mode, align_corners=align_corners)


# ---- normalisation, softmax, losses, attention ------------------------------------------------------------------

def with_moments(y, x, axes):
    """Mean and variance are results too, but not ones that gradients come from."""
    x = x.detach()
    return {"y": y, "mean": x.mean(axes), "var": x.var(axes, correction=0)}


@operation
def batch_norm(x, weight=None, bias=None, *, epsilon=1e-5):
    axes = [axis for axis in range(x.dim()) if axis != 1]
    return with_moments(F.batch_norm(x, None, None, weight, bias, True, 0.0, epsilon), x, axes)


@operation
def batch_norm_inference(x, mean, var, weight=None, bias=None, *, epsilon=1e-5):
    along = [1, -1] + [1] * (x.dim() - 2)  # F.batch_norm has no gradient with respect to mean and variance
    y = (x - mean.view(along)) / torch.sqrt(var.view(along) + epsilon)
    return y if weight is None else y * weight.view(along) + bias.view(along)


@operation
def layer_norm(x, weight=None, bias=None, *, axes=1, epsilon=1e-5):
    y = F.layer_norm(x, x.shape[x.dim() - axes:], weight, bias, epsilon)
    return with_moments(y, x, tuple(range(x.dim() - axes, x.dim())))


@operation
def rms_norm(x, weight=None, *, axes=1, epsilon=1e-5):
    return F.rms_norm(x, x.shape[x.dim() - axes:], weight, epsilon)


@operation
def group_norm(x, weight=None, bias=None, *, groups, epsilon=1e-5):
    return with_moments(F.group_norm(x, groups, weight, bias, epsilon), x.unflatten(1, (groups, -1)),
                        tuple(range(2, x.dim() + 1)))


@operation
def softmax(x, *, axis=-1):
    return x.softmax(axis)


@operation
def log_softmax(x, *, axis=-1):
    return x.log_softmax(axis)


@operation
def cross_entropy(logits, target, weight=None, *, label_smoothing=0.0, ignore_index=-100):
    weight = None if weight is None else weight.detach()
    loss = F.cross_entropy(logits, target, weight, ignore_index=ignore_index, reduction="none",
                           label_smoothing=label_smoothing)
    counted = target != ignore_index
    weights = torch.ones(logits.shape[1], dtype=logits.dtype) if weight is None else weight
    return {"loss": loss, "logsumexp": logits.detach().logsumexp(1),
            "counted": counted * weights[target.clamp(0, logits.shape[1] - 1)]}


@operation
def attention(q, k, v, mask=None, *, causal=False, scale=0.0):
    with sdpa_kernel(SDPBackend.MATH):  # the one with second derivatives
        return F.scaled_dot_product_attention(q, k, v, mask, is_causal=causal, scale=scale or None)


# ---- the cases --------------------------------------------------------------------------------------------------

cases("conv", """
    conv x=2x3x9 w=4x3x3
    conv x=2x4x9 w=6x2x3 b=6 stride=2 padding=1 groups=2
    conv x=1x2x11 w=3x2x3 dilation=3 padding=2,4
    conv x=2x3x6x5 w=4x3x3x3 b=4
    conv x=2x3x6x5 w=4x3x3x3 b=4 stride=2 padding=1
    conv x=1x3x7x6 w=2x3x3x2 stride=2,1 padding=1,0 dilation=1,2
    conv x=1x3x5x6 w=2x3x3x3 b=2 padding=0,1,2,1
    conv x=2x4x5x5 w=4x1x3x3 b=4 padding=1 groups=4
    conv x=2x4x5x5 w=8x1x3x3 stride=2 padding=1 groups=4
    conv x=2x6x4x4 w=4x3x1x1 b=4 groups=2
    conv x=2x3x4x4 w=5x3x1x1 stride=2
    conv x=1x16x6x6 w=16x16x3x3 b=16 padding=1
    conv x=1x2x4x5x4 w=3x2x2x3x2 b=3 padding=1,0,1
    conv x=1x4x4x4x5 w=4x2x2x2x2 stride=2,1,2 dilation=1,2,1 groups=2
    conv_backward_data dy=2x3x5 w=3x4x3
    conv_backward_data dy=2x4x5 w=4x2x4 stride=2 padding=1 size=11 groups=2
    conv_backward_data dy=2x3x4x4 w=3x2x3x3
    conv_backward_data dy=2x3x4x3 w=3x4x4x4 stride=2 padding=1
    conv_backward_data dy=1x4x3x4 w=4x3x3x3 stride=2 padding=1 size=6,8
    conv_backward_data dy=1x4x3x4 w=4x2x3x2 stride=3,2 padding=1,0 dilation=2,1 size=11,9 groups=2
    conv_backward_data dy=1x2x3x3x2 w=2x3x2x2x3 stride=2,1,1 size=7,4,4
""")

cases("pool", """
    max_pool x=2x3x8 kernel=2
    max_pool x=2x2x7x6 kernel=2
    max_pool x=2x2x7x6 kernel=3 stride=2 padding=1
    max_pool x=2x2x8x7 kernel=3,2 stride=2 ceil_mode=true
    max_pool x=1x2x8x8 kernel=2 stride=1 dilation=2,3
    max_pool x=1x2x4x5x4 kernel=2 stride=2,1,2
    avg_pool x=2x3x8 kernel=3 stride=2 padding=1
    avg_pool x=2x2x6x6 kernel=2
    avg_pool x=2x2x7x6 kernel=3 stride=2 padding=1
    avg_pool x=2x2x7x6 kernel=3 stride=2 padding=1 count_include_pad=false
    avg_pool x=2x2x8x7 kernel=3,2 stride=2 padding=1,0 ceil_mode=true
    avg_pool x=2x2x8x7 kernel=3,2 stride=2 padding=1,0 ceil_mode=true count_include_pad=false
    avg_pool x=1x2x4x5x4 kernel=2 stride=2,1,2
    adaptive_avg_pool x=2x3x7x5 size=1
    adaptive_avg_pool x=2x3x7x5 size=3,2
    adaptive_avg_pool x=2x3x7 size=4
    adaptive_max_pool x=2x3x7x5 size=3,2
    adaptive_max_pool x=2x3x7x5 size=1
""")

cases("norm", """
    batch_norm x=8x3 weight=3 bias=3
    batch_norm x=3x4x5 weight=4 bias=4 epsilon=0.001
    batch_norm x=4x3x3x4 weight=3 bias=3
    batch_norm x=2x3x2x3x2 weight=3 bias=3
    layer_norm x=4x10 weight=10 bias=10
    layer_norm x=2x3x4x5 weight=4x5 bias=4x5 axes=2
    layer_norm x=3x7 epsilon=0.1
    rms_norm x=4x10 weight=10
    rms_norm x=2x3x4x5 weight=4x5 axes=2 epsilon=0.01
    rms_norm x=3x7
    group_norm x=3x6x4 weight=6 bias=6 groups=3
    group_norm x=2x4x3x3 weight=4 bias=4 groups=2
    group_norm x=2x4x3x3 groups=1
    group_norm x=2x3x4x5 weight=3 bias=3 groups=3
    batch_norm x=3x4x5
    batch_norm_inference x=4x3x3x4 mean=3 var=3@0.5..2 weight=3 bias=3
    batch_norm_inference x=4x3 mean=3 var=3@0.5..2 epsilon=0.01
""")

cases("softmax", """
    softmax x=4x9
    softmax x=2x3x4x5 axis=1
    softmax x=3x40@85..95
    log_softmax x=4x9
    log_softmax x=2x3x4x5 axis=1
    log_softmax x=3x40@-95..-85
    cross_entropy logits=6x5 target=6:i64@0..4
    cross_entropy logits=9x5 target=9:i64@0..4 ignore_index=2
    cross_entropy logits=6x5 target=6:i64@0..4 label_smoothing=0.1
    cross_entropy logits=9x5 target=9:i64@0..4 label_smoothing=0.2 ignore_index=0
    cross_entropy logits=9x5 target=9:i64@0..4 weight=5@0.5..2
    cross_entropy logits=9x5 target=9:i64@0..4 weight=5@0.5..2 label_smoothing=0.1 ignore_index=1
    cross_entropy logits=2x4x3x2 target=2x3x2:i64@0..3 label_smoothing=0.1
    cross_entropy logits=6x5@190..200 target=6:i64@0..4
    attention q=2x2x4x8 k=2x2x4x8 v=2x2x4x8
    attention q=2x2x5x8 k=2x2x5x8 v=2x2x5x8 causal=true
    attention q=1x2x3x4 k=1x2x6x4 v=1x2x6x5 scale=0.3
    attention q=1x2x3x4 k=1x2x6x4 v=1x2x6x4 mask=3x6
    attention q=2x2x4x8 k=2x2x4x8 v=2x2x4x8 mask=2x1x4x4
    attention q=1x2x6x4 k=1x2x3x4 v=1x2x3x4 causal=true
    attention q=1x2x3x4 k=1x2x7x4 v=1x2x7x4 mask=1x1x1x7:bool@0..1
""")

cases("elementwise", "\n".join(
    [f"{name} x=3x7@-4..4" for name in (
        "neg abs sign exp expm1 square sin cos tan atan sinh cosh tanh asinh erf floor ceil round sigmoid relu "
        "relu6 silu mish softsign selu hardswish hardsigmoid hardtanh log_sigmoid leaky_relu elu celu softplus gelu").split()]
    + [f"{name} x=3x7@0.1..4" for name in "log log1p sqrt rsqrt reciprocal".split()]
    + [f"{name} x=3x7@-0.95..0.95" for name in "asin acos atanh".split()]
    + [f"{name} a={a} b={b}" for name in "add sub mul maximum minimum atan2 equal not_equal less less_equal greater greater_equal".split()
       for a, b in (("2x3x4", "2x3x4"), ("2x3x4", "3x1"))]
    + [f"{name} a={a} b={b}@0.5..3" for name in ("div", "mul") for a, b in (("2x3", "2x3"), ("2x3x4", "scalar"), ("3x1", "2x1x4"))]
) + """
    acosh x=3x7@1.1..4
    sigmoid x=2x9@-90..90
    softplus x=2x9@-90..90
    log_sigmoid x=2x9@-90..90
    tanh x=2x9@-90..90
    gelu x=3x7@-4..4 approximate=tanh
    leaky_relu x=3x7 slope=0.2
    elu x=3x7 alpha=0.5
    celu x=3x7 alpha=0.5
    softplus x=3x7 beta=2
    prelu x=2x3x4 slope=3x1
    softshrink x=3x7
    softshrink x=3x7 lambda=0.25
    hardshrink x=3x7
    hardshrink x=3x7 lambda=0.25
    softplus x=3x7@-4..4 beta=2 threshold=3
    mod a=2x3x4@-4..4 b=3x1@0.5..2
    mod a=2x3x4@-4..4 b=3x1@-2..-0.5
    mod a=2x3x4@-4..4 b=3x1@0.5..2 truncated=true
    logical_and a=2x3:bool b=2x3:bool
    logical_or a=2x3:bool b=3:bool
    logical_xor a=2x3:bool b=2x1:bool
    logical_not x=2x3:bool
    pow a=2x3x4@0.1..3 b=2x3x4
    pow a=2x3x4@0.1..3 b=3x1
    where condition=2x3x4:bool a=2x3x4 b=2x3x4
    where condition=3x4:bool a=2x1x4 b=3x1
    clamp x=3x7 min=-0.5 max=0.75
    clamp x=3x7 max=0.25
""")

cases("reduce", "\n".join(
    [f"{name} x=3x4x5 {axes}" for name in "sum mean max min prod logsumexp var".split()
     for axes in ("", "axes=1", "axes=0,2", "axes=-1 keep=true")]
) + """
    var x=3x4x5 axes=0,2 correction=1
    logsumexp x=4x9@890..900 axes=1
    norm x=3x4x5 axes=0,2
    norm x=3x7
    all x=3x4:bool axes=1
    any x=3x4:bool axes=0 keep=true
    argmax x=3x7
    argmax x=3x4x5 axis=1 keep=true
    argmin x=3x4x5 axis=0
    std x=3x4x5 axes=1 correction=1
    std x=3x4x5 axes=0,2
    cumprod x=3x7
    cumprod x=3x4x2 axis=1
    cumsum x=3x7
    cumsum x=3x4x5 axis=1
    cumsum x=3x4x5 axis=1 reverse=true
    cumsum x=3x7 axis=0 exclusive=true
    sort x=3x9
    sort x=3x4x5 axis=1 descending=true
    topk x=3x9 k=4
    topk x=3x7x2 k=2 axis=1 largest=false
    matmul a=3x4 b=4x5
    matmul a=3x4 b=5x4 transpose_b=true
    matmul a=4x3 b=4x5 transpose_a=true
    matmul a=4x3 b=5x4 transpose_a=true transpose_b=true
    matmul a=2x3x4 b=2x4x5
    matmul a=2x3x4 b=4x5
    matmul a=3x4 b=2x4x5
    matmul a=2x1x3x4 b=3x4x2
    matmul a=2x3x4x3 b=2x1x5x4 transpose_a=true transpose_b=true
    matmul a=17x33 b=33x19
""")

cases("index", """
    gather x=5x4 indices=3x4:i64@0..4
    gather x=3x6x2 indices=3x4x2:i64@0..5 axis=1
    embedding weight=7x4 indices=9:i64@0..6
    embedding weight=7x4 indices=2x5:i64@0..6
    scatter_add x=5x4 indices=3x4:i64@0..4 updates=3x4
    scatter_add x=3x6x2 indices=3x4x2:i64@0..5 updates=3x4x2 axis=1
    transpose x=2x3x4 order=2,0,1
    flip x=2x3x4 axes=0,2
    expand x=3x1 shape=2,3,4
    concat x0=2x3 x1=2x1 x2=2x4 axis=1
    stack x0=2x3 x1=2x3 axis=1
    pad x=2x3x4 before=0,1,2 after=1,0,3
    pad x=2x3x4 before=0,1,2 after=1,0,1 value=0.5
    interpolate x=2x3x4x5 size=8,10
    interpolate x=1x2x5x4 size=7,3
    interpolate x=1x2x7 size=4
    interpolate x=2x3x4x5 size=8,10 mode=linear
    interpolate x=2x3x4x5 size=8,10 mode=linear align_corners=true
    interpolate x=1x2x5x4 size=7,3 mode=linear
    interpolate x=1x2x5x4 size=7,3 mode=linear align_corners=true
    interpolate x=1x2x7 size=4 mode=linear
    interpolate x=1x2x3x2x4 size=5,3,4 mode=linear
    interpolate x=1x2x5x4 scale=1.7
    interpolate x=1x2x5x4 scale=1.7 mode=linear
    take x=5x4 indices=7:i64@0..4
    take x=3x6x2 indices=2x4:i64@0..5 axis=1
    scatter x=9x2 indices=1x2:i64@0..8 updates=1x2
    scatter x=3x6x2 indices=3x1x2:i64@0..5 updates=3x1x2 axis=1
    one_hot indices=2x5:i64@0..3 classes=4
    slice x=7 start=2 stop=5
    slice x=4x5x6 axes=2,0 start=1,0 stop=9,4 step=2,3
    slice x=4x5x6 axes=-1 start=-4 stop=-1
    tril x=2x4x5
    triu x=2x4x5 diagonal=1
    tril x=4x5 diagonal=-2
    pad x=2x3x5x4 before=1,2 after=2,3 mode=reflect
    pad x=2x3x5 before=4 after=2 mode=replicate
    pad x=2x3x4 before=3 after=2 mode=circular
""")
