# SPDX-License-Identifier: MIT
"""Tiny Hugging Face folders of the families whose references transformers has
computed (tests/make_hf_references.py): configs and weights.

Weights come from random.Random(seed).random() alone, which Python promises to
keep, so that both programs make the same ones.
"""
import json
import pathlib
import random
import shutil
import struct

VOCAB, CONTEXT, HEAD = 288, 64, 16
IDS = [285, 12, 250, 3, 3, 77, 140, 9, 201, 33, 60, 5, 118, 42]
ROWS = [0, 5, 13]  # of the logits, that are committed
STEPS = 12  # greedy tokens after IDS


def config(name, model_type, **changes):
    out = {
        "architectures": [name], "model_type": model_type,
        "vocab_size": VOCAB, "hidden_size": 32, "intermediate_size": 48,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": HEAD,
        "num_hidden_layers": 2, "max_position_embeddings": CONTEXT,
        "rope_theta": 10000.0, "tie_word_embeddings": False,
        "bos_token_id": 285, "eos_token_id": 287, "pad_token_id": 287,
    }
    out.update(changes)
    return {k: v for k, v in out.items() if v is not None}


YARN = {"rope_type": "yarn", "factor": 4.0, "beta_fast": 4.0, "beta_slow": 1.0,
        "truncate": False, "original_max_position_embeddings": 16}
GPT_OSS = {
    "hidden_act": "silu", "rms_norm_eps": 1e-5, "attention_bias": True,
    "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 5,
    "layer_types": ["sliding_attention", "full_attention"],
    "rope_theta": 150000.0, "rope_scaling": YARN}
QWEN3_MOE = {
    "hidden_act": "silu", "rms_norm_eps": 1e-6, "num_experts": 6,
    "num_experts_per_tok": 2, "moe_intermediate_size": 16,
    "decoder_sparse_step": 1, "mlp_only_layers": []}
LFM2 = {
    "norm_eps": 1e-5, "conv_L_cache": 3, "conv_bias": False, "head_dim": None,
    "hidden_size": 64, "block_auto_adjust_ff_dim": False,
    "tie_word_embeddings": True, "rope_theta": 1000000.0,
    "num_hidden_layers": 3, "layer_types": ["conv", "full_attention", "conv"]}

FAMILIES = {
    "gpt-oss": config("GptOssForCausalLM", "gpt_oss", **GPT_OSS),
    "gpt-oss-mxfp4": config(
        "GptOssForCausalLM", "gpt_oss", **{
            **GPT_OSS, "intermediate_size": 64, "quantization_config": {
                "quant_method": "mxfp4",
                "modules_to_not_convert": ["lm_head"]}}),
    "qwen3-moe": config("Qwen3MoeForCausalLM", "qwen3_moe",
                        norm_topk_prob=True, **QWEN3_MOE),
    "qwen3-moe-dense": config(
        "Qwen3MoeForCausalLM", "qwen3_moe", norm_topk_prob=False,
        **{**QWEN3_MOE, "num_hidden_layers": 4, "decoder_sparse_step": 2,
           "mlp_only_layers": [1]}),
    "phi": config("PhiForCausalLM", "phi", hidden_act="gelu_new",
                  layer_norm_eps=1e-5, partial_rotary_factor=0.5,
                  hidden_size=128, head_dim=None, num_key_value_heads=4),
    "olmo": config("OlmoForCausalLM", "olmo", hidden_act="silu",
                   hidden_size=64, head_dim=None, clip_qkv=0.6),
    "olmo-free": config("OlmoForCausalLM", "olmo", hidden_act="silu",
                        hidden_size=64, head_dim=None, clip_qkv=None,
                        tie_word_embeddings=True),
    "nemotron": config("NemotronForCausalLM", "nemotron", hidden_act="relu2",
                       norm_eps=1e-5, head_dim=32, partial_rotary_factor=0.5),
    "lfm2": config("Lfm2ForCausalLM", "lfm2", **LFM2),
    "lfm2-biases": config("Lfm2ForCausalLM", "lfm2", **{
        **LFM2, "conv_bias": True, "conv_L_cache": 4,
        "block_auto_adjust_ff_dim": True, "block_multiple_of": 8,
        "block_ffn_dim_multiplier": 1.3, "layer_types": None,
        "full_attn_idxs": [0, 2]}),
    "mixtral": config("MixtralForCausalLM", "mixtral", hidden_act="silu",
                      rms_norm_eps=1e-5, num_local_experts=4,
                      num_experts_per_tok=2, sliding_window=None),
}


