# SPDX-License-Identifier: MIT
"""Tiny Hugging Face folders with random weights, and what transformers computes
from them, in plain Python: no package is needed to test slm-convert.

forward() follows transformers 4.57's modeling files, not slm's graph.
"""
import json
import math
import pathlib
import random
import shutil
import struct
from operator import mul

VOCAB, HIDDEN, FFN, HEADS, KV, HEAD, LAYERS = 288, 32, 48, 4, 2, 16, 4
CONTEXT = 64


def to_bf16(value):
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    return (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16


def f8_value(byte, dtype):
    """OCP 8-bit floats: E4M3 has no infinity, E5M2 is a short float16."""
    if dtype == "F8_E5M2":
        return struct.unpack("<e", bytes([0, byte]))[0]
    sign, exponent, mantissa = byte >> 7, byte >> 3 & 15, byte & 7
    value = mantissa / 8 * 2 ** -6 if exponent == 0 else \
        (1 + mantissa / 8) * 2.0 ** (exponent - 7)
    return -value if sign else value


def to_f8(value, dtype):
    top = 0x7E if dtype == "F8_E4M3" else 0x7B
    best = min(range(top + 1), key=lambda b: abs(f8_value(b, dtype) -
                                                 abs(value)))
    return best | (0x80 if value < 0 else 0)


def pack(values, dtype):
    if dtype.startswith("F8"):
        known = {}
        return bytes(known.setdefault(round(v, 2), to_f8(round(v, 2), dtype))
                     for v in values)
    if dtype == "BF16":
        return struct.pack(f"<{len(values)}H", *map(to_bf16, values))
    code = {"F64": "d", "F32": "f", "F16": "e"}[dtype]
    return struct.pack(f"<{len(values)}{code}", *values)


def unpack(data, dtype):
    if dtype.startswith("F8"):
        return [f8_value(b, dtype) for b in data]
    if dtype == "BF16":
        words = struct.unpack(f"<{len(data) // 2}H", data)
        return list(struct.unpack(f"<{len(words)}f", struct.pack(
            f"<{len(words)}I", *(w << 16 for w in words))))
    code, size = {"F64": ("d", 8), "F32": ("f", 4), "F16": ("e", 2)}[dtype]
    return list(struct.unpack(f"<{len(data) // size}{code}", data))


def write_safetensors(path, tensors):
    """tensors: name -> (dtype, shape, bytes)."""
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def base_config(name, model_type, **changes):
    config = {
        "architectures": [name], "model_type": model_type,
        "vocab_size": VOCAB, "hidden_size": HIDDEN, "intermediate_size": FFN,
        "num_attention_heads": HEADS, "num_key_value_heads": KV,
        "head_dim": HEAD, "num_hidden_layers": LAYERS, "hidden_act": "silu",
        "max_position_embeddings": CONTEXT, "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0, "tie_word_embeddings": False,
        "bos_token_id": 285, "eos_token_id": 287,
    }
    config.update(changes)
    return config


def shapes(config):
    """name -> shape of every tensor, as transformers saves them."""
    c = config
    name = c["architectures"][0]
    q, kv, d, f = HEADS * HEAD, KV * HEAD, HIDDEN, c["intermediate_size"]
    out = {"model.embed_tokens.weight": [VOCAB, d], "model.norm.weight": [d]}
    if not c["tie_word_embeddings"]:
        out["lm_head.weight"] = [VOCAB, d]
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}."
        att, mlp = at + "self_attn.", at + "mlp."
        every = c.get("use_bias", False)  # Ernie's key
        att_bias = c.get("attention_bias") or every
        mlp_bias = c.get("mlp_bias") or every
        qkv_bias = att_bias or name == "Qwen2ForCausalLM"
        if name == "Phi3ForCausalLM":
            out[att + "qkv_proj.weight"] = [q + 2 * kv, d]
            out[mlp + "gate_up_proj.weight"] = [2 * f, d]
        else:
            for p, n in (("q", q), ("k", kv), ("v", kv)):
                out[f"{att}{p}_proj.weight"] = [n, d]
                if qkv_bias:
                    out[f"{att}{p}_proj.bias"] = [n]
            for p in ("gate", "up"):
                out[f"{mlp}{p}_proj.weight"] = [f, d]
                if mlp_bias:
                    out[f"{mlp}{p}_proj.bias"] = [f]
        out[att + "o_proj.weight"] = [d, q]
        if att_bias:
            out[att + "o_proj.bias"] = [d]
        out[mlp + "down_proj.weight"] = [d, f]
        if mlp_bias:
            out[mlp + "down_proj.bias"] = [d]
        norms = ["input_layernorm", "post_attention_layernorm"]
        if name in ("Gemma2ForCausalLM", "Gemma3ForCausalLM"):
            norms += ["pre_feedforward_layernorm", "post_feedforward_layernorm"]
        if name == "Olmo2ForCausalLM":
            norms = ["post_attention_layernorm", "post_feedforward_layernorm"]
        for norm in norms:
            out[f"{at}{norm}.weight"] = [d]
        if name in ("Qwen3ForCausalLM", "Gemma3ForCausalLM"):
            out[att + "q_norm.weight"] = out[att + "k_norm.weight"] = [HEAD]
        if name == "Olmo2ForCausalLM":
            out[att + "q_norm.weight"] = [q]
            out[att + "k_norm.weight"] = [kv]
    return out


