#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-convert's calibration: what is measured against plain Python, files that
are reused, refusals, and that nothing is left behind.

usage: convert_calibration_test.py SLM_CONVERT tests/data/tiny-model
"""
import array
import json
import pathlib
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import hf_models  # noqa: E402
from convert_folder import LLAMA, Folder, convert  # noqa: E402

CONVERT, TOKENIZER = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
Folder.TOKENIZER = TOKENIZER
TEXT = "thequickbrownfoxjumpsoverthelazydog" * 3  # a token a letter
GROUP = 32  # columns whose moments are kept together
SMALL = ("-b", "16", "--calibration-tokens", "128")


def read_imatrix(path):
    with open(path, "rb") as f:
        magic, version, size = f.readline().split()
        assert (magic, version) == (b"slm-imatrix", b"2")
        meta = json.loads(f.read(int(size)))
        floats = array.array("f", f.read())
    moments, at = {}, 0
    for entry in meta["weights"]:
        end = at + entry["columns"] * GROUP
        moments[entry["name"]] = floats[at:end]
        at = end
    assert at == len(floats)
    return meta, moments


def expected_moments(config, weights, documents):
    """From every input that hf_models' forward() multiplies with a matrix."""
    sums, real = {}, hf_models.linear

    def linear(w, name, x, n):
        into = sums.setdefault(name, [0.0] * (len(x) * GROUP))
        for i, v in enumerate(x):
            first = i - i % GROUP
            for j, u in enumerate(x[first:first + GROUP]):
                into[i * GROUP + j] += v * u
        return real(w, name, x, n)
    hf_models.linear = linear
    try:
        for ids in documents:
            hf_models.forward(config, weights, ids)
    finally:
        hf_models.linear = real
    count = sum(map(len, documents))
    return {name: [v / count for v in s] for name, s in sums.items()}


class Calibrated(Folder):
    def setUp(self):
        super().setUp()
        self.text, self.saved = self.root / "text.txt", self.root / "a.imatrix"
        self.text.write_text(TEXT)

    def made(self, name, *flags):
        done = convert(self.source, self.root / name, "-q", *flags)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return (self.root / name / "model.onnx.data").read_bytes()


class Statistics(Calibrated):
    NAMES = {"attn.qkv_proj": "self_attn.q_proj", "attn.o_proj":
             "self_attn.o_proj", "mlp.gate_proj": "mlp.gate_proj",
             "mlp.up_proj": "mlp.up_proj", "mlp.down_proj": "mlp.down_proj"}

    def test_moments_are_those_of_plain_python(self):
        weights = self.make()
        self.made("out", f"--imatrix={self.text}", "--save-imatrix",
                  self.saved, "-b", "16")
        vocabulary = json.loads((TOKENIZER / "tokenizer.json").read_text())
        ids = [vocabulary["model"]["vocab"][c] for c in TEXT]
        cut = hf_models.CONTEXT
        expected = expected_moments(LLAMA, weights, [
            ids[at:at + cut] for at in range(0, len(ids), cut)])
        meta, moments = read_imatrix(self.saved)
        self.assertEqual((meta["tokens"], meta["text"]),
                         (len(ids), "text.txt"))
        self.assertEqual(len(moments), 1 + 5 * LLAMA["num_hidden_layers"])
        for name, values in moments.items():
            hf = "head"
            if name != "lm_head.MatMul.weight":
                layer, rest = name.removeprefix("model.layers.").split(".", 1)
                hf = f"model.layers.{layer}." + \
                    self.NAMES[rest.removesuffix(".MatMul.weight")]
            # Float32 against double through four layers of sums of at most
            # 64 products: 2^-24 * 64 * 4 * 2 (squares) = 3e-5.
            top = max(expected[hf])
            for a, b in zip(values, expected[hf], strict=True):
                self.assertLessEqual(abs(a - b), 3e-5 * top, name)

    def test_files_give_what_measuring_gave_and_threads_change_nothing(self):
        self.make(dtype="BF16")
        first = self.made("a", "--imatrix", "--save-imatrix", self.saved,
                          "-t", "1", *SMALL)
        self.assertEqual(first, self.made("b", "--imatrix", "-t", "3", *SMALL))
        self.assertEqual(
            first, self.made("c", f"--imatrix={self.saved}", "-b", "16"))
        self.assertNotEqual(first, self.made("d", "-b", "16"))
        record = json.loads((self.root / "a" / "slm.json").read_text())
        self.assertEqual(record["imatrix"], "sampled")
        self.assertNotIn("calibration",
                         [p.name for p in (self.root / "a").iterdir()])

    def test_statistics_of_other_weights_get_a_note(self):
        self.make()
        self.made("a", "--imatrix", "--save-imatrix", self.saved, *SMALL)
        other = self.root / "other"
        hf_models.make_folder(other, LLAMA, TOKENIZER, seed=2)
        done = convert(other, self.out, "-q", f"--imatrix={self.saved}",
                       "-b", "16")
        self.assertEqual(done.returncode, 0)
        self.assertIn("was measured on other weights", done.stderr)


