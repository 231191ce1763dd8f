"""Random tensors from text, and files of named tensors."""
import json
import pathlib

import numpy as np
import torch

FOLDER = pathlib.Path(__file__).resolve().parent.parent
FILES = {}  # name -> function that returns (tensors, metadata)


def file(function):
    """Registers a file under the function's name."""
    FILES[function.__name__] = function
    return function


INTEGERS = {"i64": torch.int64, "i32": torch.int32, "u8": torch.uint8, "i8": torch.int8, "bool": torch.bool}


def draw(text, rng):
    """The tensor of "2x3", "2x5:i64@0..4", "scalar@0.1..2": normal unless a range is given."""
    text, _, bounds = text.partition("@")
    dims, _, kind = text.partition(":")
    shape = [] if dims == "scalar" else [int(d) for d in dims.split("x")]
    if kind in INTEGERS:
        low, high = (int(b) for b in (bounds or "0..1").split(".."))
        return torch.tensor(rng.integers(low, high + 1, shape)).to(INTEGERS[kind])
    if bounds:
        low, high = (float(b) for b in bounds.split(".."))
        values = rng.uniform(low, high, shape)
    else:
        values = rng.standard_normal(shape)
    return torch.tensor(np.asarray(values, np.float32).astype(np.float64))


def attribute(text):
    if "," in text:
        return [attribute(part) for part in text.split(",")]
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            pass
    return {"true": True, "false": False}.get(text, text)


KINDS = {"float64": "F64", "float32": "F32", "int64": "I64", "int32": "I32", "uint8": "U8", "int8": "I8", "bool": "BOOL"}


def write(file, tensors, metadata):
    """A safetensors file; larger elements first, so that all are aligned. The same tensors give the same bytes."""
    arrays = {name: np.ascontiguousarray(t.numpy(force=True)) for name, t in tensors.items()}
    header, offset = {"__metadata__": metadata}, 0
    arrays = dict(sorted(arrays.items(), key=lambda item: -item[1].itemsize))
    for name, array in arrays.items():
        header[name] = {"dtype": KINDS[array.dtype.name], "shape": list(tensors[name].shape),
                        "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    data = len(text).to_bytes(8, "little") + text + b"".join(array.tobytes() for array in arrays.values())
    (FOLDER / f"{file}.safetensors").write_bytes(data)
    print(f"{file:18} {len(metadata):4} cases {len(arrays):5} tensors {len(data):8} bytes")