def on_grid(rng, count):
    """Multiples of 1/16 from -8 to 7, both ends in every 16: 4 or 8 bits hold
    them exactly, whatever the block size, with zero points and without."""
    values = []
    while len(values) < count:
        values += rng.sample([-8, 7] + [rng.randint(-8, 7) for _ in range(14)],
                             16)
    return [v / 16 for v in values[:count]]


def make_folder(folder, config, tokenizer, dtype="F32", seed=1, grid=False):
    """Writes the folder and returns name -> values as they are stored."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    rng = random.Random(seed)
    tensors, values = {}, {}
    gemma = config["model_type"].startswith("gemma")
    for name, shape in shapes(config).items():
        count = math.prod(shape)
        if "norm" in name:
            mean = 0.0 if gemma else 1.0
            drawn = [rng.gauss(mean, 0.1) for _ in range(count)]
        elif grid and len(shape) == 2:
            drawn = on_grid(rng, count)
        else:
            drawn = [rng.gauss(0, 0.25) for _ in range(count)]
        raw = pack(drawn, dtype)
        tensors[name] = (dtype, shape, raw)
        values[name] = unpack(raw, dtype)
    write_safetensors(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps(config))
    for name in ("tokenizer.json", "tokenizer_config.json",
                 "chat_template.jinja", "special_tokens_map.json"):
        shutil.copy(pathlib.Path(tokenizer) / name, folder / name)
    return values


def make_adapter(folder, config, modules, rank=2, alpha=8, seed=5, rs=False,
                 dora=False, saved=(), **changes):
    """Writes a PEFT folder; returns its tensors as they are stored."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    rng = random.Random(seed)
    every, tensors = shapes(config), {}

    def add(name, shape, mean, deviation):
        values = [rng.gauss(mean, deviation) for _ in range(math.prod(shape))]
        tensors[f"base_model.model.{name}"] = ("F32", shape,
                                               pack(values, "F32"))
    for module in modules:
        n, k = every[module + ".weight"]
        add(module + ".lora_A.weight", [rank, k], 0, 0.2)
        add(module + ".lora_B.weight", [n, rank], 0, 0.2)
        if dora:
            add(module + ".lora_magnitude_vector", [n], 1.5, 0.1)
    for name in saved:
        add(name, every[name], 1, 0.1)
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    (folder / "adapter_config.json").write_text(json.dumps({
        "peft_type": "LORA", "r": rank, "lora_alpha": alpha, "use_rslora": rs,
        "use_dora": dora, "bias": "none", "fan_in_fan_out": False,
        "target_modules": sorted({m.split(".")[-1] for m in modules}),
        "rank_pattern": {}, "alpha_pattern": {}, "layer_replication": None,
        **changes}))
    return {n[len("base_model.model."):]: unpack(raw, dtype)
            for n, (dtype, _, raw) in tensors.items()}


