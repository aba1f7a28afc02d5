#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-run and slm-inspect as a user or a script calls them.

usage: cli_test.py SLM_RUN SLM_INSPECT tests/data/tiny-model
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

RUN, INSPECT, MODEL = (os.path.abspath(p) for p in sys.argv[1:4])
SENTENCE = ("Hello, I am a tiny test model made by one script; this sentence "
            "is all it can say. Give slm-run the folder of something bigger!")
WORDS = 31  # tokens of it
PROMPT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


def call(program, *args, stdin=""):
    return subprocess.run([program, *args], input=stdin, timeout=60,
                          capture_output=True, encoding="utf-8")


def run(*args, stdin=""):
    return call(RUN, *args, stdin=stdin)


class SlmRun(unittest.TestCase):
    def expect(self, done, stdout, code=0):
        self.assertEqual((done.stdout, done.returncode), (stdout, code),
                         done.stderr)

    def expect_error(self, done, code, *words):
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertTrue(done.stderr.startswith("slm-run: error: "),
                        done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_one_shot_leaves_stderr_empty(self):
        done = run(MODEL, "hi")
        self.expect(done, SENTENCE + "\n")
        self.assertEqual(done.stderr, "")

    def test_stdin_is_the_prompt(self):
        self.expect(run(MODEL, stdin="hi"), SENTENCE + "\n")
        self.expect(run(MODEL, "--show-prompt", stdin="hi"),
                    PROMPT.format("hi") + "\n")

    def test_stdin_and_file_come_after_the_words(self):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("from a file")
            file.flush()
            done = run(MODEL, "Sum", "up:", "--file", file.name,
                       "--show-prompt", stdin="piped\n")
        self.expect(done, PROMPT.format("Sum up:\nfrom a file\npiped\n")
                    + "\n")

    def test_an_empty_prompt_is_a_usage_error(self):
        self.expect_error(run(MODEL), 2, "prompt is empty")

    def test_system_text(self):
        done = run(MODEL, "hi", "-s", "Be brief.", "--show-prompt")
        self.expect(done, "<|im_start|>system\nBe brief.<|im_end|>\n"
                    + PROMPT.format("hi") + "\n")

    def test_json(self):
        done = run(MODEL, "hi", "-o", "json")
        self.assertEqual(done.returncode, 0, done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual(answer["text"], SENTENCE)
        self.assertEqual(answer["finish_reason"], "stop")
        usage = answer["usage"]
        self.assertEqual(usage["prompt_tokens"], 10)
        self.assertEqual(usage["completion_tokens"], WORDS + 1)
        self.assertEqual(usage["total_tokens"], 10 + WORDS + 1)
        self.assertIn("timings", answer)

    def test_json_lines(self):
        done = run(MODEL, "hi", "-o", "jsonl", "-n", "5")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual("".join(l["text"] for l in lines[:-1]),
                         "Hello, I am a")
        self.assertEqual(lines[-1]["finish_reason"], "length")
        self.assertNotIn("text", lines[-1])

    def test_an_answer_that_is_json(self):
        # Token 90 is {, 92 is }, 1 is ".
        braces = ["--json", "--logit-bias", "90=50", "--logit-bias", "92=100"]
        done = run(MODEL, "hi", *braces, "--strict")
        self.expect(done, "{}\n")
        self.assertEqual(done.stderr, "")
        answer = json.loads(run(MODEL, "hi", *braces, "-o", "json").stdout)
        self.assertEqual((answer["text"], answer["finish_reason"]),
                         ("{}", "stop"))
        self.assertEqual(answer["usage"]["completion_tokens_details"],
                         {"reasoning_tokens": 0})
        cut = ["--json", "-n", "9", "--logit-bias", "58=50", "--logit-bias",
               "1=-100"]
        done = run(MODEL, "hi", *cut)
        self.assertEqual((done.returncode, done.stdout[:1]), (0, "["))
        self.assertIn("the JSON is not complete: the limit came after 9 tokens",
                      done.stderr)
        self.assertEqual(run(MODEL, "hi", *cut, "--strict").returncode, 8)
        answer = json.loads(run(MODEL, "hi", *cut, "-o", "json").stdout)
        self.assertEqual(answer["finish_reason"], "length")
        done = run(MODEL, "hi", *braces, "--stop", "}", "--strict")
        self.expect(done, "{\n", 8)
        self.assertIn("a stop string came", done.stderr)
        self.expect_error(run(MODEL, "hi", "--json", "--beams", "2"), 2,
                          "--beams", "--json")

    def test_the_environment_and_a_file_set_flags(self):
        def with_env(*args, **variables):
            return subprocess.run(
                [RUN, MODEL, *args], env={**os.environ, **variables},
                stdin=subprocess.DEVNULL, timeout=60, capture_output=True,
                encoding="utf-8")
        self.expect(with_env("hi", SLM_MAX_TOKENS="3"), "Hello, I\n")
        self.expect(with_env("hi", "-n", "1", SLM_MAX_TOKENS="3"), "Hello\n")
        self.expect(with_env("hi", SLM_MAX_TOKENS="3", SLM_STRICT="on"),
                    "Hello, I\n", 8)
        self.expect_error(with_env("hi", SLM_MAX_TOKENS="0"), 2,
                          "set by SLM_MAX_TOKENS")
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            file.write('{"max-tokens": 5, "top_k": 9}')
            file.flush()
            self.expect(run(MODEL, "hi", "--config", file.name),
                        "Hello, I am a\n")
            done = with_env("--print-config", "--temp", "0.5",
                            SLM_CONFIG=file.name, SLM_CTX="128")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for line in (r"ctx +128 +SLM_CTX", r"temp +0.5 +command line",
                         r"top-k +9 +" + file.name, r"temp 0.5  top-k 9",
                         r".*max-tokens 5"):
                self.assertRegex(done.stdout, rf"(?m)^{line}$|^{line} ")
            done = with_env("--print-config", "-n", "2", SLM_CONFIG=file.name)
            self.assertIn("max-tokens 2\n", done.stdout)

    def test_stats_go_to_stderr(self):
        done = run(MODEL, "hi", "--stats")
        self.expect(done, SENTENCE + "\n")
        self.assertRegex(done.stderr, r"prompt 10 tok.*gen 32 tok")

    def test_verbose_leaves_stdout_clean(self):
        done = run(MODEL, "hi", "-v", "--top-k", "7", "--greedy")
        self.expect(done, SENTENCE + "\n")
        self.assertRegex(done.stderr, r"top-k +7 +command line")
        self.assertIn("greedy: the most probable token\ntemp 1  top-k 7",
                      done.stderr)

    def test_verbose_shows_the_memory_plan_of_slm_inspect(self):
        plan = call(INSPECT, "memory", MODEL).stdout
        for word in ("weights", "KV cache", "scratch"):
            self.assertIn(word, plan)
        self.assertIn(plan, run(MODEL, "hi", "-v").stderr)

    def test_verbose_shows_the_memory_plan_before_memory_is_refused(self):
        done = run(MODEL, "hi", "-v", "--max-mem", "1K")
        self.assertEqual(done.returncode, 5, done.stderr)
        plan, _, error = done.stderr.rpartition("slm-run: error: ")
        self.assertIn("KV cache", plan)
        self.assertIn("limit", error)

    def test_limits_and_stops(self):
        self.expect(run(MODEL, "hi", "-n", "3"), "Hello, I\n")
        self.expect(run(MODEL, "hi", "-n", "3", "--strict"), "Hello, I\n", 8)
        self.expect(run(MODEL, "hi", "--strict"), SENTENCE + "\n")
        self.expect(run(MODEL, "hi", "--stop", ", I"), "Hello\n")

    def test_raw_continues_a_text(self):
        self.expect(run(MODEL, "--raw", "Hello, I am"),
                    SENTENCE[len("Hello, I am"):] + "\n")

    def test_same_text_whatever_the_machine_flags(self):
        for flags in (["-t", "1"], ["-t", "3"], ["--kv", "f32"],
                      ["--kv", "int8"], ["--lookup", "3"], ["-c", "64"],
                      ["--greedy"], ["--max-mem", "100M"],
                      ["--temp", "0.5", "--seed", "1"]):
            with self.subTest(flags):
                self.expect(run(MODEL, "hi", *flags), SENTENCE + "\n")

    def test_beams(self):
        # What onnxruntime-genai 0.18.0 says: see generate_test.cc.
        done = run(MODEL, "hi", "--beams", "3", "-n", "70")
        self.expect(done, SENTENCE.replace("slm-run the folder of ", "")
                    + "\n")

    def test_a_template_of_ones_own(self):
        with tempfile.NamedTemporaryFile("w", suffix=".jinja") as file:
            file.write("{% for m in messages %}[{{ m.content }}]{% endfor %}")
            file.flush()
            self.expect(run(MODEL, "hi", "--template", "@" + file.name,
                            "--show-prompt"), "[hi]\n")
            file.write("{% nonsense %}")
            file.flush()
            self.expect_error(run(MODEL, "hi", "--template", "@" + file.name),
                              4, "nonsense")

    def test_usage_errors(self):
        self.expect_error(run(), 2, "no model")
        self.expect_error(run(MODEL, "hi", "--frobnicate"), 2, "frobnicate")
        self.expect_error(run(MODEL, "hi", "--temp", "warm"), 2, "--temp")
        self.expect_error(run(MODEL, "hi", "-c", "257"), 2, "257", "256")

    def test_missing_models_and_files(self):
        self.expect_error(run("/no/such/folder", "hi"), 3, "/no/such/folder")
        self.expect_error(run(MODEL, "--file", "/no/such/file"), 3,
                          "/no/such/file")

    def test_broken_models(self):
        with tempfile.TemporaryDirectory() as folder:
            broken = pathlib.Path(folder) / "broken"
            shutil.copytree(MODEL, broken)
            data = (broken / "model.onnx").read_bytes()
            os.chmod(broken / "model.onnx", 0o644)
            (broken / "model.onnx").write_bytes(data[:len(data) // 2])
            self.expect_error(run(str(broken), "hi"), 4, "model.onnx")

    def test_overflow(self):
        self.expect_error(run(MODEL, "x" * 300), 7, "308", "256")

    def test_memory_limit(self):
        self.expect_error(run(MODEL, "hi", "--max-mem", "1K"), 5, "limit")

    def test_help_fits_a_terminal(self):
        done = run("--help")
        self.assertEqual(done.returncode, 0)
        lines = done.stdout.splitlines()
        self.assertLessEqual(len(lines), 50)
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertEqual(done.stderr, "")

    def test_version(self):
        done = run("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^slm-run \d+\.\d+\.\d+\n$")


def read_npy_header(path):
    data = pathlib.Path(path).read_bytes()
    assert data[:6] == b"\x93NUMPY"
    size = int.from_bytes(data[8:10], "little")
    header = eval(data[10:10 + size])  # noqa: S307 a literal by the format
    return header, len(data) - 10 - size


class SlmInspect(unittest.TestCase):
    def expect_ok(self, *args, stdin=""):
        done = call(INSPECT, *args, stdin=stdin)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_reports(self):
        self.assertIn("GroupQueryAttention", self.expect_ok("graph", MODEL))
        self.assertIn("bind-attention", self.expect_ok("plan", MODEL))
        self.assertIn("MatMulNBits", self.expect_ok("ops", MODEL))
        self.assertIn("GatherND", self.expect_ok("ops"))
        self.assertIn("|", self.expect_ok("ops", "--markdown"))
        memory = self.expect_ok("memory", MODEL)
        self.assertIn("256 tokens", memory)
        self.assertIn("scratch", memory)

    def test_logits(self):
        with tempfile.TemporaryDirectory() as folder:
            out = os.path.join(folder, "l.npy")
            for flags, rows in ((["--all"], 3), ([], 1),
                                (["--all", "--prefill", "1"], 3)):
                self.expect_ok("logits", MODEL, "--ids", "1,2,3", "--out",
                               out, *flags)
                header, size = read_npy_header(out)
                self.assertEqual(header["shape"], (rows, 288))
                self.assertEqual(header["descr"], "<f4")
                self.assertEqual(size, rows * 288 * 4)

    def test_generate_says_what_onnxruntime_chose(self):
        reference = json.loads(
            (pathlib.Path(MODEL).parent / "tiny-model-reference.json")
            .read_text())
        for prompt in reference["prompts"]:
            ids = ",".join(map(str, prompt["ids"]))
            out = self.expect_ok("generate", MODEL, "--ids", ids, "-n",
                                 str(len(prompt["greedy"])))
            self.assertEqual([int(t) for t in out.split(",")],
                             prompt["greedy"])

    def test_errors(self):
        for args, code in ((["frobnicate"], 2), ([], 2),
                           (["graph", "/no/such"], 3),
                           (["logits", MODEL, "--ids", "1"], 2),
                           (["generate", MODEL, "--ids", "999"], 2)):
            with self.subTest(args):
                done = call(INSPECT, *args)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertEqual(done.stdout, "")
                self.assertNotEqual(done.stderr, "")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
