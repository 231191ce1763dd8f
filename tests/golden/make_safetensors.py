"""Writes tests/golden/python.safetensors with the format's own library (pip install numpy safetensors==0.8.0)."""
import pathlib

import numpy as np
from safetensors.numpy import save_file

tensors = {
    "fc.weight": (np.arange(6, dtype=np.float32) / 8 - 0.25).reshape(2, 3),
    "fc.bias": np.array([1.5, -2.5], dtype=np.float64),
    "half": np.array([0.5, -1024.0, 65504.0], dtype=np.float16),
    "steps": np.array(7_000_000_000, dtype=np.int64),
    "indices": np.array([[-1], [2**31 - 1]], dtype=np.int32),
    "pixels": np.array([0, 127, 255], dtype=np.uint8),
    "signed": np.array([-128, 127], dtype=np.int8),
    "mask": np.array([True, False, True]),
    "empty": np.zeros((0, 4), dtype=np.float32),
}
metadata = {"format": "np", "quote": 'line one\n"line two" \\ \u00e9 \u2192 \U0001F41A'}
save_file(tensors, pathlib.Path(__file__).parent / "python.safetensors", metadata)