def merge(weights, adapter, rank=2, alpha=8, rs=False, scale=1.0):
    """What PEFT's merge_and_unload leaves (tuners/lora/layer.py, dora.py)."""
    out = dict(weights)
    scale *= alpha / (math.sqrt(rank) if rs else rank)
    for name, values in adapter.items():
        if ".lora_" not in name:
            out[name] = values
    for name in adapter:
        if not name.endswith(".lora_A.weight"):
            continue
        module = name[:-len(".lora_A.weight")]
        a, b = adapter[name], adapter[module + ".lora_B.weight"]
        k = len(a) // rank
        magnitude = adapter.get(module + ".lora_magnitude_vector")
        w = list(out[module + ".weight"])
        for i in range(len(w) // k):
            row = [w[i * k + c] + scale * sum(
                b[i * rank + r] * a[r * k + c] for r in range(rank))
                for c in range(k)]
            if magnitude:
                norm = math.sqrt(dot(row, row))
                row = [v * magnitude[i] / norm for v in row]
            w[i * k:(i + 1) * k] = row
        out[module + ".weight"] = w
    return out


# The reference.

def dot(a, b):
    return sum(map(mul, a, b))


def linear(weights, name, x, n):
    w, k = weights[name + ".weight"], len(x)
    y = [dot(w[i * k:(i + 1) * k], x) for i in range(n)]
    bias = weights.get(name + ".bias")
    return [a + b for a, b in zip(y, bias)] if bias else y


def rms_norm(x, weight, epsilon, gemma):
    scale = 1 / math.sqrt(dot(x, x) / len(x) + epsilon)
    return [v * scale * (w + 1 if gemma else w) for v, w in zip(x, weight)]


def inverse_frequencies(config, theta, scaling):
    """[size / 2] and the factor of cos and sin; modeling_rope_utils.py."""
    size = int(HEAD * config.get("partial_rotary_factor", 1.0))
    inverse = [theta ** (-j / size) for j in range(0, size, 2)]
    kind = (scaling or {}).get("rope_type", "default")
    if kind in ("default", "dynamic"):  # dynamic: not beyond the context
        return inverse, 1.0
    factor = scaling["factor"]
    if kind == "linear":
        return [v / factor for v in inverse], 1.0
    original = scaling["original_max_position_embeddings"]
    if kind == "llama3":
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        out = []
        for v in inverse:
            length = 2 * math.pi / v
            if length < original / high:
                out.append(v)
            elif length > original / low:
                out.append(v / factor)
            else:
                smooth = (original / length - low) / (high - low)
                out.append((1 - smooth) * v / factor + smooth * v)
        return out, 1.0
    assert kind == "yarn"

    def correction(rotations):
        return size * math.log(original / (rotations * 2 * math.pi)) / \
            (2 * math.log(theta))
    first = max(math.floor(correction(scaling.get("beta_fast", 32))), 0)
    last = min(math.ceil(correction(scaling.get("beta_slow", 1))), size - 1)
    out = []
    for j, v in enumerate(inverse):
        ramp = min(max((j - first) / (last - first), 0), 1)
        out.append(v / factor * ramp + v * (1 - ramp))
    return out, 0.1 * math.log(factor) + 1


def rotate(head, position, inverse, factor, neighbours):
    half = len(inverse)
    out = list(head)
    for j, step in enumerate(inverse):
        c = math.cos(position * step) * factor
        s = math.sin(position * step) * factor
        x, y = (2 * j, 2 * j + 1) if neighbours else (j, j + half)
        out[x] = head[x] * c - head[y] * s
        out[y] = head[y] * c + head[x] * s
    return out


def sliding(config, i):
    """The window of layer i, or None."""
    name, window = config["architectures"][0], config.get("sliding_window")
    if name in ("MistralForCausalLM", "Phi3ForCausalLM"):
        return window
    if name == "Gemma2ForCausalLM":
        return window if (i + 1) % 2 else None
    if name == "Gemma3ForCausalLM":
        return window if (i + 1) % config["sliding_window_pattern"] else None
    if not config.get("use_sliding_window"):
        return None
    if name == "SmolLM3ForCausalLM":
        return None if (i + 1) % 4 else window
    return window if i >= config["max_window_layers"] else None


def attention(config, w, i, xs):
    """xs: normed inputs of all positions -> outputs before the residual."""
    c, name = config, config["architectures"][0]
    at = f"model.layers.{i}.self_attn."
    eps, gemma = c["rms_norm_eps"], c["model_type"].startswith("gemma")
    window = sliding(c, i)
    theta, scaling = c["rope_theta"], c.get("rope_scaling")
    if name == "Gemma3ForCausalLM" and window:
        theta, scaling = c["rope_local_base_freq"], None
    inverse, factor = inverse_frequencies(c, theta, scaling)
    rope = not (name == "SmolLM3ForCausalLM" and (i + 1) % 4 == 0)
    scale = HEAD ** -0.5
    if "query_pre_attn_scalar" in c:
        scale = c["query_pre_attn_scalar"] ** -0.5
    if "attention_multiplier" in c:
        scale = c["attention_multiplier"]
    cap = c.get("attn_logit_softcapping")
    nq, nkv = HEADS * HEAD, KV * HEAD

    def heads_of(x, count, norm, position):
        if norm and name == "Olmo2ForCausalLM":
            x = rms_norm(x, w[at + norm + ".weight"], eps, False)
        parts = [x[h * HEAD:(h + 1) * HEAD] for h in range(count)]
        if norm and at + norm + ".weight" in w and name != "Olmo2ForCausalLM":
            parts = [rms_norm(p, w[at + norm + ".weight"], eps, gemma)
                     for p in parts]
        if norm and rope:
            parts = [rotate(p, position, inverse, factor,
                            name == "Ernie4_5ForCausalLM") for p in parts]
        return parts

    q, k, v = [], [], []
    for position, x in enumerate(xs):
        if name == "Phi3ForCausalLM":
            packed = linear(w, at + "qkv_proj", x, nq + 2 * nkv)
            a, b, d = packed[:nq], packed[nq:nq + nkv], packed[nq + nkv:]
        else:
            a, b, d = (linear(w, f"{at}{p}_proj", x, n)
                       for p, n in (("q", nq), ("k", nkv), ("v", nkv)))
        q.append(heads_of(a, HEADS, "q_norm", position))
        k.append(heads_of(b, KV, "k_norm", position))
        v.append(heads_of(d, KV, None, position))
    out = []
    for t in range(len(xs)):
        joined = []
        for h in range(HEADS):
            g = h * KV // HEADS
            first = max(0, t - window + 1) if window else 0
            scores = [dot(q[t][h], k[s][g]) * scale
                      for s in range(first, t + 1)]
            if cap:
                scores = [cap * math.tanh(s / cap) for s in scores]
            top = max(scores)
            e = [math.exp(s - top) for s in scores]
            total = sum(e)
            joined += [sum(e[s - first] * v[s][g][j]
                           for s in range(first, t + 1)) / total
                       for j in range(HEAD)]
        out.append(linear(w, at + "o_proj", joined, HIDDEN))
    return out


def activation(config, x):
    kind = config.get("hidden_activation") or config["hidden_act"]
    if kind == "silu":
        return x / (1 + math.exp(-x))
    if kind == "gelu":
        return x * 0.5 * (1 + math.erf(x / math.sqrt(2)))
    assert kind == "gelu_pytorch_tanh"
    return 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) *
                                    (x + 0.044715 * x ** 3)))