def ffn_of(c):
    """LFM2's own arithmetic (Lfm2MLP)."""
    f = c["intermediate_size"]
    if not c.get("block_auto_adjust_ff_dim"):
        return f
    f = int(c["block_ffn_dim_multiplier"] * int(2 * f / 3))
    multiple = c["block_multiple_of"]
    return multiple * ((f + multiple - 1) // multiple)


def attention_shapes(c, at):
    name, d = c["architectures"][0], c["hidden_size"]
    head = c.get("head_dim") or d // c["num_attention_heads"]
    q = c["num_attention_heads"] * head
    kv = c["num_key_value_heads"] * head
    o = {"PhiForCausalLM": "dense", "Lfm2ForCausalLM": "out_proj"}.get(
        name, "o_proj")
    out = {}
    for part, n, k in (("q_proj", q, d), ("k_proj", kv, d), ("v_proj", kv, d),
                       (o, d, q)):
        out[f"{at}{part}.weight"] = [n, k]
        if name in ("GptOssForCausalLM", "PhiForCausalLM"):
            out[f"{at}{part}.bias"] = [n]
    if name == "GptOssForCausalLM":
        out[at + "sinks"] = [c["num_attention_heads"]]
    norms = {"Qwen3MoeForCausalLM": ("q_norm", "k_norm"),
             "Lfm2ForCausalLM": ("q_layernorm", "k_layernorm")}.get(name, ())
    for norm in norms:
        out[f"{at}{norm}.weight"] = [head]
    return out


def experts_shapes(c, at):
    d = c["hidden_size"]
    if c["architectures"][0] == "GptOssForCausalLM":
        e, f = c["num_local_experts"], c["intermediate_size"]
        out = {at + "mlp.router.weight": [e, d], at + "mlp.router.bias": [e]}
        for part, n, k in (("gate_up_proj", 2 * f, d), ("down_proj", d, f)):
            base = f"{at}mlp.experts.{part}"
            out[base + "_bias"] = [e, n]
            if "quantization_config" in c:
                out[base + "_blocks"] = [e, n, k // 32, 16]
                out[base + "_scales"] = [e, n, k // 32]
            else:
                out[base] = [e, k, n]
        return out
    if c["architectures"][0] == "MixtralForCausalLM":
        at, f, e = at + "block_sparse_moe.", c["intermediate_size"], \
            c["num_local_experts"]
        names = ("w1", "w3", "w2")
    else:
        at, f, e = at + "mlp.", c["moe_intermediate_size"], c["num_experts"]
        names = ("gate_proj", "up_proj", "down_proj")
    out = {at + "gate.weight": [e, d]}
    for i in range(e):
        for part, shape in zip(names, ([f, d], [f, d], [d, f])):
            out[f"{at}experts.{i}.{part}.weight"] = shape
    return out


def mlp_shapes(c, at):
    name, d, f = c["architectures"][0], c["hidden_size"], ffn_of(c)
    if name == "PhiForCausalLM":
        return {at + "mlp.fc1.weight": [f, d], at + "mlp.fc1.bias": [f],
                at + "mlp.fc2.weight": [d, f], at + "mlp.fc2.bias": [d]}
    if name == "NemotronForCausalLM":
        return {at + "mlp.up_proj.weight": [f, d],
                at + "mlp.down_proj.weight": [d, f]}
    if name == "Lfm2ForCausalLM":
        return {at + "feed_forward.w1.weight": [f, d],
                at + "feed_forward.w3.weight": [f, d],
                at + "feed_forward.w2.weight": [d, f]}
    return {at + "mlp.gate_proj.weight": [f, d],
            at + "mlp.up_proj.weight": [f, d],
            at + "mlp.down_proj.weight": [d, f]}


def conv_shapes(c, at):
    d = c["hidden_size"]
    out = {at + "in_proj.weight": [3 * d, d],
           at + "conv.weight": [d, 1, c["conv_L_cache"]],
           at + "out_proj.weight": [d, d]}
    if c["conv_bias"]:
        for part, n in (("in_proj", 3 * d), ("conv", d), ("out_proj", d)):
            out[f"{at}{part}.bias"] = [n]
    return out


def has_experts(c, i):
    name = c["architectures"][0]
    if name != "Qwen3MoeForCausalLM":
        return name in ("GptOssForCausalLM", "MixtralForCausalLM")
    return i not in c["mlp_only_layers"] and \
        (i + 1) % c["decoder_sparse_step"] == 0


def is_conv(c, i):
    if c["architectures"][0] != "Lfm2ForCausalLM":
        return False
    if "layer_types" in c:
        return c["layer_types"][i] == "conv"
    return i not in c["full_attn_idxs"]


def shapes(c):
    """name -> shape of every tensor, as transformers saves them."""
    name, d = c["architectures"][0], c["hidden_size"]
    norms, last, bias = ["input_layernorm", "post_attention_layernorm"], \
        "norm", False
    if name == "PhiForCausalLM":
        norms, last, bias = ["input_layernorm"], "final_layernorm", True
    if name == "NemotronForCausalLM":
        bias = True
    if name == "Lfm2ForCausalLM":
        norms, last = ["operator_norm", "ffn_norm"], "embedding_norm"
    out = {"model.embed_tokens.weight": [VOCAB, d]}

    def add_norm(at):
        if name == "OlmoForCausalLM":
            return
        out[at + ".weight"] = [d]
        if bias:
            out[at + ".bias"] = [d]
    for i in range(c["num_hidden_layers"]):
        at = f"model.layers.{i}."
        for norm in norms:
            add_norm(at + norm)
        out.update(conv_shapes(c, at + "conv.") if is_conv(c, i) else
                   attention_shapes(c, at + "self_attn."))
        out.update(experts_shapes(c, at) if has_experts(c, i) else
                   mlp_shapes(c, at))
    add_norm("model." + last)
    if not c["tie_word_embeddings"]:
        out["lm_head.weight"] = [VOCAB, d]
        if name == "PhiForCausalLM":
            out["lm_head.bias"] = [VOCAB]
    return out


def tensors(c, grid=False):
    """name -> (safetensors type, shape, bytes); `grid`: matrices are multiples
    of 1/16 that 4 bits hold exactly, in any block and with any zero point."""
    rng, out = random.Random(1), {}
    for name, shape in shapes(c).items():
        count = 1
        for size in shape:
            count *= size
        if name.endswith(("_blocks", "_scales")):
            low, high = (0, 256) if name.endswith("_blocks") else (121, 126)
            raw = bytes(low + int(rng.random() * (high - low))
                        for _ in range(count))
            out[name] = ("U8", shape, raw)
            continue
        # Spread so that attention prefers, experts differ and caps bite.
        spread = 3.0 if "router" in name or ".gate.weight" in name else \
            2.0 if "mlp.experts" in name and "bias" not in name else 0.9
        mean = 1.0 if "norm" in name and name.endswith("weight") and \
            c["architectures"][0] != "NemotronForCausalLM" else 0.0
        if grid and len(shape) > 1 and "conv.conv" not in name and \
                not name.endswith("_bias"):
            values = []
            while len(values) < count:
                block = [-8, 7] + [int(rng.random() * 16) - 8
                                   for _ in range(14)]
                turn = int(rng.random() * 16)
                values += block[turn:] + block[:turn]
            values = [v / 16 for v in values[:count]]
            if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
                e, k, n = shape  # blocks run along k
                values = [values[(i * n + r) * k + j] for i in range(e)
                          for j in range(k) for r in range(n)]
        else:
            values = [mean + spread * (rng.random() - 0.5)
                      for _ in range(count)]
        out[name] = ("F32", shape, struct.pack(f"<{count}f", *values))
    return out


def make_folder(folder, c, tokenizer=None, grid=False):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True)
    header, data = {}, []
    at = 0
    made = tensors(c, grid)
    for name, (dtype, shape, raw) in made.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [at, at + len(raw)]}
        at += len(raw)
        data.append(raw)
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(
        struct.pack("<Q", len(text)) + text + b"".join(data))
    (folder / "config.json").write_text(json.dumps(c))
    for name in ("tokenizer.json", "tokenizer_config.json",
                 "chat_template.jinja", "special_tokens_map.json"):
        if tokenizer:
            shutil.copy(pathlib.Path(tokenizer) / name, folder / name)
    return made
