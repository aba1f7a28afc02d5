#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-convert's self-check and its report, and what is left where a conversion
is killed or the disk is full.

usage: convert_check_test.py SLM_CONVERT tests/data/tiny-model
"""
import json
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import hf_models  # noqa: E402
from convert_folder import LLAMA, Folder, convert  # noqa: E402

CONVERT, TOKENIZER = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
Folder.TOKENIZER = TOKENIZER


class Reported(Folder):
    def report(self):
        return json.loads((self.out / "conversion_report.json").read_text())


class SelfCheck(Reported):
    def test_report(self):
        self.make(dtype="BF16")
        done = convert(self.source, self.out, "-p", "int4")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("slm-convert: self-check: ", done.stderr)
        report = self.report()
        self.assertEqual(report["schema_version"], 1)
        self.assertEqual(report["source"], "hf")
        self.assertEqual(report["algorithm"], "search")
        self.assertEqual(report["bytes"]["source"] * 2,
                         report["bytes"]["fp32"])
        self.assertEqual(
            report["bytes"]["output"],
            (self.out / "model.onnx.data").stat().st_size)
        check = report["self_check"]
        self.assertEqual(check["reference"], "source")
        self.assertEqual([p["name"] for p in check["prompts"]],
                         ["chat", "english", "code"])
        for figures in [check] + check["prompts"]:
            self.assertGreater(figures["mean_kl"], 0)
            self.assertLess(figures["relative_logit_error"], 1)
            self.assertAlmostEqual(
                figures["delta_perplexity"], figures["output_perplexity"] -
                figures["source_perplexity"])
        record = json.loads((self.out / "slm.json").read_text())
        self.assertIn("conversion_report.json", record["files"])

    def test_float32_is_the_source(self):
        for name, config in hf_models.FAMILIES.items():
            with self.subTest(name):
                self.make(config)
                done = convert(self.source, self.out, "-p", "fp32", "--force")
                self.assertEqual(done.returncode, 0, done.stderr)
                check = self.report()["self_check"]
                if check["reference"]:
                    self.assertLess(check["mean_kl"], 1e-9)
                    self.assertEqual(check["top1_agreement"], 1)
                else:
                    self.assertIn("no_reference_because", check)
                shutil.rmtree(self.source)

    def test_adapters_are_part_of_the_source(self):
        self.make()
        adapter = self.root / "adapter"
        hf_models.make_adapter(adapter, LLAMA,
                               ["model.layers.0.mlp.down_proj"])
        done = convert(self.source, self.out, "-p", "fp32", "--adapter",
                       adapter)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertLess(self.report()["self_check"]["mean_kl"], 1e-9)

    def test_no_check(self):
        self.make()
        done = convert(self.source, self.out, "--no-check")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("self-check", done.stderr)
        self.assertNotIn("self_check", self.report())

    def test_what_does_not_fit_float16_is_not_published(self):
        weights = self.make()
        tensors = {n: ("F32", s, hf_models.pack(weights[n], "F32"))
                   for n, s in hf_models.shapes(LLAMA).items()}
        name = "model.layers.0.mlp.down_proj.weight"
        tensors[name] = ("F32", tensors[name][1], hf_models.pack(
            [v * 1e8 for v in weights[name]], "F32"))
        hf_models.write_safetensors(self.source / "model.safetensors", tensors)
        before = sorted(self.root.iterdir())
        done = convert(self.source, self.out, "-p", "fp16")
        self.assertEqual(done.returncode, 10, done.stderr)
        self.assertIn("logits are not finite", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertEqual(sorted(self.root.iterdir()), before)
        done = convert(self.source, self.out, "-p", "fp16", "--no-check")
        self.assertEqual(done.returncode, 0, done.stderr)


class Killed(Folder):
    """At any moment the output is the old folder, the new one or none."""

    def names(self):
        return sorted(p.name for p in self.root.iterdir())

    def kill_after(self, seconds, *flags):
        process = subprocess.Popen([CONVERT, self.source, self.out, "-q", "-t",
                                    "1", *flags], stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.kill()
        process.wait(timeout=60)

    def time_of_one(self):
        begin = time.monotonic()
        done = convert(self.source, self.out, "-q", "-t", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        return time.monotonic() - begin

    def whole(self):
        record = json.loads((self.out / "slm.json").read_text())
        self.assertEqual(convert("check", self.out).returncode, 0)
        return record["algorithm"]

    def test_kill_at_random_moments(self):
        seed = random.randrange(2 ** 32)
        rng = random.Random(seed)
        self.make(hf_models.base_config("LlamaForCausalLM", "llama",
                                        intermediate_size=2048))
        usual = self.time_of_one()
        first = (self.out / "model.onnx.data").read_bytes()
        for i in range(10):
            with self.subTest(seed=seed, i=i):
                # Without an old folder: a whole new one or none.
                shutil.rmtree(self.out, ignore_errors=True)
                self.kill_after(rng.uniform(0, 1.2 * usual))
                if self.out.exists():
                    self.assertEqual(self.whole(), "search")
                self.assertLessEqual(
                    set(self.names()), {"hf", "out", "out.slm-convert.tmp"})
                # With one: the old or the new.
                self.assertEqual(
                    convert(self.source, self.out, "-q", "--force").returncode,
                    0)
                self.assertEqual(self.names(), ["hf", "out"])
                self.kill_after(rng.uniform(0, 1.2 * usual), "--force", "-a",
                                "default")
                self.assertIn(self.whole(), ("search", "default"))
        done = convert(self.source, self.out, "-q", "--force")
        self.assertEqual((done.returncode, self.names()), (0, ["hf", "out"]))
        self.assertEqual((self.out / "model.onnx.data").read_bytes(), first)


class Full(Folder):
    def test_files_that_cannot_grow(self):
        """A limit of the size of files, as a full disk: one line, nothing
        left."""
        self.make()
        done = convert(self.source, self.out, "-q")
        self.assertEqual(done.returncode, 0)
        old = {p.name: p.read_bytes() for p in self.out.iterdir()}
        for limit in (0, 100, 4000, 20000, 60000):
            for flags in ([], ["-p", "fp32"]):
                with self.subTest(limit=limit, flags=flags):
                    done = convert(
                        self.source, self.out, "--force", *flags,
                        preexec_fn=lambda: resource.setrlimit(
                            resource.RLIMIT_FSIZE, (limit, limit)))
                    self.assertEqual(done.returncode, 1, done.stderr)
                    self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
                    self.assertIn("slm-convert: error: cannot ", done.stderr)
                    self.assertEqual(sorted(self.root.iterdir()),
                                     [self.source, self.out])
                    self.assertEqual(old, {p.name: p.read_bytes()
                                           for p in self.out.iterdir()})


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