def mlp(config, w, i, x):
    at, f = f"model.layers.{i}.mlp.", config["intermediate_size"]
    if config["architectures"][0] == "Phi3ForCausalLM":
        both = linear(w, at + "gate_up_proj", x, 2 * f)
        gate, up = both[:f], both[f:]
    else:
        gate = linear(w, at + "gate_proj", x, f)
        up = linear(w, at + "up_proj", x, f)
    inner = [activation(config, g) * u for g, u in zip(gate, up)]
    return linear(w, at + "down_proj", inner, HIDDEN)


def forward(config, w, ids):
    """Logits [len(ids)][VOCAB]."""
    c, name = config, config["architectures"][0]
    eps, gemma = c["rms_norm_eps"], c["model_type"].startswith("gemma")
    table = w["model.embed_tokens.weight"]
    scale = math.sqrt(HIDDEN) if gemma else c.get("embedding_multiplier", 1)
    hs = [[v * scale for v in table[i * HIDDEN:(i + 1) * HIDDEN]] for i in ids]
    rest = c.get("residual_multiplier", 1)

    def norm(i, which, x):
        return rms_norm(x, w[f"model.layers.{i}.{which}.weight"], eps, gemma)

    def add(h, x):
        return [a + b * rest for a, b in zip(h, x)]

    around = name in ("Gemma2ForCausalLM", "Gemma3ForCausalLM")
    after = name == "Olmo2ForCausalLM"
    for i in range(c["num_hidden_layers"]):
        xs = hs if after else [norm(i, "input_layernorm", h) for h in hs]
        xs = attention(c, w, i, xs)
        if after or around:
            xs = [norm(i, "post_attention_layernorm", x) for x in xs]
        hs = [add(h, x) for h, x in zip(hs, xs)]
        before = "pre_feedforward_layernorm" if around else \
            "post_attention_layernorm"
        xs = hs if after else [norm(i, before, h) for h in hs]
        xs = [mlp(c, w, i, x) for x in xs]
        if after or around:
            xs = [norm(i, "post_feedforward_layernorm", x) for x in xs]
        hs = [add(h, x) for h, x in zip(hs, xs)]
    head = {"head.weight": w.get("lm_head.weight", table)}
    logits = []
    for h in hs:
        x = rms_norm(h, w["model.norm.weight"], eps, gemma)
        y = [v / c.get("logits_scaling", 1)
             for v in linear(head, "head", x, VOCAB)]
        cap = c.get("final_logit_softcapping")
        logits.append([cap * math.tanh(v / cap) for v in y] if cap else y)
    return logits


