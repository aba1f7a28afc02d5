#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every family of slm-convert: a tiny model of random weights is converted and
run, and its logits are those of transformers' formulas (hf_models.forward).

usage: convert_families_test.py SLM_CONVERT SLM_INSPECT tests/data/tiny-model
"""
import ast
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import hf_models  # noqa: E402

CONVERT, INSPECT, TOKENIZER = (pathlib.Path(p).resolve() for p in sys.argv[1:4])
IDS = [285, 12, 250, 3, 3, 77, 140, 9, 201, 33, 60, 5, 118, 42]


def read_npy(path):
    """[rows][columns] of a float32 file."""
    data = path.read_bytes()
    length = struct.unpack("<H", data[8:10])[0]
    rows, columns = ast.literal_eval(data[10:10 + length].decode())["shape"]
    values = struct.unpack(f"<{rows * columns}f", data[10 + length:])
    return [values[r * columns:(r + 1) * columns] for r in range(rows)]


class Compared(unittest.TestCase):
    def convert(self, folder, config, dtype, flags, grid):
        weights = hf_models.make_folder(folder / "hf", config, TOKENIZER,
                                        dtype, grid=grid)
        subprocess.run([CONVERT, folder / "hf", folder / "out", "-q", *flags],
                       check=True, timeout=60)
        return weights

    def logits(self, folder):
        subprocess.run(
            [INSPECT, "logits", folder / "out", "--ids",
             ",".join(map(str, IDS)), "--all", "--out", folder / "l.npy"],
            check=True, timeout=60)
        return read_npy(folder / "l.npy")

    def compare(self, config, dtype, flags, tolerance=1e-5, grid=False):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            weights = self.convert(folder, config, dtype, flags, grid)
            ours = self.logits(folder)
        expected = hf_models.forward(config, weights, IDS)
        self.assertEqual(len(ours), len(expected))
        spread = max(map(max, expected)) - min(map(min, expected))
        worst = max(abs(a - b) for x, y in zip(ours, expected)
                    for a, b in zip(x, y))
        self.assertLess(worst, tolerance * spread)


class Families(Compared):
    # The limit is 1e-3 of the spread. float32 against Python's double
    # leaves some 1e-6.
    def test_fp32_is_transformers(self):
        for name, config in hf_models.FAMILIES.items():
            with self.subTest(name):
                self.compare(config, "F32", ["-p", "fp32"])

    def test_source_types(self):
        for dtype in ("F64", "F16", "BF16", "F8_E4M3", "F8_E5M2"):
            with self.subTest(dtype):
                self.compare(hf_models.FAMILIES["llama"], dtype,
                             ["-p", "fp32"])

    # Weights on a grid of 1/16 are exact halves; norms, tables of angles and
    # biases are rounded to 11 bits: 5e-4 of each, some of which add up.
    def test_fp16(self):
        for name in ("llama", "qwen2-tied", "gemma2", "smollm3"):
            with self.subTest(name):
                self.compare(hf_models.FAMILIES[name], "F32", ["-p", "fp16"],
                             1e-2, grid=True)

    # Weights that the codes hold exactly: names, shapes, packing, zero points
    # and the shared table are right, or logits are far off.
    def test_quantized_weights_on_a_grid_are_exact(self):
        for precision in ("int4", "int8"):
            for flags in ([], ["--asymmetric"], ["-a", "default"],
                          ["-a", "default", "--asymmetric"], ["-b", "16"],
                          ["-b", "64"]):
                for name in ("llama-biases", "qwen2-tied", "gemma2", "phi3"):
                    with self.subTest(name, precision=precision, flags=flags):
                        self.compare(
                            hf_models.FAMILIES[name], "F32",
                            ["-p", precision, "--accuracy-level", "0", *flags],
                            grid=True)


class Adapters(Compared):
    """The merged weights, by PEFT's formulas."""

    def check(self, config, adapters):
        """adapters: lists of keywords of make_adapter and merge."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            weights = hf_models.make_folder(folder / "hf", config, TOKENIZER)
            flags = []
            for i, (made, merged) in enumerate(adapters):
                path = folder / f"adapter{i}"
                tensors = hf_models.make_adapter(path, config, **made)
                weights = hf_models.merge(weights, tensors, **merged)
                scale = merged.get("scale")
                flags += ["--adapter", f"{path}:{scale}" if scale else path]
            subprocess.run([CONVERT, folder / "hf", folder / "out", "-q", "-p",
                            "fp32", *flags], check=True, timeout=60)
            ours = self.logits(folder)
        expected = hf_models.forward(config, weights, IDS)
        spread = max(map(max, expected)) - min(map(min, expected))
        worst = max(abs(a - b) for x, y in zip(ours, expected)
                    for a, b in zip(x, y))
        self.assertLess(worst, 1e-5 * spread)

    ATTENTION = [f"model.layers.{i}.self_attn.{p}_proj"
                 for i in range(4) for p in "qv"]
    DOWN = [f"model.layers.{i}.mlp.down_proj" for i in range(2)]

    def test_lora(self):
        self.check(hf_models.FAMILIES["llama"],
                   [({"modules": self.ATTENTION + self.DOWN}, {})])

    def test_rslora_in_fused_weights(self):
        self.check(hf_models.FAMILIES["phi3"], [
            ({"modules": ["model.layers.1.self_attn.qkv_proj",
                          "model.layers.2.mlp.gate_up_proj"],
              "rank": 3, "rs": True}, {"rank": 3, "rs": True})])

    def test_dora(self):
        self.check(hf_models.FAMILIES["qwen3"],
                   [({"modules": self.DOWN, "dora": True}, {})])

    def test_patterns(self):
        self.check(hf_models.FAMILIES["llama"], [
            ({"modules": self.DOWN, "rank": 2, "alpha": 8, "r": 16,
              "lora_alpha": 99, "rank_pattern": {"down_proj": 2},
              "alpha_pattern": {"mlp.down_proj": 8}}, {})])

    def test_two_in_order_with_scales_and_saved_modules(self):
        head = ["lm_head"]
        self.check(hf_models.FAMILIES["llama"], [
            ({"modules": self.DOWN + head}, {"scale": 0.5}),
            ({"modules": self.DOWN, "seed": 6, "dora": True,
              "saved": ["model.norm.weight"]}, {}),
            ({"modules": self.ATTENTION, "seed": 7}, {"scale": -1.0})])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
