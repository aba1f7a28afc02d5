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


class Families(unittest.TestCase):
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

    # The limit is 1e-3 of the spread. float32 against Python's double
    # leaves some 1e-6.
    def test_fp32_is_transformers(self):
        for name, config in hf_models.FAMILIES.items():
            with self.subTest(name):
                self.compare(config, "F32", ["-p", "fp32"])

    def test_source_types(self):
        for dtype in ("F64", "F16", "BF16"):
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


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
