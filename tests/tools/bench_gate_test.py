#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-bench gate, as a user or a script calls it. No limit here is near what a
machine does.

usage: bench_gate_test.py SLM_BENCH tests/data/tiny-model
"""
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

BENCH, MODEL = (os.path.abspath(p) for p in sys.argv[1:3])
SMALL = ("-p", "16", "-n", "4", "-r", "2")  # the model's context is 256
HEAD = {"schema": 1, "verb": "speed", "model": "m", "version": "0",
        "cpu": "c", "target": "AVX2", "threads": 2, "kv": "fp16"}


def gate(*args):
    return subprocess.run([BENCH, "gate", *args], timeout=60,
                          capture_output=True, encoding="utf-8")


class Gate(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def result(self, **keys):
        path = self.folder / "r.json"
        path.write_text(json.dumps({**HEAD, **keys}), encoding="utf-8")
        return str(path)

    def test_all_that_hold(self):
        text = self.folder / "t.txt"
        text.write_text("Hello world. " * 60, encoding="utf-8")
        done = gate(MODEL, *SMALL, "--min-pp", "0.001", "--min-tg", "0.001",
                    "--max-ttft", "1e9", "--max-load", "1e9", "--max-rss",
                    "100G", "--max-ppl", "1e12", "-f", str(text), "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        out = json.loads(done.stdout)
        self.assertTrue(out["ok"])
        self.assertEqual([c["name"] for c in out["checks"]],
                         ["prefill", "decode", "first token", "load",
                          "peak RSS", "perplexity"])
        for check in out["checks"]:
            self.assertTrue(check["ok"], check)
            self.assertGreater(check["measured"], 0)

    def test_one_that_does_not_hold_is_exit_10(self):
        done = gate(MODEL, *SMALL, "--min-tg", "1e12", "--max-load", "1e9")
        self.assertEqual(done.returncode, 10, done.stderr)
        lines = done.stdout.splitlines()
        self.assertTrue(any("decode" in s and "FAILED" in s for s in lines))
        self.assertTrue(any("load" in s and "ok" in s for s in lines))
        self.assertNotIn("prefill", done.stdout)  # nobody asked

    def test_perplexity_is_that_of_ppl(self):
        text = self.folder / "t.txt"
        text.write_text("Hello world. " * 60, encoding="utf-8")
        ppl = subprocess.run([BENCH, "ppl", MODEL, "-f", str(text), "-o",
                              "json"], capture_output=True, encoding="utf-8")
        value = json.loads(ppl.stdout)["perplexity"]
        for factor, code in ((1.01, 0), (0.99, 10)):
            done = gate(MODEL, "--max-ppl", str(value * factor), "-f",
                        str(text))
            self.assertEqual(done.returncode, code, done.stdout + done.stderr)

    def test_limits_of_a_result(self):
        # Medians 20 and 100 tokens a second: 128 / 20 s to the first token.
        path = self.result(load_ms=50, peak_rss_mib=200, tests=[
            {"name": "pp128", "unit": "tok/s", "samples": [10, 20, 90]},
            {"name": "tg64", "unit": "tok/s", "samples": [100]}])
        for code, *args in (
                (0, "--min-tg", "100"), (10, "--min-tg", "100.1"),
                (0, "-p", "128", "--min-pp", "20"),
                (10, "-p", "128", "--min-pp", "21"),
                (0, "--max-ttft", "6400"), (10, "--max-ttft", "6399"),
                (0, "--max-load", "50"), (10, "--max-load", "49.9"),
                (0, "--max-rss", "200M"), (10, "--max-rss", "199M"),
                (4, "--min-pp", "1"), (4, "-n", "9", "--min-tg", "1")):
            done = gate("--from", path, *args)
            self.assertEqual(done.returncode, code, (args, done.stderr))
        done = gate("--from", path, "--min-pp", "1")
        self.assertIn("has no test pp512", done.stderr)

    def test_what_is_not_known_does_not_pass(self):
        path = self.result(tests=[])
        self.assertEqual(gate("--from", path, "--max-load", "1e9").returncode,
                         10)

    def test_own_results_can_be_read(self):
        done = subprocess.run([BENCH, MODEL, *SMALL, "-o", "json"],
                              capture_output=True, encoding="utf-8")
        path = self.folder / "own.json"
        path.write_text(done.stdout, encoding="utf-8")
        done = gate("--from", str(path), "-p", "16", "-n", "4", "--min-pp",
                    "0.1", "--min-tg", "0.1", "-o", "csv")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = list(csv.DictReader(done.stdout.splitlines()))
        self.assertEqual([(r["name"], r["ok"]) for r in rows],
                         [("prefill", "true"), ("decode", "true")])

    def test_refusals(self):
        chat = self.result(verb="chat", tests=[])
        for code, *args in ((2, MODEL), (2, MODEL, "--max-ppl", "12"),
                            (3, MODEL, "--max-ppl", "12", "-f", "none.txt"),
                            (3, "--from", "none.json", "--min-tg", "1"),
                            (4, "--from", chat, "--min-tg", "1"),
                            (7, MODEL, "--min-pp", "1")):
            done = gate(*args)
            self.assertEqual(done.returncode, code, (args, done.stderr))
            self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
