#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-bench as a user or a script calls it, on the tiny model.

usage: bench_test.py SLM_BENCH tests/data/tiny-model SHARED_DIR
"""
import csv
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

BENCH, MODEL, SHARED = (os.path.abspath(p) for p in sys.argv[1:4])
# The model as tests/make_tiny_model.py has it.
LAYERS, D, H, K, E, F, BLOCK, CONTEXT = 2, 64, 4, 2, 16, 32, 32, 256
VOCAB = json.loads((pathlib.Path(MODEL) / "genai_config.json").read_text(
    encoding="utf-8"))["model"]["vocab_size"]
# Weights [N, K] of a token's products, without the language model head.
BEHIND_ATTENTION = H * E * D + 3 * D * F
PER_LAYER = D * (H + 2 * K) * E + BEHIND_ATTENTION
BYTES_PER_WEIGHT = 0.5 + 2 / BLOCK  # nibble, and a scale a block in 16 bits
# Rows with fixed scales, which two targets take, have a float32 unit: all but
# those of F inputs.
UNITS = 4 * (LAYERS * ((H + 2 * K) * E + D + 2 * F) + VOCAB)


def bench(*args, env=None, cwd=None):
    return subprocess.run([BENCH, *args], timeout=60, capture_output=True,
                          encoding="utf-8", env=env, cwd=cwd)


def report(*args, env=None):
    done = bench(MODEL, "-r", "2", "-o", "json", *args, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class SlmBench(unittest.TestCase):
    def test_json_has_what_peers_reads(self):
        out = report("-p", "8", "-n", "4", "-t", "2")
        self.assertEqual([t["name"] for t in out["tests"]], ["pp8", "tg4"])
        for value in [out["load_ms"], out["ttft_ms"], out["peak_rss_mib"],
                      *(t["tok_per_s"] for t in out["tests"])]:
            self.assertGreater(value, 0)
        self.assertGreaterEqual(out["ttft_ms"], out["load_ms"])
        self.assertIsNone(out["ttft_128_ms"])  # without its test

    def test_peers_itself(self):
        peers = pathlib.Path(SHARED) / "bench" / "peers.py"
        if not peers.exists():
            self.assertNotIn("CI", os.environ, f"{peers} is absent")
            self.skipTest(f"no {peers}")
        done = subprocess.run(
            [sys.executable, peers, MODEL, "--slm-bench", BENCH, "--no-ort",
             "-r", "1", "-p", "8", "-n", "4"], capture_output=True,
            encoding="utf-8", timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("slm", done.stdout)

    def test_median_best_and_mean_are_of_the_samples(self):
        test = report("-p", "0", "-n", "4", "-r", "3")["tests"][0]
        samples = sorted(test["samples"])
        self.assertEqual(len(samples), 3)
        for key, value in (("tok_per_s", samples[1]), ("best", samples[2]),
                           ("mean", sum(samples) / 3)):
            self.assertAlmostEqual(test[key], value, delta=0.02, msg=key)

    def test_rounds_of_all_tests(self):
        if os.name != "posix":
            self.skipTest("no pseudo-terminal, which progress needs")
        ours, theirs = os.openpty()
        done = subprocess.run(
            [BENCH, MODEL, "-p", "8", "-n", "4", "-d", "0,10", "-r", "2", "-o",
             "csv"], timeout=60, stdout=subprocess.PIPE, stderr=theirs)
        os.close(theirs)
        said = os.read(ours, 10000).decode()
        os.close(ours)
        self.assertEqual(done.returncode, 0, said)
        self.assertEqual(re.findall("slm-bench: (.*?)[\r\n]", said),
                         ["pp8", "tg4", "pp8@d10", "tg4@d10",
                          "round 1 of 2", "round 2 of 2"])

    def test_work_is_what_the_shapes_say(self):
        # Depths and batches in no order: tests share sequences.
        out = report("-p", "8", "-n", "5", "-d", "20,0,10,30", "-b", "3,1")
        tests = {t["name"]: t for t in out["tests"]}
        for batch, suffix in ((1, ""), (3, "x3")):
            for depth in (0, 10, 20, 30):
                at = f"@d{depth}" if depth else ""
                pp, tg = tests[f"pp8{at}{suffix}"], tests[f"tg5{at}{suffix}"]
                body, head = LAYERS * PER_LAYER, VOCAB * D
                # Behind the last attention goes the last token alone.
                self.assertEqual(pp["product_macs"],
                                 batch * (8 * body - 7 * BEHIND_ATTENTION +
                                          head))
                self.assertEqual(tg["product_macs"],
                                 batch * 5 * (body + head))
                seen = [depth + i + 1 for i in range(8)]
                self.assertEqual(pp["attention_macs"],
                                 batch * LAYERS * 2 * H * E * sum(seen))
                row = LAYERS * 2 * K * E * 2  # keys and values, float16
                self.assertEqual(pp["kv_bytes"], batch * row * (depth + 8))
                self.assertEqual(tg["kv_bytes"], batch * row * sum(seen[:5]))
                # Norms and the gathered rows of the embedding on top.
                units = UNITS if out["target"] in ("AVX3_DL", "AMX") else 0
                weights = (body + head) * BYTES_PER_WEIGHT + units
                small = (2 * LAYERS + 1) * D * 4
                self.assertEqual(pp["weight_bytes"],
                                 weights + small + batch * 8 * D * 4)
                self.assertEqual(tg["weight_bytes"],
                                 5 * (weights + small + batch * D * 4))

    def test_profile_sums_to_a_hundred_percent(self):
        for test in report("-p", "8", "-n", "4", "--profile")["tests"]:
            rows = test["profile"]
            self.assertAlmostEqual(sum(r["percent"] for r in rows), 100,
                                   delta=0.001 * len(rows))
            ops = {r["op"] for r in rows}
            self.assertLessEqual({"MatMulNBits", "GroupQueryAttention",
                                  "(greedy choice)", "(other)"}, ops)
            # No row twice, no time below zero.
            self.assertEqual(len(rows), len({(r["op"], r["shape"])
                                             for r in rows}))
            self.assertTrue(all(r["ms"] >= 0 for r in rows), rows)

    def test_every_format_has_the_tests(self):
        for form in ("text", "md"):
            done = bench(MODEL, "-p", "8", "-n", "4", "-r", "1", "-o", form,
                         "--profile")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for word in ("pp8", "tg4", "GB/s", "machine limits", "(other)"):
                self.assertIn(word, done.stdout)
        done = bench(MODEL, "-p", "8", "-n", "4", "-r", "1", "-o", "csv")
        rows = list(csv.DictReader(done.stdout.splitlines()))
        self.assertEqual([r["test"] for r in rows], ["pp8", "tg4"])
        self.assertGreater(float(rows[0]["tok_per_s"]), 0)

    def test_picture_has_a_bar_for_each_test(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s.svg")
            out = report("-p", "8,128", "-n", "4", "--svg", path)
            root = xml.etree.ElementTree.parse(path).getroot()
            name = "{http://www.w3.org/2000/svg}"
            widths = [float(r.get("width")) for r in root.iter(name + "rect")]
            means = [t["mean"] for t in out["tests"]]
            self.assertEqual(len(widths), 3)
            # Two bars of one scale; a hundredth of a pixel is written.
            self.assertAlmostEqual(widths[0] / widths[1], means[0] / means[1],
                                   delta=0.01)
            self.assertEqual(len(list(root.iter(name + "path"))), 3)
        self.assertAlmostEqual(out["ttft_128_ms"] / 1e3,
                               128 / out["tests"][1]["tok_per_s"], delta=1e-4)

    def test_target_is_honoured_or_refused(self):
        env = dict(os.environ, SLM_TARGET="SSE9")
        self.assertEqual(bench(MODEL, env=env).returncode, 6)
        names = bench(MODEL, env=env).stderr.split("usable: ")[1].split(", ")
        last = names[-1].strip()
        env["SLM_TARGET"] = last
        slow = report("-p", "8", "-n", "0", env=env)
        self.assertEqual(slow["target"], last)

    def test_first_word_may_be_a_verb(self):
        done = bench("speed", "tiny-model", "--models-dir",
                     os.path.dirname(MODEL), "-q", "-p", "8", "-n", "0", "-r",
                     "1", "-o", "csv")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("pp8", done.stdout)
        with tempfile.TemporaryDirectory() as folder:
            # No model, but it says which folder it took for one.
            os.mkdir(os.path.join(folder, "speed"))
            for args in (("./speed",), ("-m", "speed"), ("--", "speed"),
                         ("speed", "speed"), ("speed", "./speed")):
                done = bench(*args, cwd=folder)
                self.assertIn(done.returncode, (3, 4), (args, done.stderr))
                self.assertIn('speed/"', done.stderr)
            for args, part in ((("speed",), "is ./speed"),
                               (("-q", "speed"), "goes first"),
                               (("speed", "a", "b"), '"b" is a word too')):
                done = bench(*args, cwd=folder)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(part, done.stderr)

    def test_help_fits_a_screen(self):
        top = bench("--help").stdout
        verbs = [line.split()[1] for line in top.splitlines()
                 if line.startswith("  slm-bench ")]
        for args in ((), *((verb,) for verb in verbs if verb.islower())):
            done = bench(*args, "--help")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertLessEqual(done.stdout.count("\n"), 40)
            self.assertLessEqual(max(map(len, done.stdout.splitlines())), 80)
        self.assertIn("speed", verbs)

    def test_exit_codes(self):
        for code, *args in ((0, "--help"), (0, "--version"), (2,),
                            (2, MODEL, "-p", "x"), (3, "no-such-folder"),
                            (7, MODEL, "-p", str(CONTEXT + 1))):
            done = bench(*args)
            self.assertEqual(done.returncode, code, done.stderr)
            if code:
                self.assertEqual(done.stdout, "")
                self.assertTrue(done.stderr.startswith("slm-bench: error: "))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
