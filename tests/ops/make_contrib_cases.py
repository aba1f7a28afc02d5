#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes single-operator cases computed by onnxruntime to tests/data/contrib.

Usage: make_contrib_cases.py OUT_DIR      (numpy, onnx, onnxruntime)

A family becomes NAME.txt (one line per attribute, input, output) and NAME.bin
(the tensors, one after the other). Lines:
  case TITLE / op DOMAIN TYPE VERSION / attr NAME int|float|string|ints VALUE...
  in var|const|none DTYPE DIMS @ OFFSET
  out DTYPE DIMS @ OFFSET tol ABSOLUTE
"tol" bounds |ours - onnxruntime's| by reasoning, see the functions *_tol: both
sides compute in float32 (eps = 2^-24 an operation, sums in any order), so each
may be off from the exact value by that many roundings.
"""

import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

EPS = 2.0 ** -24
HALF = 2.0 ** -11
NAMES = {np.dtype(k): v for k, v in {
    np.float32: "float", np.float16: "float16", np.uint8: "uint8",
    np.int8: "int8", np.int32: "int32", np.int64: "int64"}.items()}
rng = np.random.default_rng(20240711)


def f32(*shape, scale=1.0):
    return (rng.standard_normal(shape) * scale).astype(np.float32)


class Const:
    """An input that is an initializer."""

    def __init__(self, array):
        self.array = np.ascontiguousarray(array)


class Family:
    def __init__(self, name):
        self.name = name
        self.lines = [f"# made by tests/ops/make_contrib_cases.py with "
                      f"onnxruntime {ort.__version__}, numpy {np.__version__}"]
        self.blob = bytearray()
        self.stored = {}

    def store(self, array):
        raw = np.ascontiguousarray(array).tobytes()
        if raw not in self.stored:
            self.blob += bytes(-len(self.blob) % 8)
            self.stored[raw] = len(self.blob)
            self.blob += raw
        dims = " ".join(str(d) for d in array.shape)
        return f"{NAMES[array.dtype]} {dims} @ {self.stored[raw]}".replace("  ", " ")

    def case(self, title, op, inputs, tol, outputs=(True,), domain="",
             version=21, expect=None, **attrs):
        """tol: a number or a function of the result, one or one per output;
        expect(outputs) checks a fact."""
        names, graph_inputs, constants, feed = [], [], [], {}
        for i, given in enumerate(inputs):
            if given is None:
                names.append("")
                continue
            names.append(f"i{i}")
            array = given.array if isinstance(given, Const) else given
            kind = helper.np_dtype_to_tensor_dtype(array.dtype)
            if isinstance(given, Const):
                constants.append(onnx.numpy_helper.from_array(array, f"i{i}"))
            else:
                graph_inputs.append(
                    helper.make_tensor_value_info(f"i{i}", kind, array.shape))
                feed[f"i{i}"] = array
        out_names = [f"o{i}" if o else "" for i, o in enumerate(outputs)]
        node = helper.make_node(op, names, out_names, domain=domain, **attrs)
        # Types of outputs: onnxruntime infers them from an empty declaration.
        graph = helper.make_graph(
            [node], "g", graph_inputs,
            [onnx.ValueInfoProto(name=n) for n in out_names if n], constants)
        model = helper.make_model(graph, ir_version=10, opset_imports=[
            helper.make_opsetid("", version),
            helper.make_opsetid("com.microsoft", 1)])
        options = ort.SessionOptions()
        options.log_severity_level = 4
        session = ort.InferenceSession(model.SerializeToString(), options,
                                       providers=["CPUExecutionProvider"])
        results = iter(session.run(None, feed))
        results = [next(results) if o else None for o in outputs]
        if expect:
            expect(results)
        self.lines.append(f"case {title}")
        self.lines.append(f"op {domain or 'ai.onnx'} {op} "
                          f"{1 if domain else version}")
        for key, value in attrs.items():
            if isinstance(value, str):
                self.lines.append(f"attr {key} string {value}")
            elif isinstance(value, float):
                self.lines.append(f"attr {key} float {value!r}")
            elif isinstance(value, (list, tuple)):
                text = " ".join(str(v) for v in value)
                self.lines.append(f"attr {key} ints {text}")
            else:
                self.lines.append(f"attr {key} int {value}")
        for given in inputs:
            if given is None:
                self.lines.append("in none")
            elif isinstance(given, Const):
                self.lines.append(f"in const {self.store(given.array)}")
            else:
                self.lines.append(f"in var {self.store(given)}")
        tols = tol if isinstance(tol, (list, tuple)) else [tol] * len(outputs)
        for result, t in zip(results, tols):
            if result is None:
                self.lines.append("out none")
            else:
                bound = t(result) if callable(t) else t
                self.lines.append(f"out {self.store(result)} tol {bound:.3g}")
        return results

    def write(self, folder):
        with open(f"{folder}/{self.name}.txt", "w") as f:
            f.write("\n".join(self.lines) + "\n")
        with open(f"{folder}/{self.name}.bin", "wb") as f:
            f.write(self.blob)
        print(f"{self.name}: {sum(l.startswith('case') for l in self.lines)} "
              f"cases, {len(self.blob)} bytes")


# ---- norms and softmax

def norm_tol(cols, factor=1.0):
    """Each side: a sum of `cols` squares, a root, three products: a result is
    off by less than (cols/2 + 6) roundings of its magnitude."""
    return lambda result: float(
        2 * (cols / 2 + 6) * EPS * np.abs(result).max() * factor)


def norms(folder):
    f = Family("norm")
    x, skip = f32(2, 3, 40), f32(2, 3, 40)
    gamma, beta, bias = f32(40), f32(40), f32(40)
    tol = norm_tol(40, 2)  # 2: the shift may cancel the product
    ms = "com.microsoft"
    f.case("SimplifiedLayerNormalization", "SimplifiedLayerNormalization",
           [x, Const(gamma)], tol, outputs=(True, True), axis=-1, epsilon=1e-5,
           stash_type=1)
    f.case("SimplifiedLayerNormalization over two axes",
           "SimplifiedLayerNormalization", [x, Const(f32(3, 40))], tol, axis=1,
           epsilon=1e-6)
    f.case("LayerNormalization", "LayerNormalization",
           [x, Const(gamma), Const(beta)], tol, outputs=(True, True, True),
           epsilon=1e-5)
    f.case("LayerNormalization without shift", "LayerNormalization",
           [x + 100, Const(gamma)], norm_tol(40, 110), axis=2)
    f.case("SkipSimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization",
           [x, skip, Const(gamma)], tol, outputs=(True, False, False, True),
           domain=ms, epsilon=1e-6)
    f.case("SkipSimplifiedLayerNormalization with bias, no sum",
           "SkipSimplifiedLayerNormalization",
           [x, skip, Const(gamma), Const(bias)], tol, domain=ms, epsilon=1e-5)
    f.case("SkipSimplifiedLayerNormalization, one skip for the batch",
           "SkipSimplifiedLayerNormalization", [x, skip[:1], Const(gamma)], tol,
           outputs=(True, False, False, True), domain=ms, epsilon=1e-5)
    f.case("SkipLayerNormalization", "SkipLayerNormalization",
           [x, skip, Const(gamma), Const(beta), Const(bias)], tol,
           outputs=(True, False, False, True), domain=ms, epsilon=1e-5)
    f.case("SkipLayerNormalization, skip of rank 2, no beta",
           "SkipLayerNormalization", [x, skip[0], Const(gamma)], tol, domain=ms,
           epsilon=1e-12)
    f.case("RMSNormalization", "RMSNormalization", [x, Const(gamma)], tol,
           version=23, epsilon=1e-5, axis=-1)
    f.case("LpNormalization p = 2", "LpNormalization", [x], norm_tol(40),
           axis=-1, p=2)
    f.case("LpNormalization p = 1, axis 1", "LpNormalization", [x],
           norm_tol(40), axis=1, p=1)
    zeros = x.copy()
    zeros[0, 1] = 0
    f.case("LpNormalization of zeros", "LpNormalization", [zeros],
           norm_tol(40))
    half = x.astype(np.float16)
    # onnxruntime rounds its result to float16, we do not.
    f.case("SkipSimplifiedLayerNormalization float16",
           "SkipSimplifiedLayerNormalization",
           [half, skip.astype(np.float16), Const(gamma.astype(np.float16))],
           4 * HALF * 8, domain=ms, epsilon=1e-5)
    f.case("LayerNormalization float16", "LayerNormalization",
           [half, Const(gamma.astype(np.float16)),
            Const(beta.astype(np.float16))], 4 * HALF * 8)
    # exp is good to 2 roundings or so, the sum of n terms to n/2.
    soft = 2 * (40 / 2 + 8) * EPS
    for axis in (-1, 1, 0):
        f.case(f"Softmax axis {axis}", "Softmax", [x * 4], soft, axis=axis)
        f.case(f"LogSoftmax axis {axis}", "LogSoftmax", [x * 4], soft * 24,
               axis=axis)
    f.case("Softmax before opset 13", "Softmax", [x], soft, version=11, axis=1)
    f.write(folder)


# ---- matrix products

def matmul_tol(a, b, factor=1.0):
    """a [.., M, K] x b [.., K, N]: K + 3 roundings of the sum of |a||b| each."""
    peak = (np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)).max()
    return 2 * (a.shape[-1] + 3) * EPS * peak * factor


def matmuls(folder):
    f = Family("matmul")
    ms = "com.microsoft"
    a, b = f32(2, 3, 5, 19), f32(2, 3, 19, 7)
    f.case("MatMul, batch against batch", "MatMul", [a, b], matmul_tol(a, b))
    f.case("MatMul, one matrix for the batch", "MatMul", [a, Const(b[0, 0])],
           matmul_tol(a, b[0, 0]))
    f.case("MatMul, batch axes that broadcast", "MatMul", [a[:, :1], b[0]],
           matmul_tol(a[:, :1], b[0]))
    f.case("MatMul, A of rank 1", "MatMul", [a[0, 0, 0], b],
           matmul_tol(a[0, 0, 0], b))
    f.case("MatMul, B of rank 1", "MatMul", [a, b[0, 0, :, 0]],
           matmul_tol(a, b[0, 0, :, 0]))
    f.case("MatMul, two vectors", "MatMul", [a[0, 0, 0], b[0, 0, :, 0]],
           matmul_tol(a[0, 0, 0], b[0, 0, :, 0]))
    half = b[0, 0].astype(np.float16)
    f.case("MatMul float16", "MatMul",
           [a[0].astype(np.float16), Const(half)], HALF * 32)
    big_a, big_b = f32(3, 260), f32(260, 35)
    f.case("MatMul of some size", "MatMul", [big_a, Const(big_b)],
           matmul_tol(big_a, big_b))
    heads, keys = f32(1, 4, 6, 16), f32(1, 4, 16, 9)
    f.case("MatMul, queries by keys", "MatMul", [heads, keys],
           matmul_tol(heads, keys))
    m, k, n = 4, 23, 6
    ga, gb = f32(m, k), f32(k, n)
    tol = matmul_tol(ga, gb, 2)
    f.case("Gemm plain", "Gemm", [ga, Const(gb)], tol)
    for name, c in {"row": f32(n), "column": f32(m, 1), "full": f32(m, n),
                    "scalar": f32(1), "rank 0": np.float32(0.5).reshape(()),
                    "row of rank 2": f32(1, n)}.items():
        f.case(f"Gemm, C a {name}", "Gemm", [ga, Const(gb), Const(c)], tol,
               alpha=0.5, beta=-1.5)
    f.case("Gemm transA transB", "Gemm",
           [ga.T.copy(), Const(gb.T.copy()), f32(n)], tol, transA=1, transB=1,
           alpha=1.25)
    fa, fb = f32(2, 3, 4, 9), f32(2, 3, 9, 5)
    swap = lambda t: np.ascontiguousarray(np.swapaxes(t, -1, -2))
    tol = matmul_tol(fa, fb)
    f.case("FusedMatMul alpha", "FusedMatMul", [fa, fb], tol, domain=ms,
           alpha=0.125)
    f.case("FusedMatMul transA", "FusedMatMul", [swap(fa), fb], tol, domain=ms,
           transA=1)
    f.case("FusedMatMul transB", "FusedMatMul", [fa, swap(fb)], tol, domain=ms,
           transB=1)
    f.case("FusedMatMul transA transB, B constant", "FusedMatMul",
           [swap(fa), Const(swap(fb)[0, 0])], tol * 2, domain=ms, transA=1,
           transB=1, alpha=2.0)
    f.write(folder)


# ---- MatMulNBits

def pack(values, bits):
    """Values [.., n] to bytes [.., ceil(n*bits/8)], low bits first."""
    per = 8 // bits
    pad = -values.shape[-1] % per
    values = np.concatenate(
        [values, np.zeros(values.shape[:-1] + (pad,), values.dtype)], -1)
    values = values.reshape(values.shape[:-1] + (-1, per)).astype(np.uint32)
    return (values << (np.arange(per) * bits)).sum(-1).astype(np.uint8)


def quantized(n, k, block, bits, zero="none"):
    """Random weights: bytes, scales, zero points, and the exact matrix [N, K]."""
    blocks = -(-k // block)
    q = rng.integers(0, 1 << bits, (n, blocks * block))
    scales = (rng.standard_normal((n, blocks)) * 0.1).astype(np.float32)
    points = np.full((n, blocks), 1 << (bits - 1), np.float64)
    stored = None
    if zero == "packed":
        points = rng.integers(0, 1 << bits, (n, blocks))
        stored = pack(points, bits)
    elif zero == "float":
        points = (rng.random((n, blocks)) * (1 << bits)).astype(np.float32)
        stored = points
    w = (q - np.repeat(points, block, 1)) * np.repeat(scales, block, 1)
    data = pack(q.reshape(n, blocks, block), bits)
    return data, scales, stored, w[:, :k].astype(np.float64)


def nbits_tol(a, w, block, level):
    """Float sums as in matmul_tol; at level 4 each side also rounds every
    activation to a step of max|block|/127 and may be off by half a step."""
    a2 = a.reshape(-1, a.shape[-1]).astype(np.float64)
    peak = (np.abs(a2) @ np.abs(w.T)).max()
    tol = 2 * (a.shape[-1] + 8) * EPS * peak
    if level == 4:
        for row in a2:
            steps = np.concatenate([
                np.full(len(part), np.abs(part).max() / 127)
                for part in np.split(row, range(block, len(row), block))])
            tol = max(tol, (np.abs(w) @ steps).max() + 2 * EPS * peak)
    return tol


def nbits(folder):
    f = Family("nbits")
    a = f32(2, 3, 80)

    def one(title, n, k, block, bits, zero, level, bias=False, flat=False,
            rows=a):
        data, scales, points, w = quantized(n, k, block, bits, zero)
        rows = np.ascontiguousarray(rows[..., :k])
        inputs = [rows, Const(data), Const(scales.reshape(-1) if flat else scales)]
        if points is not None:
            inputs.append(Const(points))
        if bias:
            while len(inputs) < 5:
                inputs.append(None)
            inputs.append(Const(f32(n)))
        f.case(f"{title}: {bits} bits, K {k}, block {block}, zero points {zero}, "
               f"level {level}", "MatMulNBits", inputs,
               nbits_tol(rows, w, block, level), domain="com.microsoft", K=k,
               N=n, bits=bits, block_size=block, accuracy_level=level)

    for bits in (4, 8):
        for zero in ("none", "packed"):
            for level in (0, 1, 4):
                one("MatMulNBits", 5, 64, 32, bits, zero, level)
    one("float zero points", 3, 64, 16, 4, "float", 0)
    one("2 bits", 5, 64, 32, 2, "none", 0)
    one("2 bits", 5, 64, 32, 2, "packed", 0)
    one("odd K", 5, 77, 32, 4, "none", 0)
    one("odd K", 5, 77, 16, 4, "packed", 4)
    one("odd K", 3, 80, 32, 4, "packed", 0)
    one("odd K", 3, 77, 64, 8, "packed", 4)
    one("bias", 4, 64, 16, 4, "none", 4, bias=True)
    one("bias", 4, 64, 64, 8, "packed", 0, bias=True)
    one("flat scales", 4, 64, 32, 4, "none", 0, flat=True)
    one("one row", 9, 64, 32, 4, "none", 4, rows=a[0, :1])
    one("rank 1 block over K", 4, 40, 128, 4, "none", 0)
    one("large block", 4, 80, 256, 4, "none", 4)
    f.write(folder)


# ---- MoE and QMoE

def moe_exact(x, logits, w1, w2, k, weights, act, b1, b2):
    """The exact sum and the sum of magnitudes behind it (for bounds)."""
    x = x.reshape(-1, x.shape[-1]).astype(np.float64)
    out, peak = np.zeros((len(x), w2.shape[1])), 0.0
    for t, row in enumerate(x):
        # onnxruntime takes the last of equal logits.
        order = sorted(range(len(logits[t])), key=lambda e: (-logits[t, e], -e))
        for e, weight in zip(order[:k], weights(t, order[:k])):
            h = w1[e] @ row + (0 if b1 is None else b1[e])
            g = act(h)
            out[t] += weight * (w2[e] @ g + (0 if b2 is None else b2[e]))
            inner = np.abs(w1[e]) @ np.abs(row)
            if len(inner) != len(g):
                # A product of two sums: both magnitudes count.
                inner = inner.reshape(-1, 2).prod(-1) + inner.max()
            peak = max(peak, (np.abs(w2[e]) @ inner).max())
    return out, peak


def moes(folder):
    f = Family("moe")
    ms = "com.microsoft"
    tokens, d, inner, experts, k = 7, 32, 32, 4, 2
    x = f32(tokens, d)
    logits = f32(tokens, experts, scale=2)
    logits[3, 1] = logits[3, 3] = logits[3].max() + 1  # a tie
    sigmoid = lambda v: 1 / (1 + np.exp(-v))
    acts = {
        "relu": lambda v: np.maximum(v, 0),
        "gelu": lambda v: 0.5 * v * (1 + np.tanh(
            0.7978845608 * (v + 0.044715 * v ** 3))),
        "silu": lambda v: v * sigmoid(v),
        "identity": lambda v: v,
    }

    def swiglu(alpha, beta, limit):
        def apply(v):
            g = np.minimum(v[0::2], limit)
            l = np.clip(v[1::2], -limit, limit)
            return g * sigmoid(alpha * g) * (l + beta)
        return apply

    def of_top(t, chosen):
        e = np.exp(logits[t, chosen] - logits[t].max())
        return e / e.sum()

    def of_all(t, chosen):
        e = np.exp(logits[t] - logits[t].max())
        return (e / e.sum())[chosen]

    def check(title, op, inputs, exact, peak, extra=0.0, **attrs):
        # Two products of d and inner terms, routing and activation: bounded by
        # the roundings of all sums, on both sides.
        tol = 2 * (d + inner + 40) * EPS * peak + extra

        def expect(results):
            off = np.abs(results[0].reshape(exact.shape) - exact).max()
            assert off <= tol, (title, off, tol)
        f.case(title, op, inputs, tol, domain=ms, expect=expect, **attrs)

    # MoE
    w1, w2 = f32(experts, inner, d, scale=.2), f32(experts, d, inner, scale=.2)
    b1, b2 = f32(experts, inner), f32(experts, d)
    for name, act in acts.items():
        exact, peak = moe_exact(x, logits, w1, w2, k, of_top, act, b1, b2)
        check(f"MoE {name}, biases", "MoE",
              [x, logits, Const(w1), Const(b1), Const(w2), Const(b2)], exact,
              peak, k=k, activation_type=name,
              normalize_routing_weights=1)
    exact, peak = moe_exact(x, logits, w1, w2, k, of_all, acts["relu"], None,
                            None)
    check("MoE, weights not normalised", "MoE",
          [x.reshape(1, tokens, d), logits, Const(w1), None, Const(w2)], exact,
          peak, k=k)
    exact, peak = moe_exact(x, logits, w1, w2, 1, of_all, acts["silu"], None,
                            None)
    check("MoE, one expert", "MoE", [x, logits, Const(w1), None, Const(w2)],
          exact, peak, k=1, activation_type="silu")
    w1g, b1g = f32(experts, 2 * inner, d, scale=.2), f32(experts, 2 * inner)
    for alpha, beta, limit in ((1.702, 1.0, 1.5), (1.0, 0.0, None)):
        act = swiglu(alpha, beta, np.inf if limit is None else limit)
        exact, peak = moe_exact(x, logits, w1g, w2, k, of_top, act, b1g, b2)
        attrs = {} if limit is None else {"swiglu_limit": limit}
        check(f"MoE swiglu interleaved, limit {limit}", "MoE",
              [x, logits, Const(w1g), Const(b1g), Const(w2), Const(b2)], exact,
              peak * 4, k=k, activation_type="swiglu", swiglu_fusion=1,
              activation_alpha=alpha, activation_beta=beta,
              normalize_routing_weights=1, **attrs)

    # QMoE
    made = {}

    def weights(*key):
        if key not in made:
            made[key] = make_weights(*key)
        return made[key]

    def make_weights(n, columns, block, bits, zero):
        parts = [quantized(n, columns, block or columns, bits,
                           zero if block else "none") for _ in range(experts)]
        stack = lambda i: np.stack([p[i] for p in parts])
        data = stack(0).reshape(experts, n, -1)
        scales, w = stack(1), stack(3)
        points = None
        if zero == "packed" and block:
            points = stack(2)
        elif zero == "packed":  # one a row, packed along the rows
            z = rng.integers(0, 1 << bits, (experts, n))
            points = pack(z, bits)
            w = w + (1 << (bits - 1)) * scales - z[..., None] * scales
        # Scaled to weights of about 0.3: the bounds then mean something.
        scale = np.float32(4.0 / (1 << bits))
        return (data, (scales if block else scales[..., 0]) * scale, points,
                w * scale)

    def q(title, bits, block, zero="none", act="relu", level=0, bias=False,
          normalize=0, router=None, gate=False, **attrs):
        fc1 = weights(inner * (2 if gate else 1), d, block, bits, zero)
        fc2 = weights(d, inner, block, bits, zero)
        c1 = f32(experts, fc1[0].shape[1]) if bias else None
        c2 = f32(experts, d) if bias else None
        const = lambda t: None if t is None else Const(t)
        inputs = [x, logits, const(fc1[0]), const(fc1[1]), const(c1),
                  const(fc2[0]), const(fc2[1]), const(c2), None, None, None,
                  const(fc1[2]), const(fc2[2]), None, router]
        while inputs[-1] is None:
            inputs.pop()
        function = attrs.pop("function", None) or acts[act]
        mix = of_top
        if router is not None:
            def mix(t, chosen):
                w = router[t, chosen].astype(np.float64)
                return w / w.sum() if normalize else w
        exact, peak = moe_exact(x, logits, fc1[3], fc2[3], k, mix, function, c1,
                                c2)
        extra = 0.0
        if level == 4 or (bits == 8 and block):
            # Both sides round activations to int8 here: half a step of
            # max|x|/127 in each of two products.
            extra = peak * 2 * 2 / 127
        if block:
            attrs["block_size"] = block
        check(f"QMoE {title}: {bits} bits, block {block}, zero points {zero}",
              "QMoE", inputs, exact, peak * (4 if gate else 1), extra, k=k,
              expert_weight_bits=bits, activation_type=act,
              normalize_routing_weights=normalize, accuracy_level=level, **attrs)

    for bits in (4, 8):
        for block in (None, 16):
            for zero in ("none", "packed"):
                q("plain", bits, block, zero)
    q("2 bits", 2, 16)
    for name in ("gelu", "silu", "identity"):
        q(name, 4, 16, act=name, bias=True)
    q("swiglu", 4, 16, act="swiglu", gate=True, bias=True, swiglu_fusion=1,
      activation_alpha=1.702, activation_beta=1.0, swiglu_limit=7.0,
      normalize=1, function=swiglu(1.702, 1.0, 7.0))
    q("swiglu, scales of rows", 4, None, "packed", act="swiglu", gate=True,
      swiglu_fusion=1, function=swiglu(1.0, 0.0, np.inf))
    q("int8 activations", 4, 16, level=4)
    router = np.abs(f32(tokens, experts))
    q("router weights", 4, 16, router=router)
    q("router weights, normalised", 4, 16, router=router, normalize=1)
    f.write(folder)


# ---- convolutions and recurrences

def convs(folder):
    f = Family("conv")
    ms = "com.microsoft"

    def conv(title, x, w, b=None, **attrs):
        """A sum of w.size / outputs products of normal variables below 5."""
        terms = w[0].size
        tol = 2 * (terms + 2) * EPS * 25 * terms
        inputs = [x, Const(w)] + ([] if b is None else [Const(b)])
        f.case(f"Conv {title}", "Conv", inputs, tol, **attrs)

    conv("1-D", f32(2, 3, 11), f32(4, 3, 3), f32(4))
    conv("1-D, pads, stride, dilation", f32(1, 3, 17), f32(2, 3, 4),
         pads=[3, 2], strides=[2], dilations=[2], kernel_shape=[4])
    conv("depthwise causal", f32(1, 6, 9), f32(6, 1, 3), group=6, pads=[2, 0])
    conv("depthwise valid", f32(2, 6, 9), f32(6, 1, 4), f32(6), group=6)
    conv("groups, two outputs each", f32(1, 4, 8), f32(8, 1, 3), group=4)
    conv("groups of two", f32(1, 4, 8), f32(6, 2, 3), f32(6), group=2)
    conv("2-D", f32(2, 3, 7, 9), f32(4, 3, 3, 2), f32(4), pads=[1, 0, 2, 1],
         strides=[2, 1])
    conv("2-D, dilations", f32(1, 2, 9, 9), f32(3, 2, 3, 3), dilations=[2, 3])
    for pad in ("SAME_UPPER", "SAME_LOWER", "VALID"):
        conv(pad, f32(1, 2, 10, 7), f32(3, 2, 4, 3), auto_pad=pad,
             strides=[3, 2])
    conv("pads wider than the kernel", f32(1, 1, 2), f32(1, 1, 2), pads=[5, 4],
         strides=[3])

    def causal(title, x, taps, past=True, bias=True, **attrs):
        last = attrs.get("channels_last", 0)
        channels = int(np.prod(x.shape[2:])) if last else x.shape[1]
        length = (taps - 1) * attrs.get("dilation", 1)
        state = list(x.shape)
        state[1 if last else 2] = length
        inputs = [x, Const(f32(channels, 1, taps)),
                  Const(f32(channels)) if bias else None,
                  f32(*state) if past else None]
        while inputs[-1] is None:
            inputs.pop()
        # swish adds a few roundings and does not enlarge.
        f.case(f"CausalConvWithState {title}", "CausalConvWithState", inputs,
               [2 * (taps + 8) * EPS * 25 * taps, 0], outputs=(True, True),
               domain=ms, **attrs)

    causal("silu", f32(2, 5, 7), 4, activation="silu", ndim=1)
    causal("none", f32(1, 5, 7), 3)
    causal("swish, one token", f32(2, 5, 1), 4, activation="swish")
    causal("no past", f32(1, 5, 6), 4, past=False, activation="silu")
    causal("no bias", f32(1, 5, 2), 4, bias=False, activation="silu")
    causal("dilation 2", f32(1, 5, 9), 3, dilation=2, activation="silu")
    causal("channels last", f32(2, 6, 5), 4, channels_last=1, activation="silu")
    causal("one tap", f32(1, 5, 4), 1, past=False)

    def linear(title, rule, q_heads, kv_heads, k_heads=None, tokens=5, dk=8,
               dv=6, past=True, by_key=False, one_beta=False, batch=2, **attrs):
        k_heads = k_heads or kv_heads
        unit = f32(batch, tokens, k_heads, dk)
        unit /= np.linalg.norm(unit, axis=-1, keepdims=True)
        inputs = [f32(batch, tokens, q_heads * dk),
                  unit.reshape(batch, tokens, -1),
                  f32(batch, tokens, kv_heads * dv),
                  f32(batch, kv_heads, dk, dv) if past else None,
                  -np.abs(f32(batch, tokens, kv_heads * (dk if by_key else 1)))
                  if "gated" in rule else None,
                  rng.random((batch, tokens, 1 if one_beta else kv_heads)
                             ).astype(np.float32) if "delta" in rule else None]
        while inputs[-1] is None:
            inputs.pop()
        # A unit key and beta <= 1 do not enlarge errors from token to token:
        # (dk + 6) roundings of the state a token, dk more to read it.
        state = 3.0 * (tokens + 2)
        tol = 2 * tokens * (dk + 6) * EPS * state
        f.case(f"LinearAttention {title}", "LinearAttention", inputs,
               [tol * dk * 3, tol], outputs=(True, True), domain=ms,
               update_rule=rule, q_num_heads=q_heads, kv_num_heads=kv_heads,
               **attrs)

    for rule in ("linear", "gated", "delta", "gated_delta"):
        linear(rule, rule, 2, 2)
    linear("scale", "gated_delta", 2, 2, scale=1.0, chunk_size=2)
    linear("two query heads a state", "gated_delta", 4, 2)
    linear("two states a query head", "gated_delta", 2, 4, k_heads=2)
    linear("shared keys", "delta", 4, 4, k_heads=2)
    linear("decay by key", "gated_delta", 2, 2, by_key=True)
    linear("decay by key, gated", "gated", 2, 2, by_key=True)
    linear("one beta", "delta", 2, 2, one_beta=True)
    linear("no past", "gated_delta", 2, 2, past=False)
    linear("one token", "gated_delta", 2, 2, tokens=1)
    linear("wide state", "gated_delta", 1, 1, dk=33, dv=70, tokens=3, batch=1)
    f.write(folder)


# ---- products of bytes

def integers(folder):
    f = Family("integer")
    ms = "com.microsoft"

    def bytes_(dtype, *shape):
        info = np.iinfo(dtype)
        return rng.integers(info.min, info.max + 1, shape).astype(dtype)

    one = lambda v, t: np.array(v, t)
    for a_type in (np.uint8, np.int8):
        for b_type in (np.uint8, np.int8):
            a, b = bytes_(a_type, 3, 21), bytes_(b_type, 21, 5)
            # onnxruntime has no CPU kernel for int8 by uint8.
            if a_type is np.int8 and b_type is np.uint8:
                continue
            name = f"{NAMES[a.dtype]} by {NAMES[b.dtype]}"
            f.case(f"MatMulInteger {name}", "MatMulInteger", [a, Const(b)], 0)
            f.case(f"MatMulInteger {name}, zero points", "MatMulInteger",
                   [a, Const(b), one(7, a_type), Const(one(100, b_type))], 0)
    a, b = bytes_(np.uint8, 2, 3, 21), bytes_(np.int8, 21, 5)
    zeros = bytes_(np.int8, 5)
    f.case("MatMulInteger, batch, zero points of columns", "MatMulInteger",
           [a, Const(b), one(128, np.uint8), Const(zeros)], 0)
    f.case("MatMulInteger, both in batches", "MatMulInteger",
           [a, bytes_(np.int8, 2, 21, 4)], 0)
    # s is exact; two products and a sum of |s| * scale below 2e4 * 1e-3.
    tol = 2 * 4 * EPS * 40
    scales = (rng.random(5) * 1e-3).astype(np.float32)
    for b_scale, zero in ((scales[0], zeros[0]), (scales, zeros)):
        f.case(f"MatMulIntegerToFloat, {b_scale.size} scales",
               "MatMulIntegerToFloat",
               [a, Const(b), one(0.03, np.float32), Const(b_scale),
                one(120, np.uint8), Const(zero), Const(f32(5))], tol, domain=ms)
        f.case(f"QLinearMatMul, {b_scale.size} scales, uint8", "QLinearMatMul",
               [a, Const(one(0.03, np.float32)), Const(one(120, np.uint8)),
                Const(b), Const(b_scale), Const(zero),
                Const(one(0.005, np.float32)), Const(one(128, np.uint8))],
               1,  # a tie to the other side
               domain="")
    f.case("QLinearMatMul, int8", "QLinearMatMul",
           [bytes_(np.int8, 3, 21), Const(one(0.03, np.float32)),
            Const(one(-3, np.int8)), Const(b), Const(one(1e-3, np.float32)),
            Const(one(0, np.int8)), Const(one(0.005, np.float32)),
            Const(one(5, np.int8))], 1)
    x = f32(2, 3, 21)
    f.case("DynamicQuantizeMatMul", "DynamicQuantizeMatMul",
           [x, Const(b), Const(scales[:1]), Const(zeros[:1]), Const(f32(5))],
           tol, domain=ms)
    f.case("DynamicQuantizeMatMul, scales of columns, no bias",
           "DynamicQuantizeMatMul", [np.abs(x), Const(b), Const(scales)], tol,
           domain=ms)
    f.write(folder)


FAMILIES = [norms, matmuls, nbits, moes, convs, integers]

if __name__ == "__main__":
    for family in FAMILIES:
        family(sys.argv[1])
