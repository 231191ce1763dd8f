"""Operations on pictures as torchvision does them, and the loss of distributions as targets."""
import numpy as np
import torch
import torch.nn.functional as F

from .store import draw, file

OPERATIONS = """
    Identity 0|ShearX 0.3|ShearX -0.99|ShearY 0.17|ShearY -0.5|TranslateX 5.7|TranslateX -3|TranslateY 4|TranslateY -20
    Rotate 30|Rotate -71|Rotate 135|Brightness 0.45|Brightness -0.9|Color 0.9|Color -0.6|Contrast 0.7|Contrast -0.99
    Sharpness 0.9|Sharpness -0.5|Posterize 8|Posterize 4|Posterize 2|Solarize 255|Solarize 128|Solarize 0
    AutoContrast 0|Equalize 0
"""


def pictures(rng):
    """A colour picture of soft blobs with few values at the ends, and a grey one with noise."""
    y, x = np.mgrid[0:13, 0:17]
    colour = np.stack([90 + 60 * np.sin(x / 3 + c) * np.cos(y / (2 + c)) for c in range(3)])
    grey = 20 + 9 * y[None] + rng.integers(0, 40, (1, 13, 17))
    # Equalising does nothing to pictures of less than 255 pixels.
    large = np.concatenate([colour + rng.integers(0, 30, colour.shape)] * 2, axis=1)
    return {"colour": colour, "grey": grey, "large": large}


@file
def augment():
    """colour, grey, large: pictures; NAME.K: operation K on them. loss.K: cross entropy of distributions."""
    from torchvision.transforms import InterpolationMode, autoaugment

    rng = np.random.default_rng(30)
    tensors = {name: torch.tensor(values.astype(np.uint8)) for name, values in pictures(rng).items()}
    metadata = {}
    lines = [part.strip() for line in OPERATIONS.strip().splitlines() for part in line.split("|")]
    for name in list(tensors):
        for index, line in enumerate(lines):
            operation, magnitude = line.split()
            tensors[f"{name}.{index}"] = autoaugment._apply_op(
                tensors[name], operation, float(magnitude), InterpolationMode.NEAREST, None)
            metadata[f"{index}"] = line
    logits, target = draw("6x5", rng), torch.softmax(draw("6x5", rng), 1).float().double()
    weight = draw("5@0.5..2", rng)
    tensors |= {"logits": logits.float(), "target": target.float(), "weight": weight.float()}
    for index, options in enumerate([{}, {"label_smoothing": 0.1}, {"weight": weight, "label_smoothing": 0.2}]):
        x = logits.clone().requires_grad_()
        loss = F.cross_entropy(x, target, **options)
        loss.backward()
        tensors |= {f"loss.{index}": loss.detach(), f"gradient.{index}": x.grad}
    return tensors, metadata
