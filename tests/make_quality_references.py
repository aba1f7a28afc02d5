#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Perplexity and divergence of models by numpy on onnxruntime's logits, as the
tables of tests/tools/bench_quality_test.cc. All run with float32 activations.

usage: make_quality_references.py DATA SHARED     tests/data, shared fixtures

  pip install numpy==2.4.6 onnx==1.23.2 onnxruntime==1.31.1 tokenizers==0.22.2
"""
import json
import pathlib
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
import tokenizers


def logits_of(folder, windows):
    """Float32 logits [T, V] of each window. No accuracy_level: float32
    activations; plain caches, which need no buffer of onnxruntime-genai."""
    model = onnx.load(folder / "model.onnx")
    for node in model.graph.node:
        for attribute in list(node.attribute):
            if attribute.name in ("sliding_window_cache", "accuracy_level"):
                node.attribute.remove(attribute)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name) / "model.onnx"
        onnx.save(model, path)
        run = onnxruntime.InferenceSession(str(path), options)
    decoder = json.loads(
        (folder / "genai_config.json").read_text())["model"]["decoder"]
    shape = (1, decoder["num_key_value_heads"], 0, decoder["head_size"])
    out = []
    for ids in windows:
        feed = {"input_ids": np.array([ids], np.int64),
                "attention_mask": np.ones((1, len(ids)), np.int64),
                "position_ids": np.arange(len(ids), dtype=np.int64)[None]}
        feed = {v.name: feed[v.name] if v.name in feed
                else np.zeros(shape, np.float32) for v in run.get_inputs()}
        out.append(run.run(["logits"], feed)[0][0])
    return out


def log_softmax(logits):
    x = logits.astype(np.float64)
    x -= x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def tokenize(folder, text):
    """Ids, which of them the text spells, and the BOS or -1. Control tokens
    that the text spells out are plain text."""
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    encoding = tokenizer.encode(text)
    added = encoding.special_tokens_mask
    bos = encoding.ids[0] if added[0] else -1
    # Bytes by the last token that touches each character: offsets count
    # characters.
    spelt = np.zeros(len(encoding.ids), np.int64)
    last = {}
    for i, (begin, end) in enumerate(encoding.offsets):
        if added[i]:
            continue
        for c in range(begin, end):
            last[c] = i
    for c, i in last.items():
        spelt[i] += len(text[c].encode())
    assert spelt.sum() == len(text.encode()), "a character belongs to no token"
    return encoding.ids, spelt, bos


def cut(ids, window, stride, bos):
    """[(tokens, begin, first scored)]: llama-perplexity's windows (tools/
    perplexity/perplexity.cpp), or Hugging Face's sliding ones."""
    if stride == 0:
        out = []
        for begin in range(0, len(ids) // window * window, window):
            tokens = list(ids[begin:begin + window])
            if bos >= 0:
                tokens[0] = bos
            out.append((tokens, begin, window // 2 + 1))
        return out
    out, before = [], 0
    for begin in range(0, len(ids), stride):
        end = min(begin + window, len(ids))
        # The label shift passes over a window's first token.
        out.append((list(ids[begin:end]), begin,
                    max(end - begin - (end - before), 1)))
        before = end
        if end == len(ids):
            break
    return out


def rows_of(folder, text, window, stride):
    ids, spelt, bos = tokenize(folder, text)
    windows = cut(ids, window, stride, bos)
    rows, targets, scored_bytes = [], [], 0
    for logits, (tokens, begin, first) in zip(
            logits_of(folder, [w[0] for w in windows]), windows):
        rows.append(log_softmax(logits)[first - 1:-1])
        targets += tokens[first:]
        scored_bytes += spelt[begin + first:begin + len(tokens)].sum()
    return np.concatenate(rows), np.array(targets), int(scored_bytes), len(ids)


def perplexity(name, folder, text, window, stride):
    rows, targets, scored_bytes, tokens = rows_of(folder, text, window, stride)
    nll = -rows[np.arange(len(targets)), targets]
    ppl = np.exp(nll.mean())
    error = ppl * nll.std(ddof=1) / np.sqrt(len(nll))
    bits = nll.sum() / np.log(2) / scored_bytes
    print(f'    {{"{name}", {window}, {stride}, {tokens}, {len(nll)}, '
          f'{scored_bytes}, {ppl:.8g}, {error:.8g}, {bits:.8g}}},')


def divergence(reference, name, base, other, text, window):
    """Of the whole vocabulary, and of the top 64 with the rest as one."""
    p, targets, _, _ = rows_of(base, text, window, 0)
    q, _, _, _ = rows_of(other, text, window, 0)
    kl = (np.exp(p) * (p - q)).sum(-1)
    for rows in (p, q):  # the same best token in any order of sums
        best = np.sort(rows, axis=-1)
        assert (best[:, -1] - best[:, -2]).min() > 2e-4
    order = np.argsort(-p, axis=-1, kind="stable")
    top, rest = order[:, :64], order[:, 64:]

    def take(x, at):
        return np.take_along_axis(x, at, -1)
    pt, qt = take(p, top), take(q, top)
    pr = np.exp(take(p, rest)).sum(-1)
    qr = np.exp(take(q, rest)).sum(-1)
    short = (np.exp(pt) * (pt - qt)).sum(-1) + pr * np.log(pr / qr)
    at = np.arange(len(targets))
    pn, qn = p[at, targets], q[at, targets]

    def figures(kl):
        return ", ".join(f"{v:.8g}" for v in (
            kl.mean(), kl.std(ddof=1) / np.sqrt(len(kl)), np.median(kl),
            np.percentile(kl, 95), np.percentile(kl, 99), kl.max()))
    top1 = (p.argmax(-1) == q.argmax(-1)).mean()
    print(f'    {{"{reference}", "{name}", {window}, {len(kl)},\n'
          f'     {{{figures(kl)}}},\n     {{{figures(short)}}},\n'
          f'     {top1:.8g}, {np.exp((pn - qn).mean()):.8g}, '
          f'{np.abs(np.exp(pn) - np.exp(qn)).mean():.8g}}},')


def main():
    data, shared = map(pathlib.Path, sys.argv[1:3])
    text = (data / "quality" / "text.txt").read_bytes().decode()
    models = shared / "fixtures" / "models"
    print("perplexities:")
    for window, stride in ((64, 0), (64, 24)):
        perplexity("tiny-model", data / "tiny-model", text, window, stride)
    for name in ("qwen2-tied/onnx-fp32", "llama3-rope/onnx-fp32",
                 "qwen2-tied/onnx-int4"):
        for window, stride in ((64, 0), (65, 0), (64, 24), (64, 64)):
            perplexity(name, models / name, text, window, stride)
    # A sliding window and byte pieces; rope that changes with the length.
    for name in ("gemma3/onnx-fp32", "phi4-longrope/onnx-fp32"):
        for window, stride in ((160, 0), (200, 50)):
            perplexity(name, models / name, text, window, stride)
    print("divergences:")
    for base, other in (("qwen2-tied/onnx-fp32", "qwen2-tied/onnx-int4"),
                        ("llama3-rope/onnx-fp32", "llama3-rope/onnx-int4")):
        divergence(base, other, models / base, models / other, text, 64)


if __name__ == "__main__":
    main()
