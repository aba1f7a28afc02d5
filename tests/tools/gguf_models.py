# SPDX-License-Identifier: MIT
"""GGUF files out of Hugging Face folders, in plain Python: what llama.cpp's
converter would write, made from the format's definition (version 3).

Blocks of Q4_0, Q5_0, Q8_0 and Q6_K are quantised in the simplest way that
the format allows; values() gives what they stand for.
"""
import json
import math
import pathlib
import struct

import hf_models

F32, F16, Q4_0, Q4_1, Q5_0, Q8_0, Q6_K, BF16 = 0, 1, 2, 3, 6, 8, 14, 30
ARRAY, STRING = 9, 8
BLOCKS = {Q4_0: 32, Q4_1: 32, Q5_0: 32, Q8_0: 32, Q6_K: 256}
NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

# Class of config.json -> architecture of the format.
ARCHITECTURES = {
    "LlamaForCausalLM": "llama", "MistralForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2", "Qwen3ForCausalLM": "qwen3",
    "Phi3ForCausalLM": "phi3", "GemmaForCausalLM": "gemma",
    "Gemma2ForCausalLM": "gemma2", "Gemma3ForCausalLM": "gemma3",
    "GraniteForCausalLM": "granite", "SmolLM3ForCausalLM": "smollm3",
    "Olmo2ForCausalLM": "olmo2", "Ernie4_5ForCausalLM": "ernie4_5"}
PERMUTED = ("llama", "granite", "smollm3")


# Values of the format's blocks.

def half(value):
    return struct.unpack("<e", struct.pack("<e", value))[0]


def single(value):
    return struct.unpack("<f", struct.pack("<f", value))[0]


def nibbles(codes):
    return bytes(codes[i] | codes[i + 16] << 4 for i in range(16))


def quantize_32(values, kind):
    """(bytes, values) of a block of 32."""
    if kind == Q4_1:
        low, high = min(values), max(values)
        d, m = half((high - low) / 15), half(low)
        q = [min(15, max(0, round((v - m) / d))) if d else 0 for v in values]
        return (struct.pack("<2e", d, m) + nibbles(q),
                [single(single(d * c) + m) for c in q])
    top = max(values, key=abs)
    bits = {Q4_0: 4, Q5_0: 5, Q8_0: 8}[kind]
    zero = 1 << (bits - 1)
    d = half(abs(top) / 127 if bits == 8 else top / -zero)
    q = [min(zero - 1, max(-zero, round(v / d))) if d else 0 for v in values]
    out = [single(d * c) for c in q]
    if kind == Q8_0:
        return struct.pack("<e32b", d, *q), out
    q = [c + zero for c in q]
    raw = struct.pack("<e", d)
    if kind == Q5_0:
        raw += struct.pack("<I", sum((c >> 4) << i for i, c in enumerate(q)))
    return raw + nibbles([c & 15 for c in q]), out


