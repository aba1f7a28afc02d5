#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A Hugging Face folder out of the demo model's int4 weights, as training's
last line writes it, so that tests convert a model that answers questions
without PyTorch. Plain Python; shapes are those that the folder says.

usage: demo_hf.py tools/demo/model OUTPUT
"""
import json
import math
import pathlib
import shutil
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import hf_models  # noqa: E402
import packed_models  # noqa: E402

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
             "special_tokens_map.json", "generation_config.json")


def float_attribute(onnx, node, name):
    for a in packed_models.every(onnx.nodes[node], 5):
        if packed_models.first(a, 1).decode() == name:
            return struct.unpack("<f", packed_models.first(a, 2))[0]
    raise KeyError(name)


def rope_theta(onnx, half):
    """Row 1 of the tables is the angle theta^(-i / half) of pair i."""
    cos, sin = (onnx.floats(n)[half + 1] for n in ("cos_cache", "sin_cache"))
    return float(f"{math.atan2(sin, cos) ** -half:.4g}")


def config_of(onnx, genai):
    model = genai["model"]
    decoder = model["decoder"]
    return {
        "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3",
        "vocab_size": model["vocab_size"],
        "hidden_size": decoder["hidden_size"],
        "intermediate_size": onnx.attributes(
            "/model/layers.0/mlp/gate_proj/MatMul_Q4")["N"],
        "num_hidden_layers": decoder["num_hidden_layers"],
        "num_attention_heads": decoder["num_attention_heads"],
        "num_key_value_heads": decoder["num_key_value_heads"],
        "head_dim": decoder["head_size"], "hidden_act": "silu",
        "rms_norm_eps": round(float_attribute(
            onnx, "/model/layers.0/input_layernorm/LayerNorm", "epsilon"), 9),
        "rope_theta": rope_theta(onnx, decoder["head_size"] // 2),
        "max_position_embeddings": model["context_length"],
        "attention_bias": False, "tie_word_embeddings": True,
        "eos_token_id": model["eos_token_id"],
        "pad_token_id": model["pad_token_id"], "torch_dtype": "float32"}


def tensors_of(onnx, c):
    """name -> (safetensors type, shape, bytes)."""
    out = {}

    def matrix(name, values, columns):
        out[name + ".weight"] = ("F32", [len(values) // columns, columns],
                                 struct.pack(f"<{len(values)}f", *values))

    def norm(name, source):
        raw = onnx.bytes(source + ".weight")
        out[name + ".weight"] = ("F32", [len(raw) // 4], raw)

    def product(node):
        values, a = onnx.weights(node + "/MatMul_Q4")
        return values, a["K"]

    matrix("model.embed_tokens", *product("/lm_head"))
    heads, kv = c["num_attention_heads"], c["num_key_value_heads"]
    for i in range(c["num_hidden_layers"]):
        at, node = f"model.layers.{i}.", f"/model/layers.{i}/"
        values, k = product(node + "attn/qkv_proj")
        end = 0
        for part, count in (("q", heads), ("k", kv), ("v", kv)):
            begin, end = end, end + count * c["head_dim"] * k
            matrix(f"{at}self_attn.{part}_proj", values[begin:end], k)
        matrix(at + "self_attn.o_proj", *product(node + "attn/o_proj"))
        for part in ("gate_proj", "up_proj", "down_proj"):
            matrix(f"{at}mlp.{part}", *product(f"{node}mlp/{part}"))
        for part in ("q", "k"):
            norm(f"{at}self_attn.{part}_norm", f"{at}attn.{part}_norm.layernorm")
        for part in ("input_layernorm", "post_attention_layernorm"):
            norm(at + part, at + part)
    norm("model.norm", f"model.layers.{c['num_hidden_layers']}"
                       ".final_norm_layernorm")
    return out


def make_folder(source, folder):
    source, folder = pathlib.Path(source), pathlib.Path(folder)
    folder.mkdir(parents=True)
    onnx = packed_models.Onnx(source)
    config = config_of(onnx, json.loads(
        (source / "genai_config.json").read_text()))
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    hf_models.write_safetensors(folder / "model.safetensors",
                                tensors_of(onnx, config))
    for name in TOKENIZER:
        shutil.copy(source / name, folder / name)


if __name__ == "__main__":
    make_folder(*sys.argv[1:3])
