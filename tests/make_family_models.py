#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/data/families: one tiny model folder a model family.

The graphs are those that the model builder of ONNX Runtime GenAI writes for
the family (operators, attributes, names of nodes, inputs and outputs), one to
three layers of width 16 with random weights. Where the builder has no such
class (OLMo 2) the graph puts together its parts the way the model needs.
Values and weights have short names: theirs would be half of each file.
What the weights say is nothing; what counts is that every part changes the
logits: windows shorter than the prompts, soft caps that bite, gains near 1.

reference.f32 holds what onnxruntime answers for two sequences: all positions
of the prompt, then forced tokens one by one with the state fed back.
MatMulNBits has accuracy_level 0 (absent): all arithmetic is float32. The
float16 folder is compared with the same graph and the same weights in float32,
which is what float16 arithmetic approximates.

  pip install numpy==2.3.5 onnx==1.19.1 onnxruntime==1.31.1
  python3 tests/make_family_models.py tests/data/families
"""
import json
import pathlib
import sys
import zlib

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

D, F, V = 16, 24, 24  # model, ffn, vocabulary
HEADS = (2, 1, 16)    # heads, kv heads, head size
# onnxruntime rotates a multiple of 16 elements of a head.
PARTIAL_HEADS, PARTIAL = (2, 1, 32), 16
CONTEXT = 32
BLOCK = 16
EPSILON = 1e-5
SEQUENCES = [
    {"prompt": [3, 17, 22, 4, 4, 21, 8, 11], "steps": [16, 2, 13, 5]},
    {"prompt": [12, 7, 15], "steps": [20, 9, 9, 18]},
]
INT64_MAX = 2 ** 63 - 1
MS = "com.microsoft"


class Builder:
    """Collects the graph of one family."""

    def __init__(self, name, weights="int4", half=False, heads=HEADS):
        self.name, self.weights = name, weights
        self.h, self.k, self.e = heads
        self.rng = np.random.default_rng(zlib.crc32(name.encode()))
        self.type = np.float16 if half else np.float32
        self.io = TensorProto.FLOAT16 if half else TensorProto.FLOAT
        self.nodes, self.initializers, self.names = [], [], set()
        self.values, self.weight_names = {}, {}
        self.inputs, self.outputs = [], []
        self.states = []  # (past, present, shape of the first past)
        self.config = {}  # additions to genai_config's decoder
        self.input("input_ids", TensorProto.INT64,
                   ["batch_size", "sequence_length"])
        self.input("attention_mask", TensorProto.INT64,
                   ["batch_size", "total_sequence_length"])

    # ---- parts of a graph

    def input(self, name, kind, dims):
        self.inputs.append(helper.make_tensor_value_info(name, kind, dims))
        return name

    def output(self, name, dims):
        self.outputs.append(helper.make_tensor_value_info(name, self.io, dims))
        return name

    def op(self, kind, name, inputs, outputs=None, domain="", **attributes):
        """outputs: names, None for one that nobody asks for; or how many."""
        if outputs is None or isinstance(outputs, int):
            outputs = [None] * (outputs or 1)
        number = self.values.setdefault(name, len(self.values))
        outputs = [f"v{number}.{i}" if o is None else o
                   for i, o in enumerate(outputs)]
        if name not in self.names:  # nodes shared by the layers
            self.names.add(name)
            self.nodes.append(helper.make_node(
                kind, inputs, outputs, name=name, domain=domain, **attributes))
        return outputs[0] if len(outputs) == 1 else outputs

    def init(self, name, array):
        if name not in self.weight_names:
            self.weight_names[name] = f"w{len(self.initializers)}"
            self.initializers.append(numpy_helper.from_array(
                np.ascontiguousarray(array), self.weight_names[name]))
        return self.weight_names[name]

    def const(self, value, kind=np.int64):
        tensor = numpy_helper.from_array(np.asarray(value, kind))
        label = onnx.TensorProto.DataType.Name(tensor.data_type)
        name = f"/model/constants/{label}/{value}"
        self.op("Constant", f"/model/constant_nodes/{label}/{value}", [],
                [name], value=tensor)
        return name

    def real(self, value):
        return self.const(value, self.type)

    def random(self, shape, gain=1.0):
        return gain * self.rng.standard_normal(shape)

    def vector(self, name, size, mean=0.0):
        values = mean + self.random(size, 0.2)
        return self.init(name, values.astype(self.type))

    def linear(self, at, x, n, k=D, gain=1.0, bias=False, output=None):
        """at: ("/model/layers.0/attn/", "qkv_proj"); weights [n, k]."""
        name = at + "/MatMul"
        weight = at.strip("/").replace("/", ".") + ".MatMul.weight"
        w = self.random((n, k), gain / np.sqrt(k))
        outputs = [output] if output and not bias else None
        if self.weights == "int4":
            q, scales = quantize(w)
            y = self.op("MatMulNBits", name + "_Q4",
                        [x, self.init(weight + "_Q4", q),
                         self.init(weight + "_scales", scales)],
                        outputs, MS,
                        K=k, N=n, bits=4, block_size=BLOCK)
        else:
            y = self.op("MatMul", name,
                        [x, self.init(weight, w.T.astype(self.type))], outputs)
        if bias:
            b = self.vector(at.strip("/").replace("/", ".") + ".Add.bias", n)
            y = self.op("Add", at + "/Add", [y, b],
                        [output] if output else None)
        return y

    def rms(self, name, x, size=D):
        """SimplifiedLayerNormalization over the last axis."""
        weight = name.strip("/").replace("/", ".") + ".weight"
        return self.op("SimplifiedLayerNormalization", name + "/LayerNorm",
                       [x, self.vector(weight, size, 1.0)],
                       axis=-1, epsilon=EPSILON, stash_type=1)

    def skip_rms(self, name, hidden, skip, last=False):
        weight = name.strip("/").replace("/", ".") + ".weight"
        outputs = [None] if last else [None, "", "", None]
        y = self.op("SkipSimplifiedLayerNormalization",
                    name + "/SkipLayerNorm",
                    [hidden, skip, self.vector(weight, D, 1.0)], outputs, MS,
                    epsilon=EPSILON)
        return (y, None) if last else (y[0], y[3])

    def norm(self, name, x):
        """LayerNormalization with bias."""
        base = name.strip("/").replace("/", ".")
        return self.op("LayerNormalization", name + "/LayerNorm",
                       [x, self.vector(base + ".weight", D, 1.0),
                        self.vector(base + ".bias", D)],
                       axis=-1, epsilon=EPSILON, stash_type=1)

    def skip_norm(self, name, hidden, skip, last=False):
        base = name.strip("/").replace("/", ".")
        outputs = [None] if last else [None, "", "", None]
        y = self.op("SkipLayerNormalization", name + "/SkipLayerNorm",
                    [hidden, skip, self.vector(base + ".weight", D, 1.0),
                     self.vector(base + ".bias", D)], outputs, MS,
                    epsilon=EPSILON)
        return (y, None) if last else (y[0], y[3])

    def embed(self, scale=None):
        table = self.init("model.embed_tokens.weight",
                          self.random((V, D)).astype(self.type))
        x = self.op("Gather", "/model/embed_tokens/Gather",
                    [table, "input_ids"])
        if scale is None:
            return x
        return self.op("Mul", "/model/embed_tokens/Mul", [x, self.real(scale)])

    def head(self, x, **options):
        return self.linear("/lm_head", x, V, **options)

    def mlp(self, i, x, down_gain=0.5, act="silu"):
        at = f"/model/layers.{i}/mlp/"
        gate = self.linear(at + "gate_proj", x, F)
        up = self.linear(at + "up_proj", x, F)
        act_fn = f"/model/layers.{i}/mlp/act_fn/"
        if act == "silu":
            sigmoid = self.op("Sigmoid", act_fn + "Sigmoid", [gate])
            gate = self.op("Mul", act_fn + "Mul", [gate, sigmoid])
        else:
            gate = self.op("Gelu", act_fn + "FastGelu", [gate],
                           approximate="tanh")
        product = self.op("Mul", at + "Mul", [gate, up])
        return self.linear(at + "down_proj", product, D, F, down_gain)

    # ---- attention

    def lengths(self):
        """seqlens_k [B] and total_sequence_length of the attention mask."""
        at = "/model/attn_mask_reformat/attn_mask_subgraph/"
        counts = self.op("ReduceSum", at + "ReduceSum",
                         ["attention_mask", self.const([1])], keepdims=0)
        last = self.op("Sub", at + "Sub", [counts, self.const([1])])
        seqlens = self.op("Cast", at + "Sub/Cast", [last],
                          to=TensorProto.INT32)
        shape = self.op("Shape", at + "Shape", ["attention_mask"])
        total = self.op("Gather", at + "Gather", [shape, self.const(1)],
                        axis=0)
        return [seqlens, self.op("Cast", at + "Gather/Cast", [total],
                                 to=TensorProto.INT32)]

    def caches(self, rotary=None, theta=100.0):
        rotary = rotary or self.e
        angles = np.arange(CONTEXT)[:, None] * \
            theta ** (-np.arange(0, rotary, 2) / rotary)[None]
        return [self.init("cos_cache", np.cos(angles).astype(self.type)),
                self.init("sin_cache", np.sin(angles).astype(self.type))]

    def positions(self):
        if all(i.name != "position_ids" for i in self.inputs):
            self.input("position_ids", TensorProto.INT64,
                       ["batch_size", "sequence_length"])
        return "position_ids"

    def rotary(self, i, part, x, caches, **attributes):
        return self.op(
            "RotaryEmbedding",
            f"/model/layers.{i}/attn/{part}_rotary/RotaryEmbedding",
            [x, self.positions(), *caches], None, MS, **attributes)

    def state(self, past, present, shape, dims=None):
        dims = dims or shape
        self.input(past, self.io, ["batch_size", *dims])
        self.output(present, ["batch_size", *dims])
        self.states.append((past, present, shape))
        return past, present

    def kv_state(self, i):
        pairs = []
        for part in ("key", "value"):
            pairs.append((f"past_key_values.{i}.{part}",
                          f"present.{i}.{part}"))
            self.states.append((*pairs[-1], [self.k, 0, self.e]))
            self.input(pairs[-1][0], self.io,
                       ["batch_size", self.k, "past_sequence_length", self.e])
            self.output(pairs[-1][1],
                        ["batch_size", self.k, "total_sequence_length",
                         self.e])
        return [p[0] for p in pairs], [p[1] for p in pairs]

    def gqa(self, i, qkv, caches=("", ""), scale=None, **attributes):
        name = f"/model/layers.{i}/attn/GroupQueryAttention"
        past, present = self.kv_state(i)
        attributes = {"softcap": 0.0, "rotary_interleaved": 0,
                      "do_rotary": int(caches[0] != ""), **attributes}
        return self.op(
            "GroupQueryAttention", name,
            [*qkv, *past, *self.lengths(), *caches, "", "", ""],
            [None, *present], MS, num_heads=self.h, kv_num_heads=self.k,
            scale=scale or self.e ** -0.5, **attributes)[0]

    def packed(self, i, x, bias=False):
        return [self.linear(f"/model/layers.{i}/attn/qkv_proj", x,
                            (self.h + 2 * self.k) * self.e, bias=bias), "", ""]

    def split(self, i, x, bias=False):
        name = f"/model/layers.{i}/attn/qkv_proj/Split"
        return self.op("Split", name, [self.packed(i, x, bias)[0],
                                       self.const([self.h * self.e,
                                                   self.k * self.e,
                                                   self.k * self.e])],
                       3, axis=-1)

    def head_norm(self, i, part, x, heads):
        """RMS norm of every head of q or k."""
        at = f"/model/layers.{i}/attn/{part}_norm"
        y = self.op("Reshape", at + "/Reshape_1",
                    [x, self.const([0, -1, self.e])])
        y = self.op("SimplifiedLayerNormalization",
                    at + "/SimplifiedLayerNormalization",
                    [y, self.vector(f"model.layers.{i}.attn.{part}_norm."
                                    "layernorm.weight", self.e, 1.0)],
                    axis=-1, epsilon=EPSILON, stash_type=1)
        return self.op("Reshape", at + "/Reshape_2",
                       [y, self.const([0, -1, heads * self.e])])

    def o_proj(self, i, x, gain=0.7, bias=False):
        return self.linear(f"/model/layers.{i}/attn/o_proj", x, D,
                           self.h * self.e, gain, bias)

    def llama(self, layers, attention, scale=None, residual=None):
        """Pre-norm layers: attention(i, x) gives the output of its o_proj."""
        hidden = self.embed(scale)
        x = self.rms("/model/layers.0/input_layernorm", hidden)
        for i in range(layers):
            base = f"/model/layers.{i}/"
            skip = self.scaled(i, 1, attention(i, x), residual)
            x, hidden = self.skip_rms(base + "post_attention_layernorm",
                                      hidden, skip)
            skip = self.scaled(i, 2, self.mlp(i, x), residual)
            last = i + 1 == layers
            x, hidden = self.skip_rms(next_norm(i, layers), hidden, skip, last)
        return x

    def scaled(self, i, number, x, factor):
        if factor is None:
            return x
        return self.op("Mul", f"/model/layers.{i}/residual_mul/Mul_{number}",
                       [x, self.real(factor)])

    def model(self):
        self.outputs.insert(0, helper.make_tensor_value_info(
            "logits", self.io, ["batch_size", "sequence_length", V]))
        graph = helper.make_graph(self.nodes, "main_graph", self.inputs,
                                  self.outputs, self.initializers)
        return helper.make_model(
            graph, ir_version=10,
            producer_name="slm tests/make_family_models.py",
            opset_imports=[helper.make_opsetid("", 21),
                           helper.make_opsetid(MS, 1)])


def next_norm(i, layers):
    """The norm before layer i + 1, or the final one."""
    last = "final_norm_layernorm" if i + 1 == layers else "input_layernorm"
    return f"/model/layers.{i + 1}/{last}"


def quantize(w):
    """[N, K] -> nibbles around 8 [N, blocks, BLOCK / 2], scales [N, blocks]"""
    n, k = w.shape
    w = np.pad(w, ((0, 0), (0, -k % BLOCK))).reshape(n, -1, BLOCK)
    scales = np.abs(w).max(-1) / 7
    q = np.round(w / scales[..., None]).astype(np.int64) + 8
    return ((q[..., 0::2] | q[..., 1::2] << 4).astype(np.uint8),
            scales.astype(np.float32))


# ---- families ---------------------------------------------------------------

def lfm2():
    """Convolution layers with their last inputs as state, and attention."""
    g = Builder("lfm2")
    taps, kinds = 3, ["conv", "full_attention", "conv"]
    g.config = {"layer_types": kinds, "conv_cache_size": taps}
    g.config_inputs = {"past_conv_names": "past_conv.%d"}
    g.config_outputs = {"present_conv_names": "present_conv.%d"}

    def conv(i, x):
        at = f"/model/layers.{i}/conv"
        proj = g.linear(at + "/in_proj", x, 3 * D)
        proj = g.op("Transpose", at + "/Transpose_1", [proj], perm=[0, 2, 1])
        b, c, u = g.op("Split", at + "/Split",
                       [proj, g.const([D, D, D])], 3, axis=1)
        bx = g.op("Mul", at + "/Mul_1", [b, u])
        past, present = g.state(f"past_conv.{i}", f"present_conv.{i}",
                                [D, taps])
        full = g.op("Concat", at + "/Conv_1", [past, bx], axis=2)
        weight = g.init(f"model.layers.{i}.conv.conv.weight",
                        g.random((D, 1, taps), 0.8).astype(np.float32))
        y = g.op("Conv", at + "/Conv_2", [full, weight], dilations=[1],
                 group=D, kernel_shape=[taps], pads=[0, 0], strides=[1])
        shape = g.op("Shape", at + "/Shape", [x])
        length = g.op("Gather", at + "/Gather", [shape, g.const(1)], axis=0)
        start = g.op("Mul", at + "/Neg", [length, g.const(-1)])
        start = g.op("Unsqueeze", at + "/Unsqueeze", [start, g.const([0])])
        y = g.op("Slice", at + "/Slice_1",
                 [y, start, g.const([INT64_MAX]), g.const([2])])
        g.op("Slice", at + "/Slice_2",
             [full, g.const([-taps]), g.const([INT64_MAX]), g.const([2])],
             [present])
        y = g.op("Mul", at + "/Mul_2", [c, y])
        y = g.op("Transpose", at + "/Transpose_2", [y], perm=[0, 2, 1])
        return g.linear(at + "/out_proj", y, D)

    def attention(i, x):
        q, k, v = g.split(i, x)
        q, k = g.head_norm(i, "q", q, g.h), g.head_norm(i, "k", k, g.k)
        return g.o_proj(i, g.gqa(i, [q, k, v], g.caches()))

    hidden = g.embed()
    x = g.rms("/model/layers.0/operator_layernorm", hidden)
    for i, kind in enumerate(kinds):
        skip = (conv if kind == "conv" else attention)(i, x)
        x, hidden = g.skip_rms(f"/model/layers.{i}/ffn_layernorm", hidden,
                               skip)
        last = i + 1 == len(kinds)
        name = next_norm(i, len(kinds)).replace("input_", "operator_")
        x, hidden = g.skip_rms(name, hidden, g.mlp(i, x), last)
    g.head(x, output="logits")
    return g


def qwen3_5():
    """Gated DeltaNet layers and gated attention with interleaved mRoPE."""
    g = Builder("qwen3_5_text")
    kinds = ["linear_attention", "full_attention"]
    rotary = 4

    def l2_norm(at, x, heads):
        y = g.op("Reshape", at + "/flat/Reshape",
                 [x, g.const([0, 0, heads, g.e])])
        y = g.op("LpNormalization", at + "/LpNormalization", [y], axis=-1, p=2)
        return g.op("Reshape", at + "/unflat/Reshape",
                    [y, g.const([0, 0, heads * g.e])])

    def linear(i, x):
        at, n_k, n_v, taps = f"/model/layers.{i}/linear_attn", 2, 4, 4
        k_dim, v_dim = n_k * g.e, n_v * g.e
        width = 2 * k_dim + v_dim
        qkv = g.linear(at + "/in_proj_qkv", x, width)
        z = g.linear(at + "/in_proj_z", x, v_dim)
        b = g.linear(at + "/in_proj_b", x, n_v)
        a = g.linear(at + "/in_proj_a", x, n_v)
        qkv = g.op("Transpose", at + "/qkv_transpose/Transpose", [qkv],
                   perm=[0, 2, 1])
        base = at.strip("/").replace("/", ".")
        weight = g.init(base + ".conv1d.weight",
                        g.random((width, 1, taps), 0.7).astype(np.float32))
        bias = g.init(base + ".conv1d.bias", np.zeros(width, np.float32))
        past, present = g.state(f"past_key_values.{i}.conv_state",
                                f"present.{i}.conv_state", [width, taps - 1])
        conv = g.op("CausalConvWithState", at + "/CausalConvWithState",
                    [qkv, weight, bias, past],
                    [None, present], MS,
                    activation="silu", ndim=1)[0]
        conv = g.op("Transpose", at + "/conv_out/Transpose", [conv],
                    perm=[0, 2, 1])
        q, k, v = g.op("Split", at + "/split_qkv/Split",
                       [conv, g.const([k_dim, k_dim, v_dim])], 3, axis=-1)
        q, k = l2_norm(at + "/q_l2norm", q, n_k), l2_norm(at + "/k_l2norm",
                                                          k, n_k)
        q = g.op("Mul", at + "/q_scaled/Mul",
                 [q, g.init("model.constants.q_scale",
                            np.array([g.e ** -0.5], np.float32))])
        beta = g.op("Sigmoid", at + "/beta/Sigmoid", [b])
        a = g.op("Cast", at + "/decay/a_cast/Cast", [a], to=TensorProto.FLOAT)
        a = g.op("Add", at + "/decay/Add", [a, g.vector(base + ".dt_bias",
                                                        n_v)])
        a = g.op("Softplus", at + "/decay/Softplus", [a])
        a = g.op("Mul", at + "/decay/Mul",
                 [g.init(base + ".neg_exp_A",
                         -np.exp(g.random(n_v, 0.5)).astype(np.float32)), a])
        decay = g.op("Cast", at + "/decay/g_cast/Cast", [a],
                     to=TensorProto.FLOAT)
        past, present = g.state(f"past_key_values.{i}.recurrent_state",
                                f"present.{i}.recurrent_state",
                                [n_v, g.e, g.e])
        y = g.op("LinearAttention", at + "/LinearAttention",
                 [q, k, v, past, decay, beta],
                 [None, present], MS,
                 q_num_heads=n_k, kv_num_heads=n_v, scale=1.0,
                 update_rule="gated_delta")[0]
        norm = at + "/gated_norm"
        y = g.op("Reshape", norm + "/input_flat/Reshape",
                 [y, g.const([0, 0, n_v, g.e])])
        y = g.op("SimplifiedLayerNormalization",
                 norm + "/SimplifiedLayerNormalization",
                 [y, g.vector(base + ".norm.weight", g.e, 1.0)], axis=-1,
                 epsilon=EPSILON, stash_type=1)
        y = g.op("Reshape", norm + "/norm_unflat/Reshape",
                 [y, g.const([0, 0, v_dim])])
        z = g.op("Cast", norm + "/z_cast/Cast", [z], to=TensorProto.FLOAT)
        gate = g.op("Mul", norm + "/z_silu/Mul",
                    [z, g.op("Sigmoid", norm + "/z_sigmoid/Sigmoid", [z])])
        y = g.op("Cast", norm + "/norm_cast/Cast", [y], to=TensorProto.FLOAT)
        y = g.op("Mul", norm + "/gated_fp32/Mul", [y, gate])
        y = g.op("Cast", norm + "/gated/Cast", [y], to=TensorProto.FLOAT)
        return g.linear(at + "/out_proj", y, D, v_dim)

    def mrope_positions():
        """position_ids [B, S] three times: [3, B, S]."""
        at = "/model/position_ids_expand"
        x = g.op("Unsqueeze", at + "/Unsqueeze",
                 [g.positions(), g.const([0])])
        return g.op("Tile", at + "/Tile", [x, g.const([3, 1, 1])])

    def mrope_cache(which, table):
        """Rows of the cache, some columns by height and width positions."""
        at = f"/model/rotary_emb/{which}"
        rows = []
        for axis in range(3):
            x = g.op("Gather", f"{at}/dim{axis}/pos/Gather",
                     [mrope_positions(), g.const([axis])], axis=0)
            x = g.op("Squeeze", f"{at}/dim{axis}/Squeeze", [x, g.const([0])])
            rows.append(g.op("Gather", f"{at}/dim{axis}/cache/Gather",
                             [table, x], axis=0))
        masks = [g.init(f"model.rotary_emb.{n}_mask",
                        np.arange(rotary // 2) == i)
                 for i, n in ((0, "w"), (1, "h"))]
        x = g.op("Where", at + "/w/Where", [masks[0], rows[2], rows[0]])
        return g.op("Where", at + "/h/Where", [masks[1], rows[1], x])

    def synthetic_positions():
        """0 .. B * S - 1 as [B, S]: rows of the caches gathered above."""
        at, x = "/model/attn/synthetic_pos_ids", mrope_positions()
        shape = g.op("Shape", at + "/Shape", [x])
        shape = g.op("Slice", at + "/bs_shape/Slice",
                     [shape, g.const([1]), g.const([3]), g.const([0])])
        flat = g.op("Reshape", at + "/flat/Reshape", [x, g.const([3, -1])])
        total = g.op("Gather", at + "/total/Gather",
                     [g.op("Shape", at + "/Shape2", [flat]), g.const(1)],
                     axis=0)
        x = g.op("Range", at + "/range/Range",
                 [g.const(0), total, g.const(1)])
        return g.op("Reshape", at + "/Reshape", [x, shape])

    def rotate(i, part, x, heads, caches):
        at = f"/model/layers.{i}/attn/{part}_mrope"
        flat = [g.op("Reshape", f"{at}/{n}_flat/Reshape",
                     [c, g.const([-1, rotary // 2])])
                for n, c in zip(("cos", "sin"), caches)]
        x = g.op("Reshape", at + "/reshape_in/Reshape",
                 [x, g.const([0, 0, heads, g.e])])
        x = g.op("Transpose", at + "/transpose_in/Transpose", [x],
                 perm=[0, 2, 1, 3])
        x = g.op("RotaryEmbedding", at + "/RotaryEmbedding",
                 [x, synthetic_positions(), *flat], None, MS, num_heads=heads,
                 rotary_embedding_dim=rotary, interleaved=0)
        x = g.op("Transpose", at + "/transpose_out/Transpose", [x],
                 perm=[0, 2, 1, 3])
        return g.op("Reshape", at + "/reshape_out/Reshape",
                    [x, g.const([0, 0, heads * g.e])])

    def full(i, x):
        at = f"/model/layers.{i}/attn"
        q = g.linear(at + "/q_proj", x, 2 * g.h * g.e)
        q = g.op("Reshape", at + "/q_gate_reshape/Reshape",
                 [q, g.const([0, 0, g.h, 2 * g.e])])
        q, gate = g.op("Split", at + "/q_gate_split/Split",
                       [q, g.const([g.e, g.e])], 2, axis=-1)
        q = g.op("Reshape", at + "/q_reshape/Reshape",
                 [q, g.const([0, 0, g.h * g.e])])
        gate = g.op("Reshape", at + "/gate_reshape/Reshape",
                    [gate, g.const([0, 0, g.h * g.e])])
        k = g.linear(at + "/k_proj", x, g.k * g.e)
        v = g.linear(at + "/v_proj", x, g.k * g.e)
        q, k = g.head_norm(i, "q", q, g.h), g.head_norm(i, "k", k, g.k)
        names = g.caches(rotary)
        caches = [mrope_cache("cos", names[0]), mrope_cache("sin", names[1])]
        q, k = rotate(i, "q", q, g.h, caches), rotate(i, "k", k, g.k, caches)
        y = g.gqa(i, [q, k, v])
        gate = g.op("Sigmoid", at + "/gate/Sigmoid", [gate])
        return g.o_proj(i, g.op("Mul", at + "/gate/Mul", [y, gate]))

    x = g.llama(len(kinds), lambda i, x: (
        linear if kinds[i] == "linear_attention" else full)(i, x))
    g.head(x, output="logits")
    return g


def gemma2():
    """Four norms a layer, soft caps, a window on odd layers."""
    g, window = Builder("gemma2"), 4
    g.config = {"sliding_window": {
        "window_size": window, "slide_key_value_cache": False,
        "slide_inputs": False, "layers": [1]}}
    hidden = g.embed(scale=float(np.round(np.sqrt(D), 2)))
    x = g.rms("/model/layers.0/input_layernorm", hidden)
    for i in range(2):
        base = f"/model/layers.{i}/"
        local = {"sliding_window_cache": 1} if i == 1 else {}
        y = g.gqa(i, g.packed(i, x), g.caches(), scale=0.5, softcap=1.5,
                  local_window_size=window if i == 1 else -1, **local)
        y = g.rms(base + "post_attention_layernorm", g.o_proj(i, y))
        x, hidden = g.skip_rms(base + "pre_feedforward_layernorm", hidden, y)
        y = g.rms(base + "post_feedforward_layernorm",
                  g.mlp(i, x, act="gelu"))
        x, hidden = g.skip_rms(next_norm(i, 2), hidden, y, i == 1)
    x = g.head(x)
    cap = g.real(2.0)
    x = g.op("Div", "/lm_head/softcap/Div", [x, cap])
    x = g.op("Tanh", "/lm_head/softcap/Tanh", [x])
    g.op("Mul", "/lm_head/softcap/Mul", [x, cap], ["logits"])
    return g


def phi():
    """Phi-2: layer norms and biases everywhere, attention beside the MLP,
    rotary on half of a head, Gelu."""
    g, layers = Builder("phi", heads=PARTIAL_HEADS), 2
    hidden = g.embed()
    x = g.norm("/model/layers.0/input_layernorm", hidden)
    for i in range(layers):
        at = f"/model/layers.{i}/mlp/"
        y = g.o_proj(i, g.gqa(i, g.packed(i, x, bias=True),
                              g.caches(rotary=PARTIAL)), bias=True)
        m = g.linear(at + "fc1", x, F, bias=True)
        m = g.op("Gelu", at + "act_fn/FastGelu", [m], approximate="tanh")
        m = g.linear(at + "fc2", m, D, F, 0.5, bias=True)
        y = g.op("Add", f"/model/layers.{i}/residual_add/Add", [y, m])
        x, hidden = g.skip_norm(next_norm(i, layers), hidden, y,
                                i + 1 == layers)
    g.head(x, bias=True, output="logits")
    return g


def olmo2():
    """Norms behind attention and MLP, q and k norms over all heads at once."""
    g = Builder("olmo2")
    hidden = g.embed()
    for i in range(2):
        base = f"/model/layers.{i}/"
        q, k, v = g.split(i, hidden)
        q = g.rms(base + "attn/q_norm/layernorm", q, g.h * g.e)
        k = g.rms(base + "attn/k_norm/layernorm", k, g.k * g.e)
        y = g.o_proj(i, g.gqa(i, [q, k, v], g.caches()))
        y = g.rms(base + "post_attention_layernorm", y)
        hidden = g.op("Add", base + "residual_add/Add_1", [hidden, y])
        y = g.rms(base + "post_feedforward_layernorm", g.mlp(i, hidden))
        hidden = g.op("Add", base + "residual_add/Add_2", [hidden, y])
    g.head(g.rms("/model/layers.2/final_norm_layernorm", hidden),
           output="logits")
    return g


def hunyuan():
    """RotaryEmbedding nodes, then q and k norms, then attention without."""
    g = Builder("hunyuandensev1")

    def attention(i, x):
        caches = g.caches()
        q, k, v = g.split(i, x)
        rope = {"interleaved": 0, "num_heads": 0, "rotary_embedding_dim": 0}
        q = g.head_norm(i, "q", g.rotary(i, "q", q, caches, **rope), g.h)
        k = g.head_norm(i, "k", g.rotary(i, "k", k, caches, **rope), g.k)
        return g.o_proj(i, g.gqa(i, [q, k, v]))

    g.head(g.llama(2, attention), output="logits")
    return g


def chatglm():
    """An export from before rotary went into the attention node: interleaved
    RotaryEmbedding on half of a head, QKV bias."""
    g = Builder("chatglm")

    def attention(i, x):
        caches = g.caches(rotary=g.e // 2)
        q, k, v = g.split(i, x, bias=True)
        rope = {"interleaved": 1, "rotary_embedding_dim": g.e // 2}
        q = g.rotary(i, "q", q, caches, num_heads=g.h, **rope)
        k = g.rotary(i, "k", k, caches, num_heads=g.k, **rope)
        return g.o_proj(i, g.gqa(i, [q, k, v]))

    g.head(g.llama(2, attention), output="logits")
    return g


def granite():
    """Multipliers for embedding, attention, residual and logits."""
    g = Builder("granite")

    def attention(i, x):
        return g.o_proj(i, g.gqa(i, g.packed(i, x), g.caches(), scale=0.6))

    x = g.llama(2, attention, scale=3.0, residual=0.8)
    x = g.head(x)
    g.op("Mul", "/lm_head/Mul", [x, g.real(0.7)], ["logits"])
    return g


def ernie4_5():
    g = Builder("ernie4_5")

    def attention(i, x):
        return g.o_proj(i, g.gqa(i, g.packed(i, x), g.caches(),
                                 rotary_interleaved=1))

    g.head(g.llama(2, attention), output="logits")
    return g


def nemotron():
    """Layer norms, up, Relu, square, down."""
    g, layers = Builder("nemotron", heads=PARTIAL_HEADS), 2
    hidden = g.embed()
    x = g.norm("/model/layers.0/input_layernorm", hidden)
    for i in range(layers):
        base, at = f"/model/layers.{i}/", f"/model/layers.{i}/mlp/"
        y = g.o_proj(i, g.gqa(i, g.packed(i, x), g.caches(rotary=PARTIAL)))
        x, hidden = g.skip_norm(base + "post_attention_layernorm", hidden, y)
        m = g.linear(at + "up_proj", x, F)
        m = g.op("Relu", at + "act_fn/Relu", [m])
        m = g.op("Pow", at + "act_fn/Pow", [m, g.const([2], np.int32)])
        m = g.linear(at + "down_proj", m, D, F, 0.3)
        x, hidden = g.skip_norm(next_norm(i, layers), hidden, m,
                                i + 1 == layers)
    g.head(x, output="logits")
    return g


def smollm3():
    """Layers without positions: no rotary, no caches; windows on others."""
    g, window = Builder("smollm3"), 5
    g.config = {"sliding_window": {
        "window_size": window, "slide_key_value_cache": False,
        "slide_inputs": False, "layers": [0]}}

    def attention(i, x):
        caches = ("", "") if i == 1 else g.caches()
        local = {"sliding_window_cache": 1} if i == 0 else {}
        return g.o_proj(i, g.gqa(
            i, g.packed(i, x), caches,
            local_window_size=window if i == 0 else -1, **local))

    g.head(g.llama(2, attention), output="logits")
    return g


def llama_mha(half=True):
    """A float16 export for CPU: MultiHeadAttention with a mask subgraph,
    RotaryEmbedding nodes, keys and values repeated for their query heads."""
    g = Builder("llama_mha_fp16", weights="float", half=half, heads=(4, 2, 8))
    mask = mha_mask(g)

    def attention(i, x):
        at = f"/model/layers.{i}/attn/"
        caches = g.caches()
        q, k, v = g.split(i, x)
        rope = {"interleaved": 0, "num_heads": 0, "rotary_embedding_dim": 0}
        q = g.rotary(i, "q", q, caches, **rope)
        k = g.rotary(i, "k", k, caches, **rope)
        past, present = g.kv_state(i)
        k = repeat_kv(g, at + "k_proj/repeat_kv", k, past[0], present[0])
        v = repeat_kv(g, at + "v_proj/repeat_kv", v, past[1], present[1])
        y = g.op("MultiHeadAttention", at + "MultiHeadAttention",
                 [q, k, v, "", "", mask, "", ""],
                 [None, "", ""], MS,
                 num_heads=g.h, scale=g.e ** -0.5, unidirectional=0)[0]
        return g.o_proj(i, y)

    g.head(g.llama(1, attention), output="logits")
    return g


def dims_of(g, at, x, indices):
    """Sizes of x as [1] tensors."""
    sizes = []
    for n, index in enumerate(indices, 1):
        shape = g.op("Shape", f"{at}/Shape_{n}", [x])
        size = g.op("Gather", f"{at}/Gather_{n}", [shape, g.const(index)],
                    axis=0)
        sizes.append(g.op("Unsqueeze", f"{at}/Unsqueeze_{n}",
                          [size, g.const([0])]))
    return sizes


def known_shape(g, at, shape, name="Where_1"):
    """The shape with -1 replaced by 1, as torch writes Expand."""
    rank = g.op("Shape", f"{at}/Shape_of_{name}", [shape])
    ones = g.op("ConstantOfShape", f"{at}/ConstantOfShape_of_{name}", [rank],
                value=helper.make_tensor("", TensorProto.INT64, [1], [1]))
    minus = g.op("Mul", f"{at}/Mul_of_{name}", [ones, g.const(-1)])
    equal = g.op("Equal", f"{at}/Equal_of_{name}", [shape, minus])
    return g.op("Where", f"{at}/{name}", [equal, ones, shape])


def repeat_kv(g, at, x, past, present):
    x = g.op("Reshape", at + "/Reshape_1", [x, g.const([0, 0, g.k, -1])])
    x = g.op("Transpose", at + "/Transpose_1", [x], perm=[0, 2, 1, 3])
    g.op("Concat", at + "/Concat_1", [past, x], [present], axis=2)
    b, k, s, e = dims_of(g, at, present, range(4))
    shape = g.op("Concat", at + "/Concat_2",
                 [b, k, g.const([g.h // g.k]), s, e], axis=0)
    heads = g.op("Mul", at + "/Mul_1", [k, g.const(g.h // g.k)])
    back = g.op("Concat", at + "/Concat_3", [b, heads, s, e], axis=0)
    shape = g.op("Reshape", at + "/Reshape_2", [shape, g.const([-1])])
    x = g.op("Unsqueeze", at + "/Unsqueeze_5", [present, g.const([2])])
    x = g.op("Expand", at + "/Expand", [x, known_shape(g, at, shape)])
    x = g.op("Reshape", at + "/Reshape_3", [x, back])
    x = g.op("Transpose", at + "/Transpose_2", [x], perm=[0, 2, 1, 3])
    return g.op("Reshape", at + "/Reshape_4",
                [x, g.const([0, 0, g.h * g.e])])


def mha_mask(g):
    """[B, 1, S, T] from input_ids, attention_mask and the past, tiled to H."""
    root = "/model/attn_mask_reformat"
    lowest = float(np.finfo(g.type).min)
    past = g.op("Gather", root + "/past_key_subgraph/Gather",
                [g.op("Shape", root + "/past_key_subgraph/Shape",
                      ["past_key_values.0.key"]), g.const(2)], axis=0)
    # Causal part, of the new tokens only: [S, S], stretched to [S, T].
    at = root + "/input_ids_subgraph"
    b, s = dims_of(g, at, "input_ids", range(2))
    new = g.op("Gather", at + "/Gather_2", [])  # made by dims_of
    total = g.op("Add", at + "/Add_1", [new, past])
    total = g.op("Unsqueeze", at + "/Unsqueeze_3", [total, g.const([0])])
    square = g.op("Concat", at + "/Concat_2", [s, s], axis=0)
    low = g.op("ConstantOfShape", at + "/ConstantOfShape_2", [square],
               value=helper.make_tensor("", g.io, [1], [lowest]))
    sizes = []
    for n in (1, 2):
        y = g.op("Shape", f"{at}/Shape_{n + 3}", [low])
        y = g.op("Slice", f"{at}/Slice_{n}",
                 [y, g.const([-1]), g.const([INT64_MAX]), g.const([0])])
        sizes.append(g.op("Squeeze", f"{at}/Squeeze_{n}", [y, g.const([0])]))
    rows = g.op("Unsqueeze", at + "/output_0", [sizes[0], g.const([0])])
    rows = g.op("Concat", at + "/Concat_3", [rows, g.const([1])], axis=0)
    columns = g.op("Range", at + "/Range",
                   [g.const(0), sizes[1], g.const(1)])
    after = g.op("Add", at + "/Add_2", [columns, g.const(1)])
    after = g.op("Reshape", at + "/Reshape", [after, rows])
    less = g.op("Less", at + "/Less", [columns, after])
    causal = g.op("Where", at + "/Where_2", [less, g.real(0), low])
    causal = g.op("Unsqueeze", at + "/Unsqueeze_8", [causal, g.const([0])])
    causal = g.op("Unsqueeze", at + "/Unsqueeze_9", [causal, g.const([1])])
    shape = g.op("Concat", at + "/Concat_1", [b, g.const([1]), s, total],
                 axis=0)
    causal = g.op("Expand", at + "/Expand",
                  [causal, known_shape(g, at, shape)])
    # Padding part.
    at = root + "/attn_mask_subgraph"
    mask = g.op("Unsqueeze", at + "/Unsqueeze_3",
                ["attention_mask", g.const([1])])
    mask = g.op("Unsqueeze", at + "/Unsqueeze_4", [mask, g.const([2])])
    n = dims_of(g, at, "attention_mask", range(2))
    shape = g.op("Concat", at + "/Concat", [n[0], g.const([1]), s, n[1]],
                 axis=0)
    mask = g.op("Expand", at + "/Expand", [mask, known_shape(g, at, shape)])
    mask = g.op("Cast", at + "/Cast_1", [mask], to=g.io)
    mask = g.op("Sub", at + "/Sub", [g.real(1), mask])
    hidden = g.op("Cast", at + "/Cast_2", [mask], to=TensorProto.BOOL)
    mask = g.op("Where", at + "/Where_2", [hidden, g.real(lowest), mask])
    mask = g.op("Add", root + "/Add", [mask, causal])
    return g.op("Tile", root + "/Tile", [mask, g.const([1, g.h, 1, 1])])


FAMILIES = [lfm2, qwen3_5, gemma2, phi, olmo2, hunyuan, chatglm, llama_mha,
            granite, ernie4_5, nemotron, smollm3]


# ---- folders and references -------------------------------------------------

def write_folder(folder, g):
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save_model(g.model(), folder / "model.onnx")
    inputs = {i.name: i.name for i in g.inputs
              if not i.name.startswith("past_")}
    names = [f"{kind}.%d.{part}" for kind in ("past_key_values", "present")
             for part in ("key", "value")]
    layers = 1 + max(int(past.split(".")[1]) for past, _, _ in g.states)
    decoder = {
        "session_options": {"log_id": "onnxruntime-genai",
                            "provider_options": []},
        "filename": "model.onnx", "head_size": g.e, "hidden_size": D,
        "inputs": {**inputs, "past_key_names": names[0],
                   "past_value_names": names[1],
                   **getattr(g, "config_inputs", {})},
        "outputs": {"logits": "logits", "present_key_names": names[2],
                    "present_value_names": names[3],
                    **getattr(g, "config_outputs", {})},
        "num_attention_heads": g.h, "num_hidden_layers": layers,
        "num_key_value_heads": g.k, **g.config}
    write_json(folder / "genai_config.json", {
        "model": {"bos_token_id": 0, "context_length": CONTEXT,
                  "decoder": decoder, "eos_token_id": 1, "pad_token_id": 1,
                  "type": g.name if g.name in KNOWN_TYPES else "decoder",
                  "vocab_size": V},
        "search": {"max_length": CONTEXT}})
    write_json(folder / "tokenizer.json", {
        "version": "1.0", "added_tokens": [], "normalizer": None,
        "pre_tokenizer": None, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "unk_token": "0",
                  "vocab": {str(i): i for i in range(V)}}})
    write_json(folder / "tokenizer_config.json",
               {"tokenizer_class": "PreTrainedTokenizerFast"})


KNOWN_TYPES = ["lfm2", "qwen3_5_text", "gemma2", "phi", "hunyuandensev1",
               "chatglm", "granite", "ernie4_5", "nemotron", "smollm3"]


def write_json(path, value):
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")


def run(g, session, ids, state, length):
    feeds = {"input_ids": np.array([ids], np.int64),
             "attention_mask": np.ones((1, length), np.int64), **state}
    if any(i.name == "position_ids" for i in g.inputs):
        feeds["position_ids"] = np.arange(length - len(ids),
                                          length)[None].astype(np.int64)
    names = [o.name for o in session.get_outputs()]
    values = dict(zip(names, session.run(None, feeds)))
    return values["logits"][0], {past: values[present]
                                 for past, present, _ in g.states}


def reference(g):
    """[rows, V]: of each sequence the prompt's rows, then those of its steps.
    """
    model = g.model()
    for node in model.graph.node:
        # A plain session keeps the whole past; the attention is the same.
        kept = [a for a in node.attribute if a.name != "sliding_window_cache"]
        del node.attribute[:]
        node.attribute.extend(kept)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = []
    for sequence in SEQUENCES:
        state = {past: np.zeros([1, *shape], g.type)
                 for past, _, shape in g.states}
        length = len(sequence["prompt"])
        feed = sequence["prompt"]
        for step in [None, *sequence["steps"]]:
            if step is not None:
                feed, length = [step], length + 1
            logits, state = run(g, session, feed, state, length)
            rows.extend(logits)
    return np.stack(rows).astype(np.float32)


def exact(family):
    """The family's graph in float32, float16 weights as they are rounded."""
    g = family()
    if g.type == np.float32:
        return g
    wide = family(half=False)
    for i, tensor in enumerate(wide.initializers):
        half = numpy_helper.to_array(g.initializers[i])
        wide.initializers[i] = numpy_helper.from_array(
            half.astype(np.float32), tensor.name)
    return wide


def main(data):
    root = pathlib.Path(data)
    total = 0
    for family in FAMILIES:
        g = family()
        folder = root / g.name
        write_folder(folder, g)
        rows = reference(exact(family))
        (folder / "reference.f32").write_bytes(rows.tobytes())
        size = sum(f.stat().st_size for f in folder.iterdir())
        total += size
        print(f"{g.name:16} {size:6} bytes, logits {rows.std():.2f} "
              f"up to {np.abs(rows).max():.2f}")
    write_json(root / "sequences.json", {
        "made_by": "tests/make_family_models.py with " + ", ".join(
            f"{m.__name__} {m.__version__}" for m in (np, onnx, onnxruntime)),
        "sequences": SEQUENCES})
    print(total, "bytes")


if __name__ == "__main__":
    main(sys.argv[1])
