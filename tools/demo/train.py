# SPDX-License-Identifier: MIT
"""Trains the demo model: a Qwen3 of 6.8 million weights on corpus.py's text.

usage: train.py WORK_DIR [--conversations N] [--steps N] [--threads N]

WORK_DIR gets tokenizer/, corpus.jsonl, tokens.npz, checkpoint.pt and, at the
end, hf/: a Hugging Face folder for slm-convert. Run it again to go on after an
interruption: a checkpoint is written every 200 steps. Seeds are fixed. Needs
torch, transformers and numpy; slm itself never does.
"""
import argparse
import json
import math
import os
import random
import subprocess
import sys
import time

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

SEED = 1
VOCABULARY = 2048
LENGTH = 192  # tokens of a training sequence
BATCH = 24
PEAK_RATE = 2e-3
WARM_UP = 100

TEMPLATE = """{%- for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{%- endfor %}{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{%- endif %}"""

HERE = os.path.dirname(os.path.abspath(__file__))


def conversations(path):
    with open(path, encoding="utf-8") as f:
        for line in f:
            yield json.loads(line)["messages"]


def make_tokenizer(corpus, folder):
    """Byte-level BPE; each digit is a token of its own, for sums."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, show_progress=False,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    texts = (m["content"] for c in conversations(corpus) for m in c)
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>",
        pad_token="<|endoftext|>", clean_up_tokenization_spaces=False)
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)


def tokenise(corpus, folder):
    """Ids of all conversations in a row, and which of them are answers."""
    tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    start, end = (tokenizer.token_to_id(t) for t in ("<|im_start|>", "<|im_end|>"))
    newline = tokenizer.encode("\n").ids
    encoded = {}  # most texts occur often

    def encode(text):
        if text not in encoded:
            encoded[text] = tokenizer.encode(text).ids
        return encoded[text]

    starts, ids, answers = [], [], []
    for conversation in conversations(corpus):
        starts.append(len(ids))
        for message in conversation:
            role = message["role"]
            head = [start] + encode(role + "\n")
            body = encode(message["content"]) + [end]
            ids += head + body + newline
            answer = role == "assistant"
            answers += [0] * len(head) + [answer] * len(body) + [0] * len(newline)
    return (np.array(ids, np.int32), np.array(answers, np.int8),
            np.array(starts, np.int64))


def new_model():
    torch.manual_seed(SEED)
    config = Qwen3Config(
        vocab_size=VOCABULARY, hidden_size=256, intermediate_size=768,
        num_hidden_layers=8, num_attention_heads=8, num_key_value_heads=4,
        head_dim=32, max_position_embeddings=2048, tie_word_embeddings=True,
        rope_theta=10000.0, bos_token_id=None, eos_token_id=2, pad_token_id=0)
    return Qwen3ForCausalLM(config)


def rate(step, steps):
    if step < WARM_UP:
        return PEAK_RATE * (step + 1) / WARM_UP
    done = (step - WARM_UP) / max(1, steps - WARM_UP)
    return PEAK_RATE * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


def batch_of(step, ids, answers, starts):
    """Sequences that begin with a conversation, as a chat does."""
    rng = random.Random(SEED * 1000003 + step)
    last = len(ids) - LENGTH - 1
    x, keep = [], []
    while len(x) < BATCH:
        at = int(starts[rng.randrange(len(starts))])
        if at > last:
            continue
        x.append(ids[at:at + LENGTH + 1])
        keep.append(answers[at + 1:at + LENGTH + 1])
    return (torch.from_numpy(np.stack(x)).long(),
            torch.from_numpy(np.stack(keep)).bool())


def loss_of(model, x, keep):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(input_ids=x[:, :-1]).last_hidden_state
        logits = model.lm_head(hidden[keep])
    return torch.nn.functional.cross_entropy(logits.float(), x[:, 1:][keep])


def train(model, data, steps, path):
    decay = [p for p in model.parameters() if p.dim() > 1]
    rest = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": 0.05},
         {"params": rest, "weight_decay": 0.0}], betas=(0.9, 0.98))
    first = 0
    if os.path.exists(path):
        state = torch.load(path)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"]
    begin, mean = time.time(), None
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps)
        loss = loss_of(model, *batch_of(step, *data))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        mean = loss.item() if mean is None else 0.95 * mean + 0.05 * loss.item()
        done = step + 1
        if done % 20 == 0:
            speed = (done - first) * BATCH * LENGTH / (time.time() - begin)
            print(f"step {done}/{steps} loss {mean:.4f} {speed:.0f} tokens/s",
                  file=sys.stderr, flush=True)
        if done % 200 == 0 or done == steps:
            torch.save({"model": model.state_dict(), "step": done,
                        "optimizer": optimizer.state_dict()}, path + ".tmp")
            os.replace(path + ".tmp", path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("work")
    parser.add_argument("--conversations", type=int, default=150000)
    parser.add_argument("--steps", type=int, default=2200)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    os.makedirs(options.work, exist_ok=True)
    inside = lambda name: os.path.join(options.work, name)
    if not os.path.exists(inside("corpus.jsonl")):
        with open(inside("corpus.tmp"), "wb") as f:
            subprocess.run([sys.executable, os.path.join(HERE, "corpus.py"),
                            "train", str(options.conversations)],
                           stdout=f, check=True)
        os.replace(inside("corpus.tmp"), inside("corpus.jsonl"))
    if not os.path.exists(inside("tokenizer")):
        make_tokenizer(inside("corpus.jsonl"), inside("tokenizer"))
    if not os.path.exists(inside("tokens.npz")):
        data = tokenise(inside("corpus.jsonl"), inside("tokenizer"))
        np.savez(inside("tokens.npz"), *data)
    data = [np.load(inside("tokens.npz"))[f"arr_{i}"] for i in range(3)]
    model = new_model()
    print(f"{sum(p.numel() for p in model.parameters())} weights, "
          f"{len(data[0])} tokens", file=sys.stderr)
    train(model, data, options.steps, inside("checkpoint.pt"))
    model.to(torch.bfloat16).save_pretrained(inside("hf"))
    PreTrainedTokenizerFast.from_pretrained(inside("tokenizer")).save_pretrained(
        inside("hf"))


if __name__ == "__main__":
    main()
