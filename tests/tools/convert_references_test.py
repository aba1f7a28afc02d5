#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Families whose references transformers has computed (make_hf_references.py):
a tiny model is converted and run, by slm and, where it is installed, by
onnxruntime.

usage: convert_references_test.py SLM_CONVERT SLM_INSPECT tests/data
"""
import ast
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import hf_tiny  # noqa: E402

try:
    import numpy as np
    import onnxruntime
except ImportError as missing:
    print(f"onnxruntime is not compared: {missing}")
    onnxruntime = None

CONVERT, INSPECT, DATA = (pathlib.Path(p).resolve() for p in sys.argv[1:4])
TOKENIZER, REFERENCES = DATA / "tiny-model", DATA / "hf"
VOCAB, IDS, ROWS = hf_tiny.VOCAB, hf_tiny.IDS, hf_tiny.ROWS


def read_npy(path):
    """[rows][columns] of a float32 file."""
    data = path.read_bytes()
    length = struct.unpack("<H", data[8:10])[0]
    rows, columns = ast.literal_eval(data[10:10 + length].decode())["shape"]
    values = struct.unpack(f"<{rows * columns}f", data[10 + length:])
    return [values[r * columns:(r + 1) * columns] for r in range(rows)]


def by_slm(folder):
    path = folder.parent / "logits.npy"
    subprocess.run([INSPECT, "logits", folder, "--ids",
                    ",".join(map(str, IDS)), "--all", "--out", path],
                   check=True, timeout=60)
    return read_npy(path)


def by_onnxruntime(folder):
    """Whole prompt; windows by their mask, not by a cache that is cut off."""
    head = json.loads((folder / "genai_config.json").read_text())["model"][
        "decoder"]["head_size"]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        str(folder / "model.onnx"), options,
        providers=["CPUExecutionProvider"])
    feed = {"input_ids": np.array([IDS], np.int64),
            "attention_mask": np.ones((1, len(IDS)), np.int64)}
    for value in session.get_inputs():
        kind = np.float16 if "float16" in value.type else np.float32
        if value.name.endswith(".conv"):
            feed[value.name] = np.zeros([1] + value.shape[1:], kind)
        elif value.name not in feed:
            feed[value.name] = np.zeros((1, value.shape[1], 0, head), kind)
    return session.run(["logits"], feed)[0][0].astype(np.float32).tolist()


def worst(a, b):
    return max(abs(x - y) for p, q in zip(a, b) for x, y in zip(p, q))


def spread(rows):
    return max(map(max, rows)) - min(map(min, rows))


class References(unittest.TestCase):
    def runners(self, config):
        # onnxruntime wants sliding_window_cache to be written into; slm and
        # onnxruntime-genai do that.
        slides = "sliding_attention" in config.get("layer_types", [])
        return [by_slm] + ([by_onnxruntime] if onnxruntime and not slides
                           else [])

    def convert(self, root, config, flags, grid=False):
        if not (root / "hf").exists():
            hf_tiny.make_folder(root / "hf", config, TOKENIZER, grid)
        out = root / ("out" + "".join(flags))
        subprocess.run([CONVERT, root / "hf", out, "-q", "--no-check", *flags],
                       check=True, timeout=60)
        return out

    # The limit is 1e-3 of the spread; what was seen is below 1e-6.
    def test_fp32_is_transformers(self):
        for name, config in hf_tiny.FAMILIES.items():
            data = (REFERENCES / f"{name}.f32").read_bytes()
            values = struct.unpack(f"<{len(ROWS) * VOCAB}f", data)
            expected = [values[r * VOCAB:(r + 1) * VOCAB]
                        for r in range(len(ROWS))]
            with tempfile.TemporaryDirectory() as root:
                out = self.convert(pathlib.Path(root), config, ["-p", "fp32"])
                for run in self.runners(config):
                    with self.subTest(name, run=run.__name__):
                        ours = run(out)
                        self.assertLess(worst([ours[r] for r in ROWS],
                                              expected),
                                        1e-5 * spread(expected))

    # Token by token: caches and the states of convolutions. The reference was
    # not allowed to end, slm is.
    def test_greedy_steps(self):
        greedy = json.loads((REFERENCES / "greedy.json").read_text())
        for name, config in hf_tiny.FAMILIES.items():
            with self.subTest(name), tempfile.TemporaryDirectory() as root:
                out = self.convert(pathlib.Path(root), config, ["-p", "fp32"])
                expected = greedy[name]["tokens"]
                done = subprocess.run(
                    [INSPECT, "generate", out, "--ids",
                     ",".join(map(str, IDS)), "-n", str(len(expected))],
                    check=True, timeout=60, capture_output=True, text=True)
                tokens = [int(t) for t in done.stdout.split(",")]
                if config["eos_token_id"] in tokens:
                    tokens = tokens[:tokens.index(config["eos_token_id"])]
                self.assertGreater(len(tokens), 0)
                self.assertEqual(tokens, expected[:len(tokens)])

    # Weights that the codes hold exactly give the logits of the float32
    # output. Where experts have 8 bits in blocks, activations have 8, too.
    def test_quantised_weights_on_a_grid_are_exact(self):
        kinds = [["-p", "int4"], ["-p", "int4", "--asymmetric"],
                 ["-p", "int4", "-a", "default", "-b", "16"],
                 ["-p", "int8"], ["-p", "int8", "--asymmetric"]]
        of_experts = [["--expert-bits", "8"],
                      ["--expert-block-size", "16", "--asymmetric"],
                      ["--expert-block-size", "row"],
                      ["-a", "default", "-b", "64"]]
        for name, config in hf_tiny.FAMILIES.items():
            if "quantization_config" in config:
                continue  # its weights are on a grid of their own
            experts = any("experts" in key for key in config)
            with tempfile.TemporaryDirectory() as root:
                root = pathlib.Path(root)
                exact = by_slm(self.convert(root, config, ["-p", "fp32"],
                                            grid=True))
                for flags in kinds + (of_experts if experts else []):
                    out = self.convert(root, config,
                                       ["--accuracy-level", "0", *flags])
                    rough = experts and ("int8" in flags or "8" in flags)
                    for run in self.runners(config):
                        with self.subTest(name, flags=flags,
                                          run=run.__name__):
                            self.assertLess(
                                worst(run(out), exact),
                                (1e-1 if rough else 1e-5) * spread(exact))

    def test_the_builders_options_of_experts(self):
        config = hf_tiny.FAMILIES["gpt-oss"]
        with tempfile.TemporaryDirectory() as root:
            root = pathlib.Path(root)

            def builder(name, precision, *options):
                return subprocess.run(
                    [CONVERT, "-i", root / "hf", "-o", root / name, "-p",
                     precision, "-e", "cpu", "--extra_options", *options],
                    capture_output=True, text=True, timeout=60)
            for options, flags in (
                    (["moe_quant_type=int8", "qmoe_block_size=16"],
                     ["--expert-bits", "8", "--expert-block-size", "16"]),
                    (["use_8bits_moe=true", "block_size=16"],
                     ["--expert-bits", "8", "-b", "16",
                      "--expert-block-size", "32"]),
                    (["qmoe_block_size=0"], ["--expert-block-size", "row"])):
                ours = self.convert(root, config, ["-a", "default", *flags])
                done = builder("builder", "int4", "algo_config=default",
                               *options)
                self.assertEqual(done.returncode, 0, done.stderr)
                for file in ("model.onnx", "model.onnx.data"):
                    self.assertEqual((ours / file).read_bytes(),
                                     (root / "builder" / file).read_bytes())
                shutil.rmtree(root / "builder")
            for precision, option, error in (
                    ("int4", "moe_quant_type=mxfp4",
                     'moe_quant_type = "mxfp4" is not supported'),
                    ("int4", "qmoe_block_size=48", "qmoe_block_size = 48"),
                    ("fp32", "moe_quant_type=int4",
                     "moe_quant_type means nothing with precision fp32")):
                done = builder("builder", precision, option)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(error, done.stderr)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    unittest.main(argv=sys.argv[:1])
