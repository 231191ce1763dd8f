#!/usr/bin/env python3
"""Makes the golden values beside this file: what PyTorch computes, for the C tests to agree with.

    python3 -m venv venv && venv/bin/pip install torch torchvision numpy
    venv/bin/python tests/golden/make_golden.py [FILE ...]        all files, or those named: ops_conv train_mlp ...

PyTorch is needed to make the files and by nothing else: they are committed, and the tests read only them.

Inputs are numbers that f32 holds exactly and results are computed in f64, so one file serves both precisions.
ops_*.safetensors hold operations (maker/operations.py says how they are named), layers, losses, optim and init the
parts of training, train_*.safetensors initial weights, batches, the loss of each step and what was learned,
precision.safetensors the losses of the same training under autocast, scaler.safetensors loss scales, zoo.safetensors
what small architectures give.
"""
import sys

import torch

from maker import augment, operations, parts, precision, training, zoo  # noqa: F401: they register their files
from maker.store import FILES, write


def main(names):
    unknown = [name for name in names if name not in FILES]
    if unknown:
        sys.exit(f"no such file: {' '.join(unknown)}; there are {' '.join(FILES)}")
    torch.set_num_threads(1)
    for name in names or FILES:
        write(name, *FILES[name]())


if __name__ == "__main__":
    main(sys.argv[1:])
