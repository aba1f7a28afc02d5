#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Attention and rotary cases computed by onnxruntime's CPU kernels.

Usage: make_attention_cases.py OUT_DIR      (numpy, onnx, onnxruntime)
The format is that of make_contrib_cases.py, OUT_DIR is tests/data/contrib.
"""

import sys

import numpy as np

from make_contrib_cases import EPS, Family, f32

MS = "com.microsoft"


def i32(*values):
    return np.array(values, np.int32)


def attention_tol(e, keys, scores, values):
    """Of a result, both sides together. A score of size |s| <= scores is off by
    (e + 16) roundings of it: products, sums, scale, cap, bias; exp multiplies
    by that; exp itself and tanh take 8; `keys` terms are summed above and
    below the bar."""
    one = 2 * ((e + 16) * scores + 8) + 2 * keys + 24
    return float(2 * one * EPS * values)


def norm_max(x, e):
    return np.sqrt((x.reshape(-1, e) ** 2).sum(-1)).max()


# ---- GroupQueryAttention

B, H, K, E = 2, 4, 2, 16


class Gqa:
    def __init__(self):
        self.family = Family("gqa")
        self.q, self.k, self.v = f32(B, 6, H * E), f32(B, 6, K * E), f32(B, 6, K * E)
        self.past_k, self.past_v = f32(B, K, 12, E), f32(B, K, 12, E)
        self.cos, self.sin = f32(24, E // 2), f32(24, E // 2)

    def case(self, title, tokens=6, past=0, batch=1, lengths=None, packed=False,
             rope=0, ids=None, bias=None, sink=None, scales=None, cache=None,
             capacity=None, outputs=(True, True, True), **attrs):
        q, k, v = (x[:batch, :tokens] for x in (self.q, self.k, self.v))
        total = past + tokens
        rows = capacity or past
        pk, pv = (x[:batch, :, :rows] for x in (self.past_k, self.past_v))
        if cache:
            pk, pv = (cache(batch, rows) for _ in range(2))
        lengths = lengths or [total] * batch
        inputs = [q, k, v, pk, pv, i32(*(n - 1 for n in lengths)),
                  np.array(total, np.int32)]
        if packed:
            inputs[:3] = [np.concatenate([q, k, v], -1), None, None]
        inputs += [None] * 9
        if rope:
            attrs["do_rotary"] = 1
            inputs[7] = self.cos[:, :rope // 2]
            inputs[8] = self.sin[:, :rope // 2]
        inputs[9], inputs[10], inputs[11] = ids, bias, sink
        if scales is not None:
            inputs[12] = inputs[13] = scales
        while inputs[-1] is None:
            inputs.pop()
        scale = attrs.get("scale", 0) or E ** -0.5
        turned = 2 if rope else 1  # |cos| + |sin| of about 4 at most, both sides
        scores = scale * norm_max(self.q, E) * norm_max(self.k, E) * turned ** 4
        if bias is not None:
            scores += np.abs(bias).max()
        values = max(np.abs(self.v).max(), np.abs(self.past_v).max())
        if cache:
            values = scores = 20
        tol = attention_tol(E, total, scores, values)
        # Rotated keys: three roundings of a (|cos| + |sin|) a side.
        key_tol = 6 * EPS * np.abs(self.k).max() * 8 if rope else 0
        self.family.case(
            f"{title}: T {tokens}, past {past}, batch {batch}",
            "GroupQueryAttention", inputs, [tol, key_tol, 0], outputs=outputs,
            domain=MS, num_heads=H, kv_num_heads=K, **attrs)


def gqa(folder):
    g = Gqa()
    g.case("prompt")
    g.case("prompt packed", packed=True, batch=2)
    g.case("past", tokens=3, past=5)
    g.case("step", tokens=1, past=7, batch=2, packed=True)
    g.case("capacity", tokens=1, past=5, capacity=12)
    g.case("ragged step", tokens=1, past=7, batch=2, lengths=[8, 4], rope=16)
    for interleaved in (0, 1):
        for packed in (False, True):
            g.case(f"rotary interleaved {interleaved}", tokens=3, past=5,
                   rope=16, packed=packed,
                   rotary_interleaved=interleaved)
    g.case("rotary prompt", rope=16, batch=2)
    g.case("rotary position ids of a prompt", rope=16, tokens=3,
           ids=np.array([[4, 9, 1]]))
    g.case("rotary position ids", rope=16, tokens=3, past=2,
           ids=np.array([[4, 9, 1]]))
    g.case("scale", scale=0.3)
    g.case("softcap", softcap=1.5, tokens=3, past=5)
    g.case("softcap and bias", softcap=1.5, tokens=3, past=5,
           bias=f32(1, 1, 3, 8))
    for window in (1, 3, 100):
        g.case(f"window {window}", local_window_size=window)
        g.case(f"window {window}", local_window_size=window, tokens=3, past=5)
    g.case("window step", local_window_size=4, tokens=1, past=9, rope=16)
    g.case("sliding cache that keeps all", local_window_size=4, tokens=1,
           past=5, capacity=6, sliding_window_cache=1)
    g.case("sink", sink=f32(H), tokens=3, past=5)
    g.case("sink and window", sink=f32(H), local_window_size=3, softcap=4.0)
    g.case("smooth softmax", smooth_softmax=1)
    g.case("smooth softmax off", smooth_softmax=-1)
    g.case("smooth softmax and sink", smooth_softmax=1, sink=f32(H))
    for dims in ((1, 1), (1, H), (2, 1), (2, H)):
        g.case(f"bias {dims}", batch=2, bias=f32(*dims, 6, 6))
        g.case(f"bias {dims}", tokens=1, past=7, batch=2,
               bias=f32(*dims, 1, 8))
    g.case("bias and window", bias=f32(1, H, 6, 6), local_window_size=2)
    g.case("not causal", causal=0, tokens=3, past=5)
    g.case("not causal prompt", causal=0, rope=16)
    per_channel = (0.02 + 0.001 * np.arange(K * E)).astype(np.float32)
    for bits in (8, 4):
        def cache(batch, rows):
            low, high, kind = (-90, 90, np.int8) if bits == 8 else (0, 256, np.uint8)
            width = E if bits == 8 else E // 2
            return np.random.default_rng(rows).integers(
                low, high, (batch, K, rows, width)).astype(kind)
        for name, scale in (("PER_TENSOR", np.array([0.03], np.float32)),
                            ("PER_CHANNEL", per_channel)):
            for tokens, past in ((6, 0), (3, 5), (1, 7)):
                g.case(f"{bits} bits {name}", tokens=tokens, past=past,
                       batch=1 if tokens == 3 else 2,
                       cache=cache, scales=scale * (1 if bits == 8 else 12),
                       k_quant_type=name, v_quant_type=name,
                       kv_cache_bit_width=bits)
    g.family.write(folder)


# ---- MultiHeadAttention

def mha(folder):
    f = Family("mha")
    heads, e, d = 2, 8, 16
    q, k, v = f32(2, 3, d), f32(2, 5, d), f32(2, 5, d)
    pk, pv = f32(2, heads, 4, e), f32(2, heads, 4, e)

    def case(title, inputs, outputs=(True,), extra=0.0, **attrs):
        scores = max(norm_max(x, e) for x in (q, k, pk)) ** 2 * e ** -0.5 * 4
        scores += extra
        tol = attention_tol(e, 9, scores, np.abs(v).max() * 2)
        # A present row is past or new, or new + bias: one rounding a side.
        copied = 2 * EPS * 8 if inputs[3:4] and inputs[3] is not None else 0
        f.case(title, "MultiHeadAttention", inputs, [tol, copied, copied],
               outputs=outputs, domain=MS, num_heads=heads, **attrs)

    all3 = (True, True, True)
    case("cross", [q, k, v])
    case("present", [q, k, v], all3)
    case("scale", [q, k, v], scale=0.21)
    case("bias", [q, k, v, f32(3 * d)], all3)
    case("value size", [q, k, f32(2, 5, heads * 4)])
    case("value size and bias", [q, k, f32(2, 5, heads * 4),
                                 f32(2 * d + heads * 4)])
    case("lengths", [q, k, v, None, i32(5, 2)], extra=0)
    two = np.array([[1, 1, 1, 0, 1], [1, 1, 0, 0, 0]], np.int32)
    three = np.tile(two[:, None], (1, 3, 1))
    three[:, 1, 0] = 0
    case("padding [B, S]", [q, k, v, None, two])
    case("padding [B, T, S]", [q, k, v, None, three])
    # Where all keys are filtered the scores are about -20.
    case("filter value", [q, k, v, None, np.zeros((2, 5), np.int32)],
         mask_filter_value=-20.0, extra=20)
    for dims in ((1, 1), (1, heads), (2, 1), (2, heads)):
        case(f"attention bias {dims}", [q, k, v, None, None, f32(*dims, 3, 5)],
             extra=4)
        case(f"attention bias {dims} and padding",
             [q, k, v, None, two, f32(*dims, 3, 5)], extra=4)
    qkv = [q, f32(2, 3, d), f32(2, 3, d)]
    case("past", qkv + [None, None, None, pk, pv], all3)
    case("past, bias of both kinds",
         qkv + [f32(3 * d), None, f32(1, heads, 3, 7), pk, pv], all3, extra=4)
    case("past and padding",
         qkv + [None, np.array([[0, 0, 1, 1, 1, 1, 1], [1] * 7], np.int32), None,
                pk, pv], all3)
    case("unidirectional", qkv, unidirectional=1)
    case("unidirectional with past", qkv + [None, None, None, pk, pv], all3,
         unidirectional=1)
    case("keys in cache layout", [q, pk, pv])
    f.write(folder)


# ---- RotaryEmbedding

def rotary(folder):
    f = Family("rotary")
    x = f32(2, 3, 32)
    cos, sin = f32(9, 4), f32(9, 4)
    tol = float(6 * EPS * np.abs(x).max() *
                (np.abs(cos).max() + np.abs(sin).max()))
    ids = np.array([[4, 0, 8], [2, 2, 7]])

    def case(title, inputs, **attrs):
        f.case(title, "RotaryEmbedding", inputs, tol, domain=MS, **attrs)

    four = f32(2, 4, 3, 8)
    for interleaved in (0, 1):
        more = {"interleaved": interleaved}
        tag = f", interleaved {interleaved}"
        case("ids" + tag, [x, ids, cos, sin], **more)
        case("first id" + tag, [x, np.array([5]), cos, sin], **more)
        case("heads first" + tag, [four, ids, cos, sin], **more)
        case("partial" + tag, [x, ids, cos, sin], num_heads=2,
             rotary_embedding_dim=8, **more)
        case("partial, heads first" + tag, [f32(2, 2, 3, 16), ids, cos, sin],
             num_heads=2, rotary_embedding_dim=8, **more)
    f.write(folder)


if __name__ == "__main__":
    for family in (gqa, mha, rotary):
        family(sys.argv[1])
