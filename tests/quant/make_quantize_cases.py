#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/data/quantize_cases.bin: what ONNX Runtime's quantizers answer.

"default" is the native quantizer behind MatMulNBitsQuantizer, called as its
qbits_block_quant calls it; "rtn" is quant_tensor of neural_compressor, packed
here with a byte row of zero points for each column (its own packing is wrong
for an odd number of blocks). Weights are not stored: both sides make them from
the same generator, Weight() here and in quantize_test.cc.

File: cases one after the other, each int32 [algorithm, bits, symmetric, n, k,
block_size], then codes, float32 scales, zero points (none if symmetric).

  pip install numpy==2.3.5 onnxruntime==1.31.1
  python3 tests/quant/make_quantize_cases.py tests/data/quantize_cases.bin
"""
import ast
import inspect
import pathlib
import struct
import sys

import numpy as np
import onnxruntime
from onnxruntime.capi import _pybind_state as native

DEFAULT, RTN = 0, 1
SHAPES = [  # n, k, block size
    (5, 64, 32), (2, 100, 32), (5, 33, 16), (2, 17, 16), (2, 19, 16),
    (1, 224, 32), (1, 300, 128), (1, 513, 256), (2, 48, 16), (1, 1, 16),
    (1, 128, 64),
]


def weights(n, k):
    """[n, k]: values of 24 bits and varying size, with rows of zeros, of one
    sign and of few values (ties)."""
    state = np.uint32(n * 1000 + k)
    w = np.zeros((n, k), np.float32)
    for r in range(n):
        for c in range(k):
            state = np.uint32((int(state) * 1664525 + 1013904223) & 0xFFFFFFFF)
            v = np.float32(int(state) >> 8) * np.float32(2.0 ** -23) - \
                np.float32(1)
            if r % 5 == 1:
                v = np.float32(np.floor(v * np.float32(8))) / np.float32(8)
            elif r % 5 == 2:
                v = abs(v) + np.float32(0.25)
            elif r % 5 == 3:
                v = -abs(v) if c % 32 < 16 else np.float32(0)
            elif r % 5 == 4:
                v = v * v * v
            w[r, c] = v
    w[0, :min(k, 16)] = 0
    return w


def default(w, bits, symmetric, block):
    n, k = w.shape
    blocks, per_byte = -(-k // block), 8 // bits
    padded = np.pad(np.ascontiguousarray(w.T), ((0, blocks * block - k), (0, 0)))
    codes = np.zeros((n, blocks, block // per_byte), np.uint8)
    zeros = np.zeros((n, -(-blocks // per_byte)), np.uint8)
    scales = np.zeros((n, blocks), np.float32)
    run = native.quantize_matmul_4bits if bits == 4 else \
        native.quantize_matmul_8bits
    run(codes, padded, scales, zeros, block, n, k, symmetric)
    return codes, scales, zeros


def load_quant_tensor():
    """neural_compressor's function alone: importing its package needs onnx_ir
    and more."""
    root = pathlib.Path(inspect.getfile(onnxruntime)).parent
    path = root / "quantization/neural_compressor/weight_only.py"
    tree = ast.parse(path.read_text())
    tree.body = [f for f in tree.body
                 if isinstance(f, ast.FunctionDef) and f.name == "quant_tensor"]
    scope = {"np": np}
    exec(compile(tree, str(path), "exec"), scope)
    return scope["quant_tensor"]


def pack(values, bits, fill):
    """[n, m] codes -> [n, ceil(m * bits / 8)]."""
    values = values.astype(np.uint8)
    if bits == 8:
        return values
    if values.shape[1] % 2:
        values = np.pad(values, ((0, 0), (0, 1)), constant_values=fill)
    return values[:, 0::2] | values[:, 1::2] << 4


def rtn(quant_tensor, w, bits, symmetric, block):
    n, k = w.shape
    blocks = -(-k // block)
    padded = np.pad(w, ((0, 0), (0, blocks * block - k)))
    q, scales, zeros = quant_tensor(padded, bits, block,
                                    "sym" if symmetric else "asym", "uint", 1)
    return (pack(q.reshape(n, -1), bits, 0),
            scales.astype(np.float32).reshape(n, blocks),
            pack(zeros.reshape(n, blocks), bits, 8))


def main():
    quant_tensor = load_quant_tensor()
    out = b""
    for n, k, block in SHAPES:
        w = weights(n, k)
        for bits in (4, 8):
            for symmetric in (True, False):
                for algorithm in (DEFAULT, RTN):
                    if algorithm == RTN and k > 300:
                        continue
                    codes, scales, zeros = default(w, bits, symmetric, block) \
                        if algorithm == DEFAULT else \
                        rtn(quant_tensor, w, bits, symmetric, block)
                    out += struct.pack("<6i", algorithm, bits, symmetric, n, k,
                                       block)
                    out += codes.tobytes() + scales.tobytes()
                    out += b"" if symmetric else zeros.tobytes()
    pathlib.Path(sys.argv[1]).write_bytes(out)
    print(f"{len(out)} bytes, onnxruntime {onnxruntime.__version__}")


if __name__ == "__main__":
    main()
