#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-bench soak, as a user or a script calls it.

usage: bench_soak_test.py SLM_BENCH tests/data/tiny-model
"""
import csv
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

BENCH, MODEL = (os.path.abspath(p) for p in sys.argv[1:3])


def soak(*args):
    return subprocess.run([BENCH, "soak", MODEL, "-n", "4", *args],
                          timeout=60, capture_output=True, encoding="utf-8")


class Soak(unittest.TestCase):
    def test_rounds_are_counted(self):
        done = soak("--rounds", "8", "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        out = json.loads(done.stdout)
        self.assertEqual((out["schema"], out["verb"], out["rounds"]),
                         (1, "soak", 8))
        for key in ("sample_minutes", "sample_rss_mib"):
            self.assertEqual(len(out[key]), 8)
        self.assertEqual(sorted(out["sample_minutes"]), out["sample_minutes"])
        self.assertEqual(len(out["tests"][0]["samples"]), 8)
        self.assertGreater(out["sample_rss_mib"][0], 0)
        self.assertEqual([c["name"] for c in out["checks"]],
                         ["leak", "slower by"])
        self.assertTrue(all(c["ok"] and c["limit"] is None
                            for c in out["checks"]))

    def test_slope_is_that_of_the_samples(self):
        out = json.loads(soak("--rounds", "30", "-o", "json").stdout)
        x = [m / 60 for m in out["sample_minutes"]]
        y = out["sample_rss_mib"]
        mx, my = sum(x) / len(x), sum(y) / len(y)
        sxx = sum((a - mx) ** 2 for a in x)
        slope = sum((a - mx) * (b - my) for a, b in zip(x, y)) / sxx
        # Half a KiB and 0.3 us are lost in writing the samples.
        lost = 0.0005 * sum(abs(a - mx) for a in x) / sxx
        self.assertAlmostEqual(out["leak_mib_per_hour"], slope,
                               delta=lost + 0.01 * abs(slope) + 1e-4)

    def test_minutes(self):
        done = soak("--minutes", "0.01", "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        out = json.loads(done.stdout)
        self.assertGreaterEqual(out["minutes"], 0.01)
        self.assertGreaterEqual(out["rounds"], 1)

    def test_limits_decide_the_exit_code(self):
        # A page more in a millisecond would be ten thousand MiB an hour.
        done = soak("--rounds", "8", "--max-leak", "1e12", "--max-drift",
                    "100")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("<= 1000000000000", done.stdout)
        self.assertNotIn("FAILED", done.stdout)

    def test_every_format(self):
        for form in ("text", "md"):
            done = soak("--rounds", "4", "-o", form)
            self.assertEqual(done.returncode, 0, done.stderr)
            for word in ("MiB/h", "4 rounds of", "first quarter", "leak"):
                self.assertIn(word, done.stdout)
        rows = list(csv.DictReader(
            soak("--rounds", "4", "-o", "csv").stdout.splitlines()))
        self.assertEqual([r["name"] for r in rows], ["leak", "slower by"])

    def test_picture(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s.svg")
            done = soak("--rounds", "20", "--svg", path)
            self.assertEqual(done.returncode, 0, done.stderr)
            root = xml.etree.ElementTree.parse(path).getroot()
            name = "{http://www.w3.org/2000/svg}"
            lines = [len(p.get("points").split())
                     for p in root.iter(name + "polyline")]
            self.assertEqual(lines, [20, 20])
            texts = [t.text for t in root.iter(name + "text")]
            for word in ("Memory", "Decode", "minutes"):
                self.assertIn(word, texts)

    def test_ctrl_c_ends_it_with_a_report(self):
        with subprocess.Popen(
                [BENCH, "soak", MODEL, "-n", "4", "--minutes", "60", "-o",
                 "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                encoding="utf-8") as process:
            status = pathlib.Path(f"/proc/{process.pid}/status")
            for _ in range(600):  # until it holds signals: a minute at most
                mask = re.search(r"SigBlk:\s*(\w+)", status.read_text())[1]
                if int(mask, 16) >> (signal.SIGINT - 1) & 1:
                    break
                time.sleep(0.1)
            # There may be no round yet; then there is nothing to report.
            time.sleep(0.2)
            process.send_signal(signal.SIGINT)
            out, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, errors)
        if out:
            self.assertEqual(json.loads(out)["verb"], "soak")
        else:
            self.assertIn("interrupted", errors)

    def test_one_end_is_wanted(self):
        for args in ((), ("--rounds", "4", "--minutes", "1"),
                     ("--rounds", "3"), ("--minutes", "0"),
                     ("--rounds", "4", "--max-leak", "-1")):
            done = soak(*args)
            self.assertEqual(done.returncode, 2, done.stderr)
            self.assertEqual(done.stdout, "")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