def quantize_6k(values):
    """256 values: 16 groups with scales of eight bits."""
    scales = [max(values[g * 16:g * 16 + 16], key=abs) / -32
              for g in range(16)]
    d = half(max(map(abs, scales)) / 127)
    scales = [round(s / d) if d else 0 for s in scales]
    q, out = [], []
    for i, v in enumerate(values):
        step = single(d * scales[i // 16])
        c = min(31, max(-32, round(v / step))) if step else 0
        q.append(c + 32)
        out.append(single(step * c))
    low, high = bytearray(128), bytearray(64)
    for i, c in enumerate(q):
        n, j = divmod(i, 128)
        low[n * 64 + j % 64] |= (c & 15) << (j // 64 * 4)
        high[n * 32 + j % 32] |= (c >> 4) << (j // 32 * 2)
    return bytes(low) + bytes(high) + struct.pack("<16be", *scales, d), out


def pack(values, kind):
    """(bytes, what they stand for)."""
    if kind in (F32, F16, BF16):
        name = {F32: "F32", F16: "F16", BF16: "BF16"}[kind]
        raw = hf_models.pack(values, name)
        return raw, hf_models.unpack(raw, name)
    size = BLOCKS[kind]
    raw, out = [], []
    for i in range(0, len(values), size):
        block = values[i:i + size]
        r, v = quantize_6k(block) if kind == Q6_K else quantize_32(block, kind)
        raw.append(r)
        out += v
    return b"".join(raw), out


# Files.

def text(value):
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def value_bytes(value):
    """A key's type and value: u32, f32, bool, text or a list of one of them."""
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", STRING) + text(value)
    kind = {str: 8, float: 6, int: 5, bool: 7}[
        type(value[0]) if value else str]
    head = struct.pack("<IIQ", ARRAY, kind, len(value))
    if kind == 8:
        return head + b"".join(map(text, value))
    return head + struct.pack(f"<{len(value)}{ {6: 'f', 5: 'i', 7: '?'}[kind]}",
                              *value)


def write(path, keys, tensors, version=3, alignment=32):
    """tensors: name -> (type, shape with rows first, bytes)."""
    out = [b"GGUF", struct.pack("<IQQ", version, len(tensors), len(keys))]
    for key, value in keys.items():
        out += [text(key), value_bytes(value)]
    at, data = 0, []
    for name, (kind, shape, raw) in tensors.items():
        out += [text(name), struct.pack("<I", len(shape)),
                struct.pack(f"<{len(shape)}Q", *reversed(shape)),
                struct.pack("<IQ", kind, at)]
        data.append(raw + bytes(-len(raw) % alignment))
        at += len(data[-1])
    head = b"".join(out)
    pathlib.Path(path).write_bytes(head + bytes(-len(head) % alignment) +
                                   b"".join(data))


# A Hugging Face folder's parts.

def read_safetensors(folder):
    """name -> (shape, values)."""
    out = {}
    for path in sorted(folder.glob("*.safetensors")):
        data = path.read_bytes()
        size = struct.unpack("<Q", data[:8])[0]
        for name, entry in json.loads(data[8:8 + size]).items():
            if name != "__metadata__":
                first, last = entry["data_offsets"]
                out[name] = (entry["shape"], hf_models.unpack(
                    data[8 + size + first:8 + size + last], entry["dtype"]))
    return out


def tensor_name(name, architecture):
    whole = {"model.embed_tokens.weight": "token_embd.weight",
             "model.norm.weight": "output_norm.weight",
             "lm_head.weight": "output.weight"}
    if name in whole:
        return whole[name]
    _, _, layer, *parts, end = name.split(".")
    around = architecture in ("gemma2", "gemma3", "olmo2")
    part = {"input_layernorm": "attn_norm", "q_proj": "attn_q",
            "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
            "qkv_proj": "attn_qkv", "q_norm": "attn_q_norm",
            "k_norm": "attn_k_norm", "gate_proj": "ffn_gate",
            "up_proj": "ffn_up", "gate_up_proj": "ffn_up",
            "down_proj": "ffn_down",
            "post_attention_layernorm":
                "post_attention_norm" if around else "ffn_norm",
            "pre_feedforward_layernorm": "ffn_norm",
            "post_feedforward_layernorm": "post_ffw_norm"}[parts[-1]]
    return f"blk.{layer}.{part}.{end}"


def permuted(values, rows, heads):
    """Rows of each head: 0, d/2, 1, d/2 + 1, ..."""
    k, d = len(values) // rows, rows // heads
    out = []
    for row in range(rows):
        head, at = divmod(row, d)
        source = head * d + at % 2 * (d // 2) + at // 2
        out += values[source * k:(source + 1) * k]
    return out


def llama3_factors(theta, size, scaling):
    low = scaling["original_max_position_embeddings"] / \
        scaling["low_freq_factor"]
    high = scaling["original_max_position_embeddings"] / \
        scaling["high_freq_factor"]
    out = []
    for j in range(0, size, 2):
        length = 2 * math.pi * theta ** (j / size)
        if length < high:
            out.append(1.0)
        elif length > low:
            out.append(float(scaling["factor"]))
        else:
            smooth = (scaling["original_max_position_embeddings"] / length -
                      scaling["low_freq_factor"]) / (
                scaling["high_freq_factor"] - scaling["low_freq_factor"])
            out.append(1 / ((1 - smooth) / scaling["factor"] + smooth))
    return out


def rope_keys(c, a, tensors):
    head = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    size = int(head * c.get("partial_rotary_factor", 1.0))
    keys = {f"{a}.rope.dimension_count": size,
            f"{a}.rope.freq_base": float(c["rope_theta"])}
    scaling = c.get("rope_scaling") or {}
    kind = scaling.get("rope_type", scaling.get("type"))
    if kind == "llama3":
        factors = llama3_factors(c["rope_theta"], size, scaling)
        tensors["rope_freqs.weight"] = (F32, [size // 2],
                                        pack(factors, F32)[0])
    elif kind in ("linear", "yarn"):
        keys[f"{a}.rope.scaling.type"] = kind
        keys[f"{a}.rope.scaling.factor"] = float(scaling["factor"])
        if kind == "yarn":
            keys[f"{a}.rope.scaling.original_context_length"] = \
                scaling["original_max_position_embeddings"]
    elif kind == "longrope":
        keys[f"{a}.rope.scaling.original_context_length"] = \
            c["original_max_position_embeddings"]
        ratio = c["max_position_embeddings"] / \
            c["original_max_position_embeddings"]
        keys[f"{a}.rope.scaling.attn_factor"] = math.sqrt(
            1 + math.log(ratio) /
            math.log(c["original_max_position_embeddings"]))
        for name in ("short", "long"):
            tensors[f"rope_factors_{name}.weight"] = (
                F32, [size // 2], pack(scaling[name + "_factor"], F32)[0])
    else:
        assert kind in (None, "default", "dynamic"), kind
    return keys


def model_keys(c, a, tensors):
    head = c.get("head_dim") or c["hidden_size"] // c["num_attention_heads"]
    keys = {
        "general.architecture": a,
        "general.name": "Phi-3 Tiny" if a == "phi3" else "tiny",
        f"{a}.block_count": c["num_hidden_layers"],
        f"{a}.context_length": c["max_position_embeddings"],
        f"{a}.embedding_length": c["hidden_size"],
        f"{a}.feed_forward_length": c["intermediate_size"],
        f"{a}.attention.head_count": c["num_attention_heads"],
        f"{a}.attention.head_count_kv": c["num_key_value_heads"],
        f"{a}.attention.key_length": head,
        f"{a}.attention.value_length": head,
        f"{a}.attention.layer_norm_rms_epsilon": float(c["rms_norm_eps"]),
        f"{a}.vocab_size": c["vocab_size"]}
    keys.update(rope_keys(c, a, tensors))
    if c.get("sliding_window") and a in ("llama", "phi3", "gemma2", "gemma3"):
        keys[f"{a}.attention.sliding_window"] = c["sliding_window"]
    if a == "gemma3" and "sliding_window_pattern" in c:
        keys[f"{a}.attention.sliding_window_pattern"] = \
            c["sliding_window_pattern"]
    for hf, name in (("attn_logit_softcapping", "attn_logit_softcapping"),
                     ("final_logit_softcapping", "final_logit_softcapping"),
                     ("rope_local_base_freq", "rope.freq_base_swa"),
                     ("attention_multiplier", "attention.scale"),
                     ("embedding_multiplier", "embedding_scale"),
                     ("residual_multiplier", "residual_scale"),
                     ("logits_scaling", "logit_scale")):
        if c.get(hf):
            keys[f"{a}.{name}"] = float(c[hf])
    if "query_pre_attn_scalar" in c:
        keys[f"{a}.attention.scale"] = c["query_pre_attn_scalar"] ** -0.5
    return keys


def pre_name(tokenizer):
    found = json.dumps(tokenizer["pre_tokenizer"])
    if "Digits" in found:
        return "smollm"
    if "Split" not in found:
        return "gpt-2"
    if "{Lu}" in found:
        return "gpt-4o"
    return "llama-bpe" if "{1,3}" in found else "qwen2"


def tokenizer_keys(folder, size, generation, config):
    """tokenizer.ggml.* of tokenizer.json; ids from the configs."""
    t = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    model, added = t["model"], {a["id"]: a for a in t["added_tokens"]}
    spm = model["byte_fallback"]
    tokens, types = [""] * size, [UNUSED] * size
    for piece, i in model["vocab"].items():
        tokens[i], types[i] = piece, NORMAL
        if spm and len(piece) == 6 and piece.startswith("<0x"):
            types[i] = BYTE
    for i, a in added.items():
        tokens[i] = a["content"]
        types[i] = CONTROL if a["special"] else USER
        if spm and a["content"] == model["unk_token"]:
            types[i] = UNKNOWN
        if not a["special"]:  # llama.cpp's converter, too
            tokens[i] = tokens[i].replace("\u2581", " ")
    for i in range(size):
        tokens[i] = tokens[i] or f"[PAD{i}]"
    pairs = [m.split(" ") if isinstance(m, str) else m
             for m in model["merges"]]
    keys = {"tokenizer.ggml.model": "llama" if spm else "gpt2",
            "tokenizer.ggml.tokens": tokens,
            "tokenizer.ggml.token_type": types}
    if spm:
        scores = {}
        for rank, (left, right) in enumerate(pairs):
            scores.setdefault(left + right, -float(rank + 1))
        keys["tokenizer.ggml.scores"] = [scores.get(p, -1e6) for p in tokens]
        keys["tokenizer.ggml.add_space_prefix"] = \
            "Prepend" in json.dumps(t["normalizer"]) or \
            t["pre_tokenizer"] is not None and \
            t["pre_tokenizer"]["type"] == "Metaspace"
    else:
        keys["tokenizer.ggml.merges"] = [" ".join(p) for p in pairs]
        keys["tokenizer.ggml.pre"] = pre_name(t)
    keys["tokenizer.ggml.add_bos_token"] = \
        "TemplateProcessing" in json.dumps(t["post_processor"])
    for key, name in (("bos", "bos"), ("eos", "eos"), ("padding", "pad")):
        value = generation.get(name + "_token_id",
                               config.get(name + "_token_id"))
        value = value[0] if isinstance(value, list) else value
        if value is not None:
            keys[f"tokenizer.ggml.{key}_token_id"] = value
    if spm:
        keys["tokenizer.ggml.unknown_token_id"] = \
            tokens.index(model["unk_token"])
    return keys


def chat_template(folder):
    if (folder / "chat_template.jinja").exists():
        return (folder / "chat_template.jinja").read_text("utf-8")
    path = folder / "tokenizer_config.json"
    return json.loads(path.read_text("utf-8")).get("chat_template")


def from_folder(folder, path, kind=F32, override=lambda name: None, keys=None):
    """Writes the file; returns name -> (shape, values) of transformers' names,
    as the file has them. override(name of the format) may give another type;
    rows that are no whole blocks are F16. keys: changes, None takes one out."""
    folder = pathlib.Path(folder)
    config = json.loads((folder / "config.json").read_text())
    a = ARCHITECTURES[config["architectures"][0]]
    tensors, values = {}, {}
    changes = keys or {}
    keys = model_keys(config, a, tensors)
    generation = folder / "generation_config.json"
    generation = json.loads(generation.read_text()) \
        if generation.exists() else {}
    keys.update(tokenizer_keys(folder, config["vocab_size"], generation,
                               config))
    if chat_template(folder):
        keys["tokenizer.chat_template"] = chat_template(folder)
    for name, (shape, data) in read_safetensors(folder).items():
        known = tensor_name(name, a)
        if a.startswith("gemma") and name.endswith("norm.weight"):
            data = [single(v + 1) for v in data]
        heads = {"q_proj": config["num_attention_heads"],
                 "k_proj": config["num_key_value_heads"]}.get(
                     name.split(".")[-2]) if a in PERMUTED else None
        if heads:
            data = permuted(data, shape[0], heads)
        type_ = F32 if len(shape) == 1 else override(known) or kind
        if shape[-1] % BLOCKS.get(type_, 1):
            type_ = F16
        raw, data = pack(data, type_)
        tensors[known] = (type_, shape, raw)
        if heads:  # and back
            k, d = len(data) // shape[0], shape[0] // heads
            rows = [data[i * k:(i + 1) * k] for i in range(shape[0])]
            data = []
            for row in range(shape[0]):
                head, at = divmod(row, d)
                data += rows[head * d + at % (d // 2) * 2 + at // (d // 2)]
        if a.startswith("gemma") and name.endswith("norm.weight"):
            data = [v - 1 for v in data]
        values[name] = (shape, data)
    keys.update(changes)
    write(path, {k: v for k, v in keys.items() if v is not None}, tensors)
    return values
