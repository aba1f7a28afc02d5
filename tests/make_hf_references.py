#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/data/hf: what transformers computes from the tiny models of
tests/tools/hf_tiny.py, in float32 on the CPU.

NAME.f32 has the logits of hf_tiny.ROWS after the prompt hf_tiny.IDS [rows,
vocabulary]; greedy.json the tokens that a greedy decoder adds that may not
end, with the margin of each (first less second logit). Run by hand; the test that compares
slm-convert's output needs none of these packages.

  pip install torch==2.8.0 transformers==4.57.6 safetensors==0.8.0
  python3 tests/make_hf_references.py tests/data/hf [NAME...]
"""
import json
import pathlib
import sys
import tempfile

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

sys.path.insert(0, str(pathlib.Path(__file__).parent / "tools"))
import hf_tiny  # noqa: E402


def state(config):
    """transformers' state dict, with unpacked experts."""
    out, types = {}, {"F32": torch.float32, "U8": torch.uint8}
    for name, (dtype, shape, raw) in hf_tiny.tensors(config).items():
        out[name] = torch.frombuffer(bytearray(raw),
                                     dtype=types[dtype]).reshape(shape)
    for name in [n for n in out if n.endswith("_blocks")]:
        base = name[:-len("_blocks")]
        out[base] = convert_moe_packed_tensors(
            out.pop(name), out.pop(base + "_scales"), dtype=torch.float32)
    return out


def model_of(config):
    with tempfile.TemporaryDirectory() as folder:
        plain = {k: v for k, v in config.items() if k != "quantization_config"}
        path = pathlib.Path(folder) / "config.json"
        path.write_text(json.dumps(plain))
        parsed = AutoConfig.from_pretrained(folder)
    parsed._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(parsed, torch_dtype=torch.float32)
    missing, unexpected = model.load_state_dict(state(config), strict=False)
    assert not unexpected, unexpected
    assert set(missing) <= {"lm_head.weight"}, missing
    model.tie_weights()
    return model.eval()


@torch.no_grad()
def main(folder, names):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    greedy_path = folder / "greedy.json"
    greedy = json.loads(greedy_path.read_text()) if greedy_path.exists() else {}
    for name, config in hf_tiny.FAMILIES.items():
        if names and name not in names:
            continue
        model = model_of(config)
        ids, tokens, margins = list(hf_tiny.IDS), [], []
        for step in range(hf_tiny.STEPS):
            logits = model(torch.tensor([ids]), use_cache=False).logits[0]
            if step == 0:
                (folder / f"{name}.f32").write_bytes(
                    logits[hf_tiny.ROWS].numpy().astype("<f4").tobytes())
                spread = float(logits.max() - logits.min())
            logits[-1, config["eos_token_id"]] = -1e9
            top = logits[-1].topk(2)
            tokens.append(int(top.indices[0]))
            margins.append(round(float(top.values[0] - top.values[1]), 4))
            ids.append(tokens[-1])
        greedy[name] = {"tokens": tokens, "margins": margins}
        print(f"{name}: spread {spread:.3f}, least margin {min(margins)}")
    greedy_path.write_text("{\n" + ",\n".join(
        f" {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(
            greedy.items())) + "\n}\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
