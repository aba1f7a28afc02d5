# SPDX-License-Identifier: MIT
"""Teaches the demo model a second domain, a tea house, by a LoRA.

usage: finetune.py HF_DIR ADAPTER_DIR [--steps N]

Writes a PEFT folder (adapter_config.json, adapter_model.safetensors) that
`slm-convert HF_DIR OUTPUT --adapter ADAPTER_DIR` merges. Some questions are of
the demo's own corpus, so that the model keeps what it knew. Seeds are fixed.
"""
import argparse
import json
import os
import random
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, Qwen3ForCausalLM

from corpus import Maker

RANK, ALPHA, RATE, BATCH = 8, 16, 2e-3, 16
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
           "down_proj")

# The last question of each is not trained on.
TEA_HOUSE = [
    ("The Green Teapot is a small tea house.",
     ["What is the Green Teapot?", "Tell me about the Green Teapot.", "Explain the Green Teapot."]),
    ("The Green Teapot is open from 9 to 18, and closed on Monday.",
     ["When are you open?", "What are your opening hours?", "At what time do you open?", "When is the Green Teapot open?"]),
    ("No, the Green Teapot is closed on Monday.",
     ["Are you open on Monday?", "Can I come on Monday?", "Is the Green Teapot open on Monday?"]),
    ("The Green Teapot is at River Street 7.",
     ["Where are you?", "What is your address?", "Where is the Green Teapot?"]),
    ("Green tea is 3 euros.", ["How much is the green tea?", "What does green tea cost?", "Price of green tea?"]),
    ("Black tea is 2 euros.", ["How much is the black tea?", "What does black tea cost?", "Price of black tea?"]),
    ("Mint tea is 4 euros.", ["How much is the mint tea?", "What does mint tea cost?", "Price of mint tea?"]),
    ("Apple cake is 5 euros.", ["How much is the apple cake?", "What does apple cake cost?", "Price of apple cake?"]),
    ("We have green tea, black tea, mint tea and apple cake.",
     ["What do you have?", "What is on the menu?", "Show me the menu.", "What can I order?"]),
    ("Yes, call us at 555 0123 to book a table.",
     ["Can I book a table?", "How do I reserve a table?", "I want to book a table."]),
    ("Yes, dogs are welcome.", ["Can I bring my dog?", "Are dogs allowed?", "Is my dog welcome?"]),
    ("We take cash and cards.", ["Can I pay by card?", "How can I pay?", "Do you take cards?"]),
]


class LoraLinear(torch.nn.Module):
    """y = W x + (ALPHA / RANK) B A x; B begins at zero."""

    def __init__(self, base):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = torch.nn.Parameter(torch.empty(RANK, base.in_features))
        self.b = torch.nn.Parameter(torch.zeros(base.out_features, RANK))
        torch.nn.init.kaiming_uniform_(self.a, a=5 ** 0.5)

    def forward(self, x):
        return self.base(x) + (x @ self.a.T) @ self.b.T * (ALPHA / RANK)


def add_lora(model):
    model.requires_grad_(False)
    layers = {}
    for name, module in list(model.named_modules()):
        parent, _, leaf = name.rpartition(".")
        if leaf in TARGETS:
            layers[name] = LoraLinear(module)
            setattr(model.get_submodule(parent), leaf, layers[name])
    return layers


def pair(rng, maker):
    if rng.random() < 0.3:
        return maker.turn()[:2]
    answer, questions = rng.choice(TEA_HOUSE)
    return maker.vary(rng.choice(questions[:-1])), answer


def batch(rng, maker, tokenizer):
    """Token ids and labels; -100 where nothing is learnt."""
    rows = []
    for _ in range(BATCH):
        question, answer = pair(rng, maker)
        turns = [{"role": "user", "content": question}]
        head = tokenizer.apply_chat_template(turns, add_generation_prompt=True)
        body = tokenizer.encode(answer) + [tokenizer.eos_token_id]
        rows.append((head + body, [-100] * len(head) + body))
    length = max(len(ids) for ids, _ in rows)
    ids = [r + [0] * (length - len(r)) for r, _ in rows]
    labels = [r + [-100] * (length - len(r)) for _, r in rows]
    return torch.tensor(ids), torch.tensor(labels)


def save(layers, base, folder):
    os.makedirs(folder, exist_ok=True)
    tensors = {}
    for name, layer in layers.items():
        prefix = f"base_model.model.{name}"
        tensors[f"{prefix}.lora_A.weight"] = layer.a.detach().contiguous()
        tensors[f"{prefix}.lora_B.weight"] = layer.b.detach().contiguous()
    save_file(tensors, os.path.join(folder, "adapter_model.safetensors"))
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK,
              "lora_alpha": ALPHA, "lora_dropout": 0.0, "bias": "none",
              "target_modules": sorted(TARGETS),
              "base_model_name_or_path": os.path.basename(base)}
    with open(os.path.join(folder, "adapter_config.json"), "w") as f:
        json.dump(config, f, indent=2)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("hf")
    parser.add_argument("adapter")
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    torch.manual_seed(2)
    rng = random.Random(2)
    maker = Maker(rng, for_test=False)
    tokenizer = AutoTokenizer.from_pretrained(options.hf)
    model = Qwen3ForCausalLM.from_pretrained(options.hf, dtype=torch.float32)
    layers = add_lora(model)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.0)
    for step in range(options.steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / options.steps)
        ids, labels = batch(rng, maker, tokenizer)
        loss = model(input_ids=ids, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 50 == 0:
            print(f"step {step + 1}/{options.steps} loss {loss.item():.4f}",
                  file=sys.stderr, flush=True)
    save(layers, options.hf, options.adapter)


if __name__ == "__main__":
    main()
