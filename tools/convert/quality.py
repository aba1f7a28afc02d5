#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Mean KL divergence of quantised models from their float32 form, in nats a
token, as a Markdown table: slm-convert's algorithms beside the folders that the
real tools made. All run in onnxruntime with float32 activations.

usage: quality.py SLM_CONVERT MODELS      MODELS/NAME/{hf,eval_ids.jsonl,onnx-*}

  pip install numpy==2.3.5 onnx==1.19.1 onnxruntime==1.31.1
"""
import json
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime

OURS = [
    ("default", ["-a", "default"]),
    ("rtn", ["-a", "rtn"]),
    ("search", ["-a", "search"]),
    ("search, imatrix", ["-a", "search", "--imatrix"]),
    ("gptq", ["-a", "gptq"]),
    ("default, zero points", ["-a", "default", "--asymmetric"]),
    ("rtn, zero points", ["-a", "rtn", "--asymmetric"]),
    ("k_quant, zero points", ["-a", "k_quant"]),
    ("search, zero points", ["-a", "search", "--asymmetric"]),
    ("search, imatrix, zero points",
     ["-a", "search", "--imatrix", "--asymmetric"]),
    ("gptq, zero points", ["-a", "gptq", "--asymmetric"]),
]
# What the real tools made with 4 bits in blocks of 32, where they could.
BUILDERS = [("builder's default", "onnx-int4"),
            ("builder's rtn", "onnx-int4-rtn")]


def session(folder):
    """The model with float32 activations and plain caches, and the shape and
    type of an empty cache for each of its past inputs."""
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    for node in model.graph.node:
        for attribute in list(node.attribute):
            if attribute.name in ("sliding_window_cache", "accuracy_level"):
                node.attribute.remove(attribute)
    path = folder / "quality.onnx"
    onnx.save(model, path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    config = json.loads((folder / "genai_config.json").read_text())
    decoder = config["model"]["decoder"]
    shape = (1, decoder["num_key_value_heads"], 0, decoder["head_size"])
    return onnxruntime.InferenceSession(str(path), options), shape


def log_probabilities(folder, documents):
    run, shape = session(folder)
    rows = []
    for ids in documents:
        feed = {"input_ids": np.array([ids], np.int64),
                "attention_mask": np.ones((1, len(ids)), np.int64)}
        for value in run.get_inputs():
            if value.name.startswith("past"):
                feed[value.name] = np.zeros(shape, np.float32)
        logits = run.run(["logits"], feed)[0][0].astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        rows.append(logits - np.log(np.exp(logits).sum(-1, keepdims=True)))
    return np.concatenate(rows)


def kl(base, other):
    return float((np.exp(base) * (base - other)).sum(-1).mean())


def measure(convert, model):
    documents = [json.loads(line)["ids"] for line in
                 (model / "eval_ids.jsonl").read_text().splitlines()]
    out = {}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)

        def made(label, flags):
            # Text is sampled from the model itself: no document is seen. One
            # thread: these models are too small for more.
            subprocess.run([convert, model / "hf", folder / label, "-q", "-t",
                            "1", "--no-check", *flags], check=True,
                           stderr=subprocess.DEVNULL)
            return log_probabilities(folder / label, documents)
        base = made("fp32", ["-p", "fp32"])
        for label, flags in OURS:
            out[label] = kl(base, made(label, flags))
        for label, name in BUILDERS:
            if (model / name).exists():
                shutil.copytree(model / name, folder / name)
                out[label] = kl(base, log_probabilities(folder / name,
                                                        documents))
    return out


def main():
    convert = pathlib.Path(sys.argv[1]).resolve()
    models = [m for m in sorted(pathlib.Path(sys.argv[2]).iterdir())
              if (m / "eval_ids.jsonl").exists() and m.name != "gptoss-moe"]
    columns = {m.name: measure(convert, m) for m in models}
    print("| algorithm |", " | ".join(columns), "| geometric mean |")
    print("|---" * (len(columns) + 2) + "|")
    for label, _ in BUILDERS + OURS:
        values = [column.get(label) for column in columns.values()]
        known = [v for v in values if v is not None]
        mean = math.exp(sum(map(math.log, known)) / len(known))
        print(f"| {label} |",
              " | ".join("-" if v is None else f"{v:.4f}" for v in values),
              f"| {mean:.4f} |" if len(known) == len(values) else "| - |",
              flush=True)


if __name__ == "__main__":
    main()
