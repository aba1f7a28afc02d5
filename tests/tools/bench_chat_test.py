#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-bench chat, as a user or a script calls it.

usage: bench_chat_test.py SLM_BENCH tests/data/tiny-model tools/demo/model
"""
import csv
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import unittest

BENCH, TINY, DEMO = (os.path.abspath(p) for p in sys.argv[1:4])
KEYS = {"prompt_tokens", "output_tokens", "ttft_ms", "prefill_tok_per_s",
        "decode_tok_per_s", "ttft_p50_ms", "ttft_p95_ms", "ttft_p99_ms",
        "itl_p50_ms", "itl_p95_ms", "itl_p99_ms"}


def chat(*args):
    return subprocess.run([BENCH, "chat", *args], timeout=60,
                          capture_output=True, encoding="utf-8")


def report(*args):
    done = chat(*args, "-o", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Chat(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def prompts(self, *lines):
        path = self.folder / "prompts.jsonl"
        path.write_text("\n".join(lines), encoding="utf-8")
        return str(path)

    def test_built_in_prompts_on_the_demo_model(self):
        out = report(DEMO, "-n", "4", "-r", "1")
        self.assertEqual((out["schema"], out["verb"]), (1, "chat"))
        self.assertEqual(out["template"], "chat_template.jinja")
        self.assertEqual([p["name"] for p in out["prompts"]],
                         ["question", "letter", "talk", "article"])
        tokens = [p["prompt_tokens"] for p in out["prompts"]]
        self.assertGreater(max(tokens), 20 * min(tokens))
        for key in ("load_ms", "peak_rss_mib"):
            self.assertGreater(out[key], 0)

    def test_figures_are_of_the_samples(self):
        path = self.prompts('{"prompt": "Hi"}', '{"prompt": "%s"}' % ("a" * 99))
        out = report(TINY, "-f", path, "-n", "3", "-r", "3")
        tests = {t["name"]: t for t in out["tests"]}
        for prompt in out["prompts"]:
            self.assertLessEqual(KEYS, set(prompt))
            name = prompt["name"]
            for key, test, unit in (
                    ("ttft_ms", f"{name} first", "ms"),
                    ("prefill_tok_per_s", f"{name} prefill", "tok/s"),
                    ("decode_tok_per_s", f"{name} decode", "tok/s")):
                self.assertEqual(tests[test]["unit"], unit)
                samples = tests[test]["samples"]
                self.assertEqual(len(samples), 3)
                self.assertAlmostEqual(prompt[key],
                                       statistics.median(samples), delta=0.06)
            # Between three tokens of three answers.
            self.assertEqual(len(prompt["itl_samples_ms"]), 2 * 3)
        self.assertEqual(out["all"]["answers"], 6)
        self.assertGreater(*(p["prompt_tokens"] for p in out["prompts"][::-1]))

    def test_percentiles_need_samples(self):
        path = self.prompts('{"prompt": "Hi"}')
        few = report(TINY, "-f", path, "-n", "2", "-r", "19")["all"]
        many = report(TINY, "-f", path, "-n", "6", "-r", "20")["all"]
        self.assertEqual({few[f"{k}_p{p}_ms"] for k in ("ttft", "itl")
                          for p in (50, 95, 99)}, {None})
        self.assertLessEqual(many["ttft_p50_ms"], many["ttft_p95_ms"])
        self.assertIsNone(many["ttft_p99_ms"])  # needs 100
        self.assertLessEqual(many["itl_p95_ms"], many["itl_p99_ms"])
        text = chat(TINY, "-f", path, "-n", "2", "-r", "19").stdout
        self.assertIn("n/a", text)

    def test_every_format_has_the_prompts(self):
        path = self.prompts('{"messages": [{"role": "user", "content": "a"}]}')
        for form in ("text", "md"):
            done = chat(TINY, "-f", path, "-n", "2", "-r", "2", "-o", form)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for word in ("line 1", "to the first token", "between tokens",
                         "tokenising", "peak RSS"):
                self.assertIn(word, done.stdout)
        done = chat(TINY, "-f", path, "-n", "2", "-r", "2", "-o", "csv")
        rows = list(csv.DictReader(done.stdout.splitlines()))
        self.assertEqual([r["prompt"] for r in rows], ["line 1", "all"])
        self.assertEqual(rows[0]["ttft_p50_ms"], "-")

    def test_sampling_is_repeated_by_its_seed(self):
        path = self.prompts('{"prompt": "Hi"}')
        one, two = (report(DEMO, "-f", path, "-n", "24", "-r", "2", "--temp",
                           "1.5", "--seed", "3")["prompts"][0]
                    for _ in range(2))
        self.assertEqual(one["output_tokens"], two["output_tokens"])

    def test_what_does_not_fit(self):
        done = chat(TINY, "-n", "64", "-r", "1")
        self.assertEqual(done.returncode, 0)
        self.assertIn('note: without "article"', done.stderr)
        self.assertEqual(chat(TINY, "-n", "64", "-r", "1", "-q").stderr, "")
        done = chat(TINY, "-n", "250")
        self.assertEqual(done.returncode, 7, done.stderr)
        path = self.prompts('{"prompt": "a"}', json.dumps(
            {"prompt": "a" * 300}))
        done = chat(TINY, "-f", path, "-n", "2")
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertIn(f"{path}, line 2: ", done.stderr)

    def test_bad_files_are_refused(self):
        path = self.prompts('{"prompt": "a"}', '{"text": "a"}')
        done = chat(TINY, "-f", path)
        self.assertEqual(done.returncode, 4)
        self.assertIn(f'{path}, line 2: unknown key "text"', done.stderr)
        done = chat(TINY, "-f", str(self.folder / "none.jsonl"))
        self.assertEqual(done.returncode, 3)
        path = self.prompts(
            '{"messages": [{"role": "king", "content": "a"}]}')
        done = chat(TINY, "-f", path)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('role "king"', done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
