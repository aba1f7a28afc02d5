#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Adds cases of com.microsoft operators, answered by ONNX Runtime, to the
folder of make_node_tests.py (same layout, names ort_*).

Usage: make_contrib_tests.py DIR

Needs PyPI onnx and onnxruntime; without them nothing is written.
"""
import pathlib
import sys

MS = "com.microsoft"


def gather_block_quantized(rng, np, helper, tp):
    """uint8 of 2, 4, 8 bits, int4, uint4; with and without zero points."""
    for bits in (2, 4, 8):
        for zero in (False, True):
            v, h, block = 5, 96, 32
            data = rng.integers(0, 256, (v, h * bits // 8), dtype=np.uint8)
            scales = rng.standard_normal((v, h // block)).astype(np.float32)
            ids = np.array([[0, 4, -1], [2, -5, 3]], np.int64)
            consts = {"data": data, "scales": scales}
            if zero:
                width = -(-(h // block) * bits // 8)
                consts["zp"] = rng.integers(0, 256, (v, width), dtype=np.uint8)
            yield (f"gather_block_quantized_u8_{bits}bit{'_zp' * zero}",
                   "GatherBlockQuantized", {"ids": ids}, consts,
                   ["data", "ids", "scales"] + ["zp"] * zero,
                   dict(bits=bits, block_size=block, gather_axis=0,
                        quantize_axis=1))
    for kind, dtype in (("int4", tp.INT4), ("uint4", tp.UINT4)):
        for gather, quantize in ((0, 1), (1, 0), (0, 2)):
            shape = (3, 6, 32) if quantize == 2 else (32, 48)
            blocks = list(shape)
            blocks[quantize] = -(-shape[quantize] // 16)
            raw = lambda s: rng.integers(0, 256, -(-int(np.prod(s)) // 2),
                                         dtype=np.uint8).tobytes()
            consts = {
                "data": helper.make_tensor("data", dtype, shape, raw(shape),
                                           raw=True),
                "zp": helper.make_tensor("zp", dtype, blocks, raw(blocks),
                                         raw=True),
                "scales": rng.standard_normal(blocks).astype(np.float32),
            }
            ids = np.array([1, -1, 0], np.int32)
            for zero in (False, True):
                yield (f"gather_block_quantized_{kind}_{gather}{quantize}"
                       f"{'_zp' * zero}", "GatherBlockQuantized", {"ids": ids},
                       {k: c for k, c in consts.items() if zero or k != "zp"},
                       ["data", "ids", "scales"] + ["zp"] * zero,
                       dict(block_size=16, gather_axis=gather,
                            quantize_axis=quantize))


def activations(rng, np):
    x = (rng.standard_normal((3, 37)) * 4).astype(np.float32)
    b = rng.standard_normal(37).astype(np.float32)
    yield "gelu", "Gelu", {"x": x}, {}, ["x"], {}
    yield "quick_gelu", "QuickGelu", {"x": x}, {}, ["x"], {}
    yield "quick_gelu_alpha", "QuickGelu", {"x": x}, {}, ["x"], {"alpha": 0.5}
    yield "fast_gelu", "FastGelu", {"x": x}, {}, ["x"], {}
    yield "fast_gelu_bias", "FastGelu", {"x": x, "b": b}, {}, ["x", "b"], {}
    yield "bias_gelu", "BiasGelu", {"x": x, "b": b}, {}, ["x", "b"], {}


def write(out, case, np, onnx, ort):
    name, op, feeds, consts, inputs, attributes = case
    helper, nh = onnx.helper, onnx.numpy_helper
    initializers = [c if isinstance(c, onnx.TensorProto) else
                    nh.from_array(c, n) for n, c in consts.items()]
    infos = [helper.make_tensor_value_info(
        n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for n, a in feeds.items()]
    result = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)
    graph = helper.make_graph(
        [helper.make_node(op, inputs, ["y"], name="y", domain=MS,
                          **attributes)],
        name, infos, [result], initializers)
    model = helper.make_model(graph, ir_version=10, opset_imports=[
        helper.make_opsetid("", 21), helper.make_opsetid(MS, 1)])
    session = ort.InferenceSession(model.SerializeToString(),
                                   providers=["CPUExecutionProvider"])
    y = session.run(None, feeds)[0]
    folder = out / f"ort_{name}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    (folder / "ops.txt").write_text(f"{MS} {op}\n")
    for i, (n, a) in enumerate(feeds.items()):
        (folder / f"input_{i}.pb").write_bytes(
            nh.from_array(a, n).SerializeToString())
    (folder / "output_0.pb").write_bytes(
        nh.from_array(y, "y").SerializeToString())


def main():
    out = pathlib.Path(sys.argv[1])
    try:
        import numpy as np
        import onnx
        import onnxruntime as ort
    except ImportError as e:
        print(f"make_contrib_tests: {e}; no contrib cases", file=sys.stderr)
        return 0
    rng = np.random.default_rng(7)
    cases = list(activations(rng, np))
    cases += gather_block_quantized(rng, np, onnx.helper, onnx.TensorProto)
    for case in cases:
        write(out, case, np, onnx, ort)
    print(f"{len(cases)} cases of {MS}, onnxruntime {ort.__version__}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
