#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/gguf_blocks.bin: blocks of random bits of every type that
loader/gguf_blocks.h reads, and their values by the format's reference.

Needs numpy and the gguf package (made with 0.19.0):
  python3 tests/loader/make_gguf_cases.py tests/data/gguf_blocks.bin

Little-endian, for each type: its id, the numbers of values and bytes (u32),
the bytes, the values (float32).
"""
import struct
import sys

import gguf
import numpy as np

# Where the half floats of a block are: their bits may be neither infinite nor
# NaN.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
          "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2],
          "Q5_K": [0, 2], "Q6_K": [208], "F16": [0], "BF16": [], "F32": []}
BLOCKS = 3


def main():
    rng = np.random.default_rng(7)
    out = b""
    for name, halves in HALVES.items():
        kind = gguf.GGMLQuantizationType[name]
        values, size = gguf.GGML_QUANT_SIZES[kind]
        count = 96 if values == 1 else BLOCKS * values
        data = rng.integers(0, 256, (count // values, size), dtype=np.uint8)
        for at in halves:
            data[:, at + 1] &= 0xBF  # below 2
        if name in ("BF16", "F32"):
            data[:, -1] &= 0xBF
        flat = data.reshape(1, -1)
        if name == "F32":
            expected = flat.view(np.float32)
        elif name == "F16":
            expected = flat.view(np.float16).astype(np.float32)
        else:
            expected = gguf.quants.dequantize(flat, kind)
        expected = np.ascontiguousarray(expected, np.float32).reshape(-1)
        assert expected.size == count and np.isfinite(expected).all(), name
        out += struct.pack("<3I", int(kind), count, flat.size)
        out += flat.tobytes() + expected.tobytes()
    with open(sys.argv[1], "wb") as f:
        f.write(out)


main()
