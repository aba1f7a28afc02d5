#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Time and memory of slm-convert beside the model builder and beside the disk.

usage: cost.py SLM_CONVERT TOKENIZER_DIR WORK_DIR [--shape 0.5b|1b|7b] [--sparse]
               [--builder PYTHON] [--algorithms rtn,search,...] [--keep]

Makes a Hugging Face folder of Qwen2.5's shape with random bfloat16 weights (or
zeros that take no space: --sparse), and converts it to int4. Before each run the
source leaves the page cache. "disk" reads the source and writes as many bytes as
the output has, by plain read and write of 1 MB. Memory: the peak of what is not
backed by files (RssAnon, sampled), and of all pages (VmHWM). PYTHON has torch,
transformers and onnxruntime-genai. Needs numpy unless --sparse.
"""
import argparse
import json
import os
import pathlib
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time

SHAPES = {  # hidden, ffn, layers, heads, key-value heads, vocabulary, tied
    "0.5b": (896, 4864, 24, 14, 2, 151936, True),
    "1b": (1536, 8960, 28, 12, 2, 151936, True),
    "7b": (3584, 18944, 28, 28, 4, 152064, False),
}


def tensors(shape):
    hidden, ffn, layers, heads, kv, vocab, tied = shape
    head = hidden // heads
    yield "model.embed_tokens.weight", [vocab, hidden]
    for i in range(layers):
        at = f"model.layers.{i}."
        for name, rows in (("q", heads * head), ("k", kv * head),
                           ("v", kv * head)):
            yield at + f"self_attn.{name}_proj.weight", [rows, hidden]
            yield at + f"self_attn.{name}_proj.bias", [rows]
        yield at + "self_attn.o_proj.weight", [hidden, heads * head]
        yield at + "mlp.gate_proj.weight", [ffn, hidden]
        yield at + "mlp.up_proj.weight", [ffn, hidden]
        yield at + "mlp.down_proj.weight", [hidden, ffn]
        yield at + "input_layernorm.weight", [hidden]
        yield at + "post_attention_layernorm.weight", [hidden]
    yield "model.norm.weight", [hidden]
    if not tied:
        yield "lm_head.weight", [vocab, hidden]


def values(name, dims, rng):
    """Activations stay finite: norms 1, biases 0, rows of length about 1."""
    import numpy as np
    if "norm" in name:
        floats = np.ones(dims, np.float32)
    elif len(dims) == 1:
        floats = np.zeros(dims, np.float32)
    else:
        floats = rng.standard_normal(dims, np.float32) * dims[1] ** -0.5
    return (floats.view(np.uint32) >> 16).astype(np.uint16).tobytes()


def make_source(folder, shape, tokenizer, sparse):
    hidden, ffn, layers, heads, kv, vocab, tied = shape
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in tokenizer.iterdir():
        if file.is_file():
            shutil.copyfile(file, folder / file.name)
    (folder / "config.json").write_text(json.dumps({
        "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2",
        "hidden_size": hidden, "intermediate_size": ffn,
        "num_hidden_layers": layers, "num_attention_heads": heads,
        "num_key_value_heads": kv, "vocab_size": vocab,
        "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
        "rope_theta": 1e6, "hidden_act": "silu", "torch_dtype": "bfloat16",
        "tie_word_embeddings": tied, "use_sliding_window": False,
        "max_window_layers": layers, "sliding_window": 32768,
        "bos_token_id": 151643, "eos_token_id": 151645}))
    header, at = {}, 0
    for name, dims in tensors(shape):
        size = 2
        for n in dims:
            size *= n
        header[name] = {"dtype": "BF16", "shape": dims,
                        "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(folder / "model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        if sparse:
            f.truncate(8 + len(text) + at)
            return
        import numpy as np
        rng = np.random.default_rng(0)
        for name, dims in tensors(shape):
            f.write(values(name, dims, rng))
        f.flush()
        os.fsync(f.fileno())


def forget(path):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def status(pid, field):
    try:
        for line in open(f"/proc/{pid}/status"):
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1000
    except OSError:
        pass
    return 0


def measure(command, source):
    forget(source / "model.safetensors")
    begin = time.monotonic()
    log = tempfile.TemporaryFile("w+", encoding="utf-8")  # pipes fill up
    process = subprocess.Popen([str(c) for c in command],
                               stdout=subprocess.DEVNULL, stderr=log)
    anonymous = all_pages = 0
    while process.poll() is None:
        anonymous = max(anonymous, status(process.pid, "RssAnon"))
        all_pages = max(all_pages, status(process.pid, "VmHWM"))
        time.sleep(0.01)
    seconds = time.monotonic() - begin
    log.seek(0)
    text = log.read()
    if process.returncode:
        sys.exit(f"{command}: {process.returncode}\n{text[-2000:]}")
    return seconds, anonymous, all_pages, text


def copy(source, target, size):
    """Seconds to read the source and to write `size` bytes."""
    forget(source)
    begin = time.monotonic()
    with open(source, "rb", buffering=0) as f:
        while f.read(1 << 20):
            pass
    piece = os.urandom(1 << 20)
    with open(target, "wb", buffering=0) as f:
        for _ in range(size >> 20):
            f.write(piece)
    seconds = time.monotonic() - begin
    os.unlink(target)
    return seconds


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("convert", type=pathlib.Path)
    parser.add_argument("tokenizer", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    parser.add_argument("--shape", choices=SHAPES, default="0.5b")
    parser.add_argument("--sparse", action="store_true")
    parser.add_argument("--builder", help="a Python with the model builder")
    parser.add_argument("--algorithms", default="rtn,default,search")
    parser.add_argument("--keep", action="store_true",
                        help="use the source that is there")
    args = parser.parse_args()
    source, out = args.work / f"hf-{args.shape}", args.work / "out"
    if not args.keep or not source.exists():
        make_source(source, SHAPES[args.shape], args.tokenizer, args.sparse)
    print("| | seconds | RssAnon, MB | VmHWM, MB |\n|---|---:|---:|---:|")
    size = 0
    for algorithm in args.algorithms.split(","):
        for check in ([], ["--no-check"]):
            shutil.rmtree(out, ignore_errors=True)
            seconds, anonymous, pages, text = measure(
                [args.convert, source, out, "-a", algorithm, *check], source)
            size = (out / "model.onnx.data").stat().st_size
            print(f"| slm-convert {algorithm} {' '.join(check)} | "
                  f"{seconds:.1f} | {anonymous:.0f} | {pages:.0f} |")
            for line in text.splitlines():
                if "self-check" in line:
                    print(f"    {line}")
    shutil.rmtree(out, ignore_errors=True)
    print(f"| disk | {copy(source / 'model.safetensors', args.work / 'copy', size):.1f}"
          " | | |", flush=True)
    if args.builder:
        seconds, anonymous, pages, _ = measure(
            [*shlex.split(args.builder), "-m",
             "onnxruntime_genai.models.builder", "-i", source, "-o", out, "-p",
             "int4", "-e", "cpu", "-c", args.work / "cache"], source)
        print(f"| model builder | {seconds:.1f} | {anonymous:.0f} | "
              f"{pages:.0f} |")
        shutil.rmtree(out, ignore_errors=True)


if __name__ == "__main__":
    main()