class Gptq(Calibrated):
    def test_threads_change_nothing_and_all_forms_are_written(self):
        self.make(dtype="BF16")
        flags = ("-a", "gptq", *SMALL)
        first = self.made("a", "-t", "1", *flags)
        self.assertEqual(first, self.made("b", "-t", "3", *flags))
        self.assertNotEqual(first, self.made("c", "--imatrix", *SMALL))
        record = json.loads((self.root / "a" / "slm.json").read_text())
        self.assertEqual((record["algorithm"], record["imatrix"]),
                         ("gptq", "sampled"))
        for i, more in enumerate((["--asymmetric"], ["-p", "int8"], ["--qdq"],
                                  ["--mixed", "down"])):
            self.made(f"d{i}", *flags, *more)
            self.assertFalse((self.root / f"d{i}" / "calibration").exists())

    def test_a_tied_models_head_and_statistics_of_the_same_pass(self):
        self.make(hf_models.FAMILIES["gemma2"])
        self.text.write_text(TEXT * 2)
        self.made("a", "-a", "gptq", f"--imatrix={self.text}",
                  "--save-imatrix", self.saved, "-b", "16",
                  "--calibration-tokens", "128")
        self.assertEqual(read_imatrix(self.saved)[0]["text"], "text.txt")

    def test_too_few_tokens_get_a_note(self):
        self.make()
        done = convert(self.source, self.out, "-q", "-a", "gptq", "-b", "16",
                       "--calibration-tokens", "64")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("have the search instead: fewer than 2", done.stderr)

    def test_statistics_are_not_enough(self):
        self.make()
        self.made("a", "--imatrix", "--save-imatrix", self.saved, *SMALL)
        self.refused(2, "--algorithm gptq needs a text", "-a", "gptq",
                     f"--imatrix={self.saved}")


class Refusals(Calibrated):
    def test_texts_and_files(self):
        self.make()
        self.refused(3, "no such file", "--imatrix=" + str(self.root / "no"))
        for text, tokens in (("", 0), ("abc", 3)):
            self.text.write_text(text)
            self.refused(2, f"has {tokens} tokens, at least 64 are needed",
                         f"--imatrix={self.text}")
        self.text.write_text(TEXT)
        self.made("ok", f"--imatrix={self.text}", "--save-imatrix", self.saved,
                  "-b", "16")
        good = self.saved.read_bytes()
        for data, message in (
                (good[:-1], "ends before its last value"),
                (good + b"1", "goes on after its last value"),
                (good[:40], "not a file of activation statistics"),
                (good[:-4] + b"\0\0\x80\xbf", "negative or not finite"),
                (good[:-8] + b"\0\0\x80\x7f" + good[-4:],
                 "negative or not finite"),
                (good.replace(b'"tokens"', b'"Tokens"'), "lacks model, tokens"),
                (good.replace(b'"model"', b'"mo\ndel'), "no JSON")):
            self.saved.write_bytes(data)
            self.refused(4, message, f"--imatrix={self.saved}")

    def test_statistics_of_another_model(self):
        self.make()
        self.made("a", f"--imatrix={self.text}", "--save-imatrix", self.saved,
                  "-b", "16")
        text = self.saved.read_bytes()
        self.saved.write_bytes(text.replace(b"layers.3.", b"layers.9."))
        self.refused(4, "of another model: it has nothing on",
                     f"--imatrix={self.saved}")
        self.saved.write_bytes(text.replace(b"model.layers.0.mlp.up_proj",
                                            b"model.layers.0.mlp.XX_proj", 1)
                               .replace(b"model.layers.0.mlp.down_proj",
                                        b"model.layers.0.mlp.up_proj00"))
        self.refused(4, "of another model", f"--imatrix={self.saved}")

    def test_flags(self):
        self.make()
        for flags, message in (
                (["-p", "fp32", "--imatrix"], "--imatrix means nothing with"),
                (["-a", "rtn", "--imatrix"], "means nothing with --algorithm"),
                (["--save-imatrix", "x"], "means nothing without --imatrix"),
                (["--calibration-tokens", "99"], "means nothing without"),
                (["--imatrix", "--calibration-tokens", "63"], "64..")):
            self.refused(2, message, *flags)

    def test_interrupted_calibration_leaves_nothing(self):
        self.make()
        process = subprocess.Popen(
            [CONVERT, self.source, self.out, "--imatrix",
             "--calibration-tokens", "1048576"], stderr=subprocess.PIPE)
        temporary = self.root / "out.slm-convert.tmp" / "calibration"
        while not (temporary / "model.onnx").exists():
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        error = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 130, error)
        self.assertIn(b"interrupted", error)
        self.assertEqual(sorted(self.root.iterdir()),
                         [self.source, self.text])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
