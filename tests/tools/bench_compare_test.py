#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-bench compare, as a user or a script calls it.

usage: bench_compare_test.py SLM_BENCH tests/data/tiny-model
"""
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

BENCH, MODEL = (os.path.abspath(p) for p in sys.argv[1:3])
HEAD = {"schema": 1, "verb": "speed", "model": "m", "version": "0",
        "cpu": "c", "target": "AVX2", "threads": 2, "kv": "fp16"}


def bench(*args):
    return subprocess.run([BENCH, *args], timeout=60, capture_output=True,
                          encoding="utf-8")


class Compare(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def result(self, name, samples, **keys):
        path = self.folder / name
        path.write_text(json.dumps({**HEAD, **keys, "tests": [
            {"name": "tg64", "unit": "tok/s", "samples": samples}]}),
            encoding="utf-8")
        return str(path)

    def test_faster_slower_and_not_significant(self):
        a = self.result("a.json", [100, 101, 99])
        for samples, word in (([120, 121, 119], "better"),
                              ([80, 81, 79], "worse"),
                              ([100, 102, 99], "not significant"),
                              ([100], "one sample")):
            b = self.result("b.json", samples)
            for form in ("text", "md"):
                done = bench("compare", a, b, "-o", form)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                rows = [r for r in done.stdout.splitlines() if "tg64" in r]
                self.assertEqual(len(rows), 1)
                self.assertIn(word, rows[0])

    def test_json_and_csv_have_the_same(self):
        a = self.result("a.json", [100, 101, 99], load_ms=10)
        b = self.result("b.json", [120, 121, 119], load_ms=12, threads=4)
        done = bench("compare", a, b, "-o", "json")
        out = json.loads(done.stdout)
        self.assertEqual((out["schema"], out["verb"]), (1, "compare"))
        pair = out["comparisons"][0]
        self.assertEqual(pair["warnings"], ["number of threads differs: 2, 4"])
        test = pair["tests"][0]
        self.assertAlmostEqual(test["percent"], 20, delta=1e-3)
        self.assertLess(test["low"], 20)
        self.assertGreater(test["high"], 20)
        self.assertIsNone(pair["tests"][1]["low"])
        done = bench("compare", a, b, "-o", "csv")
        self.assertIn("warning: number of threads", done.stderr)
        rows = list(csv.DictReader(done.stdout.splitlines()))
        self.assertEqual([r["test"] for r in rows], ["tg64", "load"])
        self.assertEqual(float(rows[0]["low"]), test["low"])

    def test_each_is_compared_with_the_first(self):
        paths = [self.result(f"{i}.json", [x, x + 1]) for i, x in
                 enumerate((100, 110, 90))]
        out = json.loads(bench("compare", *paths, "-o", "json").stdout)
        self.assertEqual([c["b"] for c in out["comparisons"]], paths[1:])
        self.assertEqual([c["tests"][0]["percent"] > 0
                          for c in out["comparisons"]], [True, False])

    def test_own_results_of_every_verb(self):
        for verb, *args in (("speed", "-p", "8", "-n", "4", "-r", "2"),
                            ("chat", "-n", "4", "-r", "2"),
                            ("soak", "-n", "4", "--rounds", "5")):
            done = bench(verb, MODEL, *args, "-o", "json")
            self.assertEqual(done.returncode, 0, done.stderr)
            path = self.folder / f"{verb}.json"
            path.write_text(done.stdout, encoding="utf-8")
            out = json.loads(bench("compare", str(path), str(path), "-o",
                                   "json").stdout)
            tests = out["comparisons"][0]["tests"]
            self.assertLessEqual({"load", "peak RSS"},
                                 {t["name"] for t in tests})
            for test in tests:
                self.assertEqual(test["percent"], 0)
                self.assertIn(test["verdict"],
                              ("not significant", "one sample"))

    def test_picture(self):
        a = self.result("a<b>.json", [100, 101, 99], load_ms=10)
        b = self.result("b.json", [120, 121, 119], load_ms=15)
        path = self.folder / "c.svg"
        done = bench("compare", a, b, "--svg", str(path))
        self.assertEqual(done.returncode, 0, done.stderr)
        root = xml.etree.ElementTree.parse(path).getroot()
        name = "{http://www.w3.org/2000/svg}"
        # +20 % and +50 %, each with a scale of its own.
        bars = [float(r.get("width")) for r in root.iter(name + "rect")]
        self.assertEqual(len(bars), 2)
        self.assertTrue(all(w > 100 for w in bars), bars)
        whiskers = [p for p in root.iter(name + "path")]
        self.assertEqual(len(whiskers), 1)  # load has one sample
        texts = "".join(t.text for t in root.iter(name + "text"))
        for word in ("tg64", "load", "change in %", "a<b>.json"):
            self.assertIn(word, texts)
        done = bench("compare", a, b, "--svg", str(self.folder / "no/c.svg"))
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertEqual([p.name for p in self.folder.glob("c*")], ["c.svg"])

    def test_refusals(self):
        a = self.result("a.json", [1, 2])
        chat = self.result("c.json", [1, 2], verb="chat")
        old = self.result("o.json", [1, 2], schema=7)
        for code, *args in ((2,), (2, a), (3, a, "none.json"), (2, a, chat),
                            (4, a, old), (2, a, a, "-t", "2")):
            done = bench("compare", *args)
            self.assertEqual(done.returncode, code, (args, done.stderr))
            self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
