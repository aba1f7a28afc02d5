# SPDX-License-Identifier: MIT
"""Hugging Face folders whose matrices are quantised already, packed by the
published definitions of GPTQ, AWQ, Olive, compressed-tensors and float8, and a
reader of the tensors in a model.onnx. No package is needed.
"""
import json
import math
import random
import struct

import hf_models

LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
          "down_proj", "qkv_proj", "gate_up_proj")


class Matrix:
    """w[n][k] = (q[n][k] - z[n][g]) * s[n][g], g = group_of[k]."""

    def __init__(self, rng, n, k, bits, group, symmetric, order=None):
        size = k if group == -1 else group
        self.n, self.k, self.bits = n, k, bits
        self.groups = (k + size - 1) // size
        self.group_of = [c // size for c in range(k)]
        if order == "uneven":  # no order of columns makes blocks of it
            self.group_of[-1] = 0
        if order:  # as activations fall: the same for all of one input
            random.Random(k if order != "own" else rng.random()).shuffle(
                self.group_of)
        top = 1 << bits
        self.q = [[rng.randrange(top) for _ in range(k)] for _ in range(n)]
        self.z = [[top // 2 if symmetric else rng.randrange(top)
                   for _ in range(self.groups)] for _ in range(n)]
        self.s = [hf_models.unpack(hf_models.pack(
            [rng.uniform(0.5, 1.5) / top for _ in range(self.groups)], "F16"),
            "F16") for _ in range(n)]
        self.symmetric = symmetric

    def values(self):
        # 8 bits times 11 bits: exact in float32.
        return [(q - z[g]) * s[g] for row, z, s in zip(self.q, self.z, self.s)
                for q, g in zip(row, self.group_of)]


def words(lines):
    """Rows of unsigned words: shape and bytes."""
    flat = [w & 0xFFFFFFFF for line in lines for w in line]
    return [len(lines), len(lines[0])], struct.pack(f"<{len(flat)}I", *flat)


def join(values, bits):
    return sum(v << bits * i for i, v in enumerate(values))


def pieces(values, size):
    return [values[i:i + size] for i in range(0, len(values), size)]


def columns(rows):
    return [list(c) for c in zip(*rows)]


def floats(rows, dtype):
    return (dtype, [len(rows), len(rows[0])],
            hf_models.pack([v for row in rows for v in row], dtype))


def gptq(m, module, version=1, g_idx=True):
    per = 32 // m.bits
    codes = columns([[join(p, m.bits) for p in pieces(row, per)]
                     for row in m.q])  # [K/p][N]
    # Version 1 takes 1 from every zero point, all fields of a word at once.
    less = 0xFFFFFFFF // ((1 << m.bits) - 1) if version == 1 else 0
    zeros = [[join(p, m.bits) - less for p in pieces(row, per)]
             for row in columns(m.z)]
    out = {module + ".qweight": ("I32", *words(codes)),
           module + ".qzeros": ("I32", *words(zeros)),
           module + ".scales": floats(columns(m.s), "F16")}
    if g_idx:
        out[module + ".g_idx"] = ("I32", [m.k], struct.pack(
            f"<{m.k}i", *(m.group_of if g_idx is True else [0] * m.k)))
    return out


def awq(m, module):
    def mixed(row):
        return [join([p[i] for i in (0, 2, 4, 6, 1, 3, 5, 7)], 4)
                for p in pieces(row, 8)]
    return {module + ".qweight": ("I32", *words(list(map(mixed,
                                                         columns(m.q))))),
            module + ".qzeros": ("I32", *words(list(map(mixed,
                                                        columns(m.z))))),
            module + ".scales": floats(columns(m.s), "F16")}


def olive(m, module):
    per = 8 // m.bits

    def packed(rows):
        lines = [[join(p, m.bits) for p in pieces(row, per)] for row in rows]
        return ("U8", [len(lines), len(lines[0])],
                bytes(b for line in lines for b in line))
    out = {module + ".qweight": packed(m.q),
           module + ".scales": floats(m.s, "F32")}
    if not m.symmetric:
        out[module + ".qzeros"] = packed(m.z)
    return out


def compressed(m, module):
    per = 32 // m.bits
    codes = [[join(p, m.bits) for p in pieces(row, per)] for row in m.q]
    out = {module + ".weight_packed": ("I32", *words(codes)),
           module + ".weight_scale": floats(m.s, "BF16"),
           module + ".weight_shape": ("I64", [2],
                                      struct.pack("<2q", m.n, m.k))}
    # bfloat16 has fewer bits than the scales were drawn with.
    m.s = [hf_models.unpack(hf_models.pack(row, "BF16"), "BF16")
           for row in m.s]
    if not m.symmetric:
        zeros = columns([[join(p, m.bits) for p in pieces(column, per)]
                         for column in columns(m.z)])
        out[module + ".weight_zero_point"] = ("I32", *words(zeros))
    if m.group_of != sorted(m.group_of):
        out[module + ".weight_g_idx"] = (
            "I32", [m.k], struct.pack(f"<{m.k}i", *m.group_of))
    return out


def signed_bytes(m, module):
    out = compressed(m, module)  # for its scales
    raw = bytes((q - 128) & 255 for row in m.q for q in row)
    zeros = bytes((z - 128) & 255 for row in m.z for z in row)
    made = {module + ".weight": ("I8", [m.n, m.k], raw),
            module + ".weight_scale": out[module + ".weight_scale"]}
    if not m.symmetric:
        made[module + ".weight_zero_point"] = ("I8", [m.n, m.groups], zeros)
    return made


def set_config(folder, quantization):
    path = folder / "config.json"
    config = json.loads(path.read_text())
    config["quantization_config"] = quantization
    path.write_text(json.dumps(config))


def rewrite(folder, tensors, quantization):
    hf_models.write_safetensors(folder / "model.safetensors", tensors)
    set_config(folder, quantization)


def is_linear(name):
    return name.endswith(".weight") and name.split(".")[-2] in LINEAR


def make_folder(folder, config, tokenizer, packer, quantization, bits=4,
                group=16, symmetric=True, order=None, also=(), bits_of=None,
                seed=3, change=None, **options):
    """Writes a folder of packed matrices; returns name -> values."""
    rng = random.Random(seed)
    values = hf_models.make_folder(folder, config, tokenizer, "F16")
    tensors = {}
    for name, shape in hf_models.shapes(config).items():
        if not is_linear(name) and name not in also:
            tensors[name] = ("F16", shape,
                             hf_models.pack(values[name], "F16"))
            continue
        module = name[:-len(".weight")]
        m = Matrix(rng, *shape, (bits_of or {}).get(module, bits), group,
                   symmetric, order)
        tensors.update(packer(m, module, **options))
        values[name] = m.values()
    if change:
        change(tensors)
    rewrite(folder, tensors, quantization)
    return values


def make_float8_folder(folder, config, tokenizer, kind, scale_name,
                       quantization, block=None, seed=4):
    """kind: "block", "row" or "tensor"."""
    rng = random.Random(seed)
    values = hf_models.make_folder(folder, config, tokenizer, "F16")
    tensors = {}
    for name, shape in hf_models.shapes(config).items():
        if not is_linear(name):
            tensors[name] = ("F16", shape,
                             hf_models.pack(values[name], "F16"))
            continue
        n, k = shape
        rows, cols = {"block": block, "row": (1, k), "tensor": (n, k)}[kind]
        raw = bytes(rng.choice((b, b | 0x80)) for b in
                    (rng.randrange(0x20, 0x50) for _ in range(n * k)))
        across = math.ceil(k / cols)
        scales = [rng.randrange(1, 64) / 256
                  for _ in range(math.ceil(n / rows) * across)]
        dims = {"block": [len(scales) // across, across], "row": [n, 1],
                "tensor": []}[kind]
        tensors[name] = ("F8_E4M3", shape, raw)
        tensors[name[:-len("weight")] + scale_name] = (
            "F32", dims, hf_models.pack(scales, "F32"))
        values[name] = [
            hf_models.f8_value(b, "F8_E4M3") *
            scales[i // k // rows * across + i % k // cols]
            for i, b in enumerate(raw)]
    rewrite(folder, tensors, quantization)
    return values


def fields(data):
    """(number, value) of a protobuf message: ints and bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value
    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 2:
            size = varint()
            yield key >> 3, data[at:at + size]
            at += size
        else:
            size = {1: 8, 5: 4}[key & 7]
            yield key >> 3, data[at:at + size]
            at += size


def every(data, number):
    return [value for n, value in fields(data) if n == number]


def first(data, number, default=None):
    return next(iter(every(data, number)), default)


def dims_of(tensor):
    out = []
    for value in every(tensor, 1):
        out += [value] if isinstance(value, int) else list(value)
    return out


class Onnx:
    """Nodes and external tensors of a model folder."""

    def __init__(self, folder):
        graph = first((folder / "model.onnx").read_bytes(), 7)
        self.data = (folder / "model.onnx.data").read_bytes()
        self.tensors = {first(t, 8).decode(): t for t in every(graph, 5)}
        self.nodes = {first(n, 3).decode(): n for n in every(graph, 1)}

    def bytes(self, name):
        place = {first(e, 1): first(e, 2) for e in
                 every(self.tensors[name], 13)}
        at, size = int(place[b"offset"]), int(place[b"length"])
        return self.data[at:at + size]

    def floats(self, name):
        data = self.bytes(name)
        return struct.unpack(f"<{len(data) // 4}f", data)

    def constant(self, output):
        """int32 values of the node that makes `output`."""
        for node in self.nodes.values():
            if every(node, 2) == [output] and first(node, 4) == b"Constant":
                raw = first(first(first(node, 5), 5), 9)
                return struct.unpack(f"<{len(raw) // 4}i", raw)
        return None

    def attributes(self, node):
        return {first(a, 1).decode(): first(a, 3)
                for a in every(self.nodes[node], 5)}

    def weights(self, node):
        """Values [N * K] of a MatMulNBits, and its attributes."""
        inputs = [i.decode() for i in every(self.nodes[node], 1)]
        a = self.attributes(node)
        n, k, bits, block = a["N"], a["K"], a["bits"], a["block_size"]
        blocks = math.ceil(k / block)

        def unpacked(name, count):
            data = self.bytes(name)
            stride = len(data) // n
            rows = (data[r * stride:(r + 1) * stride] for r in range(n))
            per, mask = 8 // bits, (1 << bits) - 1
            return [[row[i // per] >> i % per * bits & mask
                     for i in range(count)] for row in rows]
        codes = unpacked(inputs[1], k)
        scales = self.floats(inputs[2])
        zeros = unpacked(inputs[3], blocks) if len(inputs) > 3 else \
            [[1 << bits - 1] * blocks] * n
        a["symmetric"] = len(inputs) < 4
        # x may come through a Gather: column i of the codes is column
        # order[i] of the weight.
        order = range(k)
        for other in self.nodes.values():
            if every(other, 2)[0].decode() == inputs[0] and \
                    first(other, 4) == b"Gather" and "Gather" in inputs[0]:
                order = self.constant(every(other, 1)[1])
        place = sorted(range(k), key=order.__getitem__)
        return [(codes[r][c] - zeros[r][c // block]) *
                scales[r * blocks + c // block]
                for r in range(n) for c in place], a
