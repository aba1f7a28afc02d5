#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/data/quantize_cases.bin: what ONNX Runtime's quantizers answer.

"default" is the native quantizer behind MatMulNBitsQuantizer, called as its
qbits_block_quant calls it, "qdq" its form for DequantizeLinear and "gather" its
quantize_ndarray; "rtn" is quant_tensor of neural_compressor and "k_quant" its
quant_tensor_k_quant_cpu. All but the first are packed here with a byte row of
zero points for each column (neural_compressor's own packing is wrong for an odd
number of blocks). Weights are not stored: both sides make them from
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

DEFAULT, RTN, K_QUANT, QDQ, GATHER = range(5)
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


def load(file, *names):
    """Functions alone: importing their modules needs onnx_ir and more."""
    root = pathlib.Path(inspect.getfile(onnxruntime)).parent
    path = root / "quantization" / file
    tree = ast.parse(path.read_text())
    tree.body = [f for f in tree.body
                 if isinstance(f, (ast.FunctionDef, ast.ClassDef))
                 and f.name in names]
    scope = {"np": np, "annotations": None}
    code = compile(tree, str(path), "exec",
                   flags=__import__("__future__").annotations.compiler_flag)
    exec(code, scope)
    return [scope[name] for name in names]


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


def k_quant(quantize, w, bits, block):
    n, k = w.shape
    blocks = -(-k // block)
    padded = np.pad(w, ((0, 0), (0, blocks * block - k)))
    with np.errstate(all="ignore"):
        q, scales, zeros = quantize(padded, bits, block)
    return (pack(q.reshape(n, -1), bits, 0),
            scales.astype(np.float32).reshape(n, blocks),
            pack(zeros.reshape(n, blocks), bits, 8))


def nibbles(packed, shape):
    flat = np.stack([packed & 15, packed >> 4], 1).reshape(-1)
    return flat[:np.prod(shape)].reshape(shape)


def rows(codes, zeros, k, block):
    """Codes [n, k] and zero points [n, blocks] as MatMulNBits has them, zero
    points behind the last column."""
    n, blocks = zeros.shape
    full = np.repeat(zeros, block, 1)
    full[:, :k] = codes
    return pack(full, 4, 0), pack(zeros, 4, 8)


def qdq(w, symmetric, block):
    n, k = w.shape
    blocks = -(-k // block)
    codes = np.zeros((k * n + 1) // 2, np.uint8)
    zeros = np.zeros((blocks * n + 1) // 2, np.uint8)
    scales = np.zeros((blocks, n), np.float32)
    native.quantize_qdq_matmul_4bits(codes, np.ascontiguousarray(w.T), scales,
                                     zeros, block, n, k, symmetric)
    codes = nibbles(codes, (k, n)).T
    zeros = nibbles(zeros, (blocks, n)).T
    if symmetric:
        codes, zeros = codes ^ 8, np.full_like(zeros, 8)
    codes, zeros = rows(codes, zeros, k, block)
    return codes, np.ascontiguousarray(scales.T), zeros


def gather(quantizer, w, symmetric, block):
    n, k = w.shape
    blocks = -(-k // block)
    with np.errstate(all="ignore"):
        codes, scales, zeros = quantizer.quantize_ndarray(w, 1, block,
                                                          symmetric)
    codes = nibbles(codes, (n, k))
    if symmetric:
        codes, zeros = codes ^ 8, np.full((n, blocks), 8, np.uint8)
    else:
        zeros = nibbles(zeros, (n, blocks))
    codes, zeros = rows(codes, zeros, k, block)
    return codes, scales, zeros


def main():
    quant_tensor, quantize = load("neural_compressor/weight_only.py",
                                  "quant_tensor", "quant_tensor_k_quant_cpu")
    [tables] = load("matmul_nbits_quantizer.py", "DefaultWeightOnlyQuantizer")
    out = b""
    for n, k, block in SHAPES:
        w = weights(n, k)
        for bits in (4, 8):
            for symmetric in (True, False):
                for algorithm in range(5):
                    if algorithm == RTN and k > 300 or \
                            algorithm == K_QUANT and symmetric or \
                            algorithm in (QDQ, GATHER) and (bits == 8 or
                                                            k > 300):
                        continue
                    codes, scales, zeros = {
                        DEFAULT: lambda: default(w, bits, symmetric, block),
                        RTN: lambda: rtn(quant_tensor, w, bits, symmetric,
                                         block),
                        K_QUANT: lambda: k_quant(quantize, w, bits, block),
                        QDQ: lambda: qdq(w, symmetric, block),
                        GATHER: lambda: gather(tables, w, symmetric, block),
                    }[algorithm]()
                    out += struct.pack("<6i", algorithm, bits, symmetric, n, k,
                                       block)
                    out += codes.tobytes() + scales.tobytes()
                    out += b"" if symmetric else zeros.tobytes()
    pathlib.Path(sys.argv[1]).write_bytes(out)
    print(f"{len(out)} bytes, onnxruntime {onnxruntime.__version__}")


if __name__ == "__main__":
    main()
