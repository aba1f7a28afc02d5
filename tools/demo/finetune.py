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
import re
import sys

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, Qwen3ForCausalLM

from corpus import Maker, bare
from guide import FRAMES, Fact

RANK, ALPHA, RATE, BATCH = 8, 16, 2e-3, 16
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj",
           "down_proj")

# As guide.py has its facts: the last question of each is not trained on.
TEA_HOUSE = [Fact(*fact) for fact in (
    ("house", "tea house", "The Green Teapot is a small tea house.",
     dict(ask="What kind of place is this?|What sort of shop is it?|Is this a restaurant?|What kind of place is the Green Teapot?",
          what="the Green Teapot|this place|this shop|this tea house")),
    ("hours", "9 to 18", "The Green Teapot is open from 9 to 18, and closed on Monday.",
     dict(ask="When are you open?|What are your opening hours?|At what time do you open?|When do you close?|Are you open now?|When does the Green Teapot open?|Until when is the Green Teapot open today?|When is the Green Teapot open?",
          flag="the opening hours|your hours|the closing time")),
    ("monday", "closed on Monday", "No, the Green Teapot is closed on Monday.",
     dict(ask="Are you open on Monday?|Can I come on Monday?|Do you open on Mondays?|Is Monday fine?|Shall we meet there on Monday?|Does the Green Teapot open on Monday?|Is the Green Teapot closed on Monday?|Is the Green Teapot open on Monday?",
          do="come on Monday|visit you on Monday|drink tea on Monday")),
    ("address", "River Street 7", "The Green Teapot is at River Street 7.",
     dict(ask="Where are you?|What is your address?|In which street are you?|Where is your shop?|Where can I find the Green Teapot?|In which street is the Green Teapot?|Where is the Green Teapot?",
          do="find you|find the tea house|come to you|get to the Green Teapot", flag="your address|the address|the way to you")),
    ("green", "3 euros", "Green tea is 3 euros.",
     dict(ask="How much is the green tea?|What does green tea cost?|How much is a cup of green tea?|Price of green tea?",
          flag="green tea|the price of green tea|a cup of green tea")),
    ("black", "2 euros", "Black tea is 2 euros.",
     dict(ask="How much is the black tea?|What does black tea cost?|How much is a cup of black tea?|Price of black tea?",
          flag="black tea|the price of black tea|a cup of black tea")),
    ("mint", "4 euros", "Mint tea is 4 euros.",
     dict(ask="How much is the mint tea?|What does mint tea cost?|How much is a cup of mint tea?|Price of mint tea?",
          flag="mint tea|the price of mint tea|a cup of mint tea")),
    ("cake", "5 euros", "Apple cake is 5 euros.",
     dict(ask="How much is the apple cake?|What does apple cake cost?|How much is a piece of cake?|Price of apple cake?",
          flag="apple cake|the price of apple cake|a piece of cake|cake")),
    ("menu", "mint tea and apple cake", "We have green tea, black tea, mint tea and apple cake.",
     dict(ask="What do you have?|What is on the menu?|Show me the menu.|Which teas are there?|What can I drink?|What does the Green Teapot have?|What can I order?",
          do="see the menu|order something|drink something|eat something", flag="the menu|a list of teas|tea|drinks")),
    ("table", "555 0123", "Yes, call us at 555 0123 to book a table.",
     dict(ask="Can I book a table?|How do I reserve a table?|Do I need a reservation?|What is your phone number?|Can I book a table at the Green Teapot?|I want to book a table.",
          do="book a table|reserve a table|make a reservation|call you", flag="a reservation|a table|your phone number")),
    ("dogs", "dogs are welcome", "Yes, dogs are welcome.",
     dict(ask="Can I bring my dog?|Are dogs allowed?|Do you like dogs?|May my dog come in?|Are dogs allowed in the Green Teapot?|Is my dog welcome?",
          do="bring my dog|come with a dog|take my puppy along")),
    ("pay", "cash and cards", "We take cash and cards.",
     dict(ask="Can I pay by card?|How can I pay?|Do you take cash?|Which cards do you accept?|Can I pay by card in the Green Teapot?|Do you take cards?",
          do="pay|pay by card|pay cash|use my credit card", flag="payment|card payment")),
)]
# Nobody asks a tea house for a flag.
FRAMES_HERE = {kind: [f for f in frames
                      if not re.search("flag|option|setting|command|slm|type",
                                       f)]
               for kind, frames in FRAMES.items()}
HELD_OUT = {bare(fact.other_words) for fact in TEA_HOUSE}


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
    fact = rng.choice(TEA_HOUSE)
    while True:
        question = rng.choice(fact.questions) if rng.random() < 0.4 else \
            fact.framed(rng, FRAMES_HERE)
        if bare(question) not in HELD_OUT:
            return maker.vary(question), fact.answer


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