FAMILIES = {
    "llama": base_config("LlamaForCausalLM", "llama"),
    "llama-biases": base_config("LlamaForCausalLM", "llama",
                                attention_bias=True, mlp_bias=True,
                                hidden_act="gelu"),
    "llama-linear": base_config(
        "LlamaForCausalLM", "llama",
        rope_scaling={"rope_type": "linear", "factor": 4.0}),
    "llama-dynamic": base_config(
        "LlamaForCausalLM", "llama",
        rope_scaling={"rope_type": "dynamic", "factor": 2.0}),
    "llama-llama3": base_config(
        "LlamaForCausalLM", "llama", rope_scaling={
            "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 32}),
    "llama-yarn": base_config(
        "LlamaForCausalLM", "llama", rope_scaling={
            "rope_type": "yarn", "factor": 4.0,
            "original_max_position_embeddings": 16}),
    "mistral": base_config("MistralForCausalLM", "mistral", sliding_window=5),
    "mistral-full": base_config("MistralForCausalLM", "mistral",
                                sliding_window=None),
    "qwen2": base_config("Qwen2ForCausalLM", "qwen2", sliding_window=4,
                         use_sliding_window=True, max_window_layers=2),
    "qwen2-tied": base_config("Qwen2ForCausalLM", "qwen2", sliding_window=4,
                              use_sliding_window=False, max_window_layers=2,
                              tie_word_embeddings=True),
    "qwen3": base_config("Qwen3ForCausalLM", "qwen3", rms_norm_eps=1e-6),
    "phi3": base_config("Phi3ForCausalLM", "phi3", sliding_window=6,
                        original_max_position_embeddings=CONTEXT),
    "phi3-partial": base_config("Phi3ForCausalLM", "phi3", sliding_window=None,
                                original_max_position_embeddings=CONTEXT,
                                partial_rotary_factor=0.5),
    "ernie": base_config("Ernie4_5ForCausalLM", "ernie4_5", use_bias=True,
                         rope_theta=5e5, tie_word_embeddings=True),
    "gemma": base_config("GemmaForCausalLM", "gemma",
                         hidden_act="gelu_pytorch_tanh",
                         tie_word_embeddings=True),
    "gemma2": base_config(
        "Gemma2ForCausalLM", "gemma2", hidden_activation="gelu_pytorch_tanh",
        tie_word_embeddings=True, sliding_window=4, query_pre_attn_scalar=24,
        attn_logit_softcapping=2.0, final_logit_softcapping=3.0),
    "gemma3": base_config(
        "Gemma3ForCausalLM", "gemma3_text",
        hidden_activation="gelu_pytorch_tanh", tie_word_embeddings=True,
        sliding_window=4, sliding_window_pattern=3, query_pre_attn_scalar=24,
        rope_theta=1e6, rope_local_base_freq=100.0,
        rope_scaling={"rope_type": "linear", "factor": 8.0}),
    "smollm3": base_config("SmolLM3ForCausalLM", "smollm3",
                           tie_word_embeddings=True,
                           use_sliding_window=False),
    "granite": base_config(
        "GraniteForCausalLM", "granite", attention_multiplier=0.3,
        embedding_multiplier=6.0, residual_multiplier=0.4, logits_scaling=5.0),
    "olmo2": base_config("Olmo2ForCausalLM", "olmo2"),
}
