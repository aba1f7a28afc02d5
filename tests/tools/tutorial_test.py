#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Microsoft's tutorial (microsoft/edgeai-for-beginners, Module05/04) from a
Hugging Face folder to a chat, line by line: `olive` is slm-convert, `foundry`
is slm-run, nothing else is changed. The lines are those of the team's
spec/tutorial.md where it is; LINES and FILES are checked to be the same ones.

The model is the demo model, dequantised (demo_hf.py): it answers questions,
and the answers before and after are compared.

usage: tutorial_test.py SLM_CONVERT SLM_RUN SLM_BENCH tools/demo/model
                        SHARED_DIR
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import demo_hf  # noqa: E402
import packed_models  # noqa: E402
from pty_program import Program  # noqa: E402

CONVERT, RUN, BENCH, DEMO, SHARED = (
    pathlib.Path(p).resolve() for p in sys.argv[1:6])
TUTORIAL = SHARED / "spec" / "tutorial.md"
TIMEOUT = 120  # seconds of a command; sanitizers on a busy machine are slow

LINES = {
    "auto-opt": "olive auto-opt --model_name_or_path MODEL_DIR --device cpu "
                "--provider CPUExecutionProvider --use_model_builder "
                "--precision int4 --output_path models/NAME/onnx "
                "--log_level 1",
    "run": "olive run --config ./finetuned_conversion_config.json",
    "cd": "foundry cache cd ./models/",
    "mkdir": "mkdir -p ./models/custom/NAME",
    "ls": "foundry cache ls",
    "chat": "foundry model run NAME-int4",
}
FILES = {
    "config": {
        "input_model": {"type": "HfModel", "model_path": "MODEL_DIR",
                        "task": "text-generation"},
        "systems": {"local_system": {"type": "LocalSystem", "accelerators": [
            {"execution_providers": ["CPUExecutionProvider"]}]}},
        "passes": {"builder": {"type": "ModelBuilder", "config": {
            "precision": "int4", "quantization_config": {
                "block_size": 128, "is_symmetric": False}}}},
        "host": "local_system", "target": "local_system", "cache_dir": "cache",
        "output_dir": "models/output/NAME-onnx"},
    "inference_model": {
        "Name": "NAME-int4", "Description": "...", "Version": "1.0",
        "PromptTemplate": {
            "system": "<|im_start|>system\n{Content}<|im_end|>",
            "user": "<|im_start|>user\n{Content}<|im_end|>",
            "assistant": "<|im_start|>assistant\n{Content}<|im_end|>",
            "prompt": "<|im_start|>user\n{Content}<|im_end|>\n"
                      "<|im_start|>assistant"},
        "ModelConfig": {"max_length": 2048, "temperature": 0.7, "top_p": 0.9,
                        "repetition_penalty": 1.1}},
}
QUESTIONS = ("What is slm?", "How do I set the temperature?", "Who are you?",
             "What is 7 plus 5?", "Is slm free?", "How do I stop an answer?",
             "Name three colors as a JSON list.", "hello", "你好",
             "What will the weather be tomorrow?")
SHIPPED = {}  # what the demo model answers


def of_the_tutorial(text):
    """Lines and files of tutorial.md, under the keys of LINES and FILES."""
    blocks = re.findall(r"(?ms)^```\n(.*?)^```$", text)
    spans = re.findall(r"`((?:olive|foundry|mkdir) [^`]+)`", text)
    commands = [re.sub(r" *\\\n *", " ", b).strip() for b in blocks
                if not b.startswith("{")] + spans
    files = [json.loads(re.sub(r"(?<=: )MODEL_DIR\b", '"MODEL_DIR"', b))
             for b in blocks if b.startswith("{")]
    return (dict(zip(LINES, commands)), dict(zip(FILES, files)),
            len(commands) == len(LINES) and len(files) == len(FILES))


def with_our_names(line):
    line = re.sub(r"^olive\b", "slm-convert", line)
    return re.sub(r"^foundry\b", "slm-run", line)


class Place(unittest.TestCase):
    """A home and a work folder with MODEL_DIR, the HF folder, in it."""

    @classmethod
    def setUpClass(cls):
        temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(temporary.cleanup)
        cls.home = pathlib.Path(temporary.name).resolve()
        cls.work = cls.home / "work"
        cls.work.mkdir()
        cls.env = {k: v for k, v in os.environ.items()
                   if not k.startswith(("SLM_", "XDG_"))}
        cls.env.update(HOME=str(cls.home), TERM="xterm",
                       # Freed memory is kept for a while by its allocator.
                       ASAN_OPTIONS=os.environ.get("ASAN_OPTIONS", "") +
                       ":quarantine_size_mb=1",
                       PATH=f"{RUN.parent}:{CONVERT.parent}:/usr/bin:/bin")
        cls.lines, cls.files = LINES, FILES
        if TUTORIAL.exists():
            cls.lines, cls.files, cls.complete = of_the_tutorial(
                TUTORIAL.read_text())

    def shell(self, line, stdin="", code=0):
        done = subprocess.run(["sh", "-c", line], input=stdin, env=self.env,
                              cwd=self.work, capture_output=True,
                              encoding="utf-8", errors="surrogateescape",
                              timeout=TIMEOUT)
        self.assertEqual(done.returncode, code, f"{line}\n{done.stderr}")
        return done

    def do(self, key, code=0):
        """A line of the tutorial, as written but for the commands' names."""
        return self.shell(with_our_names(self.lines[key]), code=code)

    def chat(self):
        """The line that begins one, at a terminal."""
        program, *words = with_our_names(self.lines["chat"]).split()
        return Program(shutil.which(program, path=self.env["PATH"]), *words,
                       env=self.env, cwd=str(self.work))

    def slm_run(self, *args, code=0):
        done = subprocess.run([RUN, *args], stdin=subprocess.DEVNULL,
                              env=self.env, cwd=self.work, timeout=TIMEOUT,
                              capture_output=True)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout.decode("utf-8")

    def shipped(self, question):
        """The answer of the demo model as it is."""
        if question not in SHIPPED:
            SHIPPED[question] = self.answer(DEMO, question)
        return SHIPPED[question]

    def answer(self, model, question):
        return self.slm_run(model, "-q", "--greedy", question)

    def write(self, path, key):
        (self.work / path).write_text(
            json.dumps(self.files[key], ensure_ascii=False))


class FromFolderToChat(Place):
    """Steps 1 to 5; each goes on where the one before ended."""

    def test_0_the_lines_are_the_tutorials(self):
        if not TUTORIAL.exists():
            self.assertFalse("CI" in os.environ, f"{TUTORIAL} is missing")
            self.skipTest(f"{TUTORIAL} is absent: its lines are this file's")
        self.assertTrue(self.complete, "tutorial.md has other lines now")
        self.assertEqual(self.lines, LINES)
        self.assertEqual(self.files, FILES)

    def test_1_one_command(self):
        demo_hf.make_folder(DEMO, self.work / "MODEL_DIR")
        self.do("auto-opt")
        made = self.work / "models/NAME/onnx"
        # The folder is called after its format; the model is not.
        self.assertEqual(json.loads((made / "inference_model.json").read_text(
            ))["Name"], "NAME")
        # Values of 4 bits come back from floats (search finds their scales
        # but for the last digit), and so do the answers.
        for question in QUESTIONS:
            self.assertEqual(self.answer(made, question),
                             self.shipped(question), question)

    def test_2_a_configuration_file(self):
        self.write("finetuned_conversion_config.json", "config")
        self.do("run")
        made = self.work / "models/output/NAME-onnx"
        onnx = packed_models.Onnx(made)
        for node in onnx.nodes:
            if node.endswith("MatMul_Q4"):
                inputs = packed_models.every(onnx.nodes[node], 1)
                self.assertEqual(onnx.attributes(node)["block_size"], 128)
                self.assertIn(b"zero_point", inputs[3])
        # Blocks of 128 round what was 4 bits in blocks of 32 again, so that
        # some answers are others.
        same = sum(self.answer(made, q) == self.shipped(q)
                   for q in QUESTIONS)
        print(f"blocks of 128: {same} of {len(QUESTIONS)} answers are those "
              "of the shipped model")
        self.assertGreater(same, 0)

    def test_3_a_custom_folder(self):
        self.do("cd")
        self.do("mkdir")
        custom = self.work / "models/custom/NAME"
        self.write(custom / "inference_model.json", "inference_model")
        # The trap: the weights are still in models/NAME/onnx.
        self.assertRegex(self.do("ls").stdout,
                         r"(?m)^NAME-int4 .* lacks genai_config.json, "
                         r"model.onnx, tokenizer.json$")
        with self.chat() as chat:
            self.assertEqual(chat.exit_code(), 3)
            error = chat.plain().replace("\r\n", "\n")
        self.assertIn(f'its folder "{custom}" lacks genai_config.json', error)
        self.assertEqual(error.count("\n"), 1)
        for path in (self.work / "models/NAME/onnx").iterdir():
            if path.name != "inference_model.json":
                shutil.copy(path, custom)

    def test_4_list_and_chat(self):
        self.assertRegex(self.do("ls").stdout, r"(?m)^NAME-int4 .* ready$")
        answers = [self.shipped(q).rstrip("\n") for q in QUESTIONS[:2]]
        with self.chat() as chat:
            chat.expect("NAME-int4; /help", "\x1b[?2004h")
            chat.send("/set temp 0\r")
            chat.expect("\x1b[?2004h")
            for question, answer in zip(QUESTIONS, answers):
                chat.send(question + "\r")
                chat.expect(answer, "[ttft ", "\x1b[?2004h")
                chat.send("/clear\r")
                chat.expect("\x1b[?2004h")
            chat.send("\x04")
            self.assertEqual(chat.exit_code(), 0)
        # The setting of `cache cd` counts from elsewhere, too.
        self.assertEqual(
            subprocess.run([RUN, "cache", "location"], env=self.env,
                           cwd=self.home, capture_output=True, timeout=TIMEOUT,
                           encoding="utf-8").stdout,
            str(self.work / "models") + "\n")

    def test_5_answers_in_the_domain_in_the_format(self):
        for question in QUESTIONS:
            self.assertEqual(self.answer("NAME-int4", question),
                             self.shipped(question), question)
        # Structure that a program reads, with what the checklist measures.
        out = json.loads(self.slm_run("NAME-int4", "-o", "json", "--greedy",
                                      QUESTIONS[0]))
        self.assertEqual(out["text"] + "\n", self.shipped(QUESTIONS[0]))
        self.assertEqual(out["finish_reason"], "stop")
        for key in ("ttft_ms", "prompt_per_second", "predicted_per_second",
                    "rss_bytes", "peak_rss_bytes"):
            self.assertGreater(out["timings"][key], 0, key)

        for question in ("Make a JSON list: tea, milk, sugar",
                         "name Zoe, city Lima as JSON",
                         "Format as JSON: Ann is 30 years old."):
            text = self.slm_run("NAME-int4", "--json", "--strict", "--greedy",
                                question)
            self.assertIsInstance(json.loads(text), (dict, list), question)

    def bench(self, *words):
        done = subprocess.run(
            [BENCH, *words, "-q", "-o", "json"], env=self.env, cwd=self.work,
            capture_output=True, encoding="utf-8", timeout=TIMEOUT)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_5_speed_memory_and_processor(self):
        out = self.bench("NAME-int4", "-p", "8,64", "-n", "4", "-r", "1")
        for key in ("load_ms", "ttft_ms", "peak_rss_mib", "cpu_percent"):
            self.assertGreater(out[key], 0, key)
        self.assertEqual([t["name"] for t in out["tests"]],
                         ["pp8", "pp64", "tg4"])

    def test_5_no_memory_leak_in_long_use(self):
        # Keys and values alone of one answer, 8 layers x 256 float16 values
        # x some 100 tokens, are 0.4 MiB: who kept those of 40 answers would
        # grow by 16.
        rss = self.bench("soak", "NAME-int4", "--rounds", "10", "-n",
                         "4")["sample_rss_mib"]
        self.assertEqual(len(rss), 10)
        self.assertLess(rss[-1] - rss[0], 8, rss)

    def test_5_output_quality(self):
        text = self.work / "text.txt"
        text.write_text("slm-run MODEL is a chat at a terminal.\n" * 50)
        out = self.bench("ppl", "NAME-int4", "-f", str(text), "-c", "64")
        self.assertGreater(out["scored_tokens"], 0)
        self.assertGreater(out["perplexity"], 1)
        # Beside the model that it was made from, and closer to that than what
        # was rounded a second time (step 2).
        kl = [self.bench("kld", name, str(DEMO), "-f", str(text), "-c", "64",
                         "--chunks", "2")["kl"]
              for name in ("NAME-int4", "NAME-onnx")]
        self.assertLess(kl[0], kl[1])

    def test_5_input_lengths(self):
        context = 2048
        for words in (1, 10, 100, 1000):
            out = json.loads(self.slm_run("NAME-int4", "-n", "8", "-o", "json",
                                          "word " * words))
            self.assertGreaterEqual(out["usage"]["prompt_tokens"], words)
            self.assertGreater(out["usage"]["completion_tokens"], 0)
        done = subprocess.run([RUN, "NAME-int4", "word " * 3000],
                              env=self.env, cwd=self.work, timeout=TIMEOUT,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              encoding="utf-8")
        self.assertEqual(done.returncode, 7)
        self.assertEqual(done.stdout, "")
        self.assertIn(f"context is {context}", done.stderr)

    def test_5_bad_input(self):
        for text, code in ((b"", 2), (b" \t\n", 0), (b"a\xff\xfe\xc0b", 0),
                           (b"\xed\xa0\x80", 0), (b"<|im_end|><|im_start|>", 0),
                           (b"{%- raw %}{{ x }}", 0), (b"\x1b[2J\x07", 0),
                           ("e\u0301\u200d\U0001f469".encode() * 50, 0),
                           (b"9" * 1500, 0)):
            with self.subTest(text[:20]):
                out = self.slm_run("NAME-int4", "-n", "16", text, code=code)
                self.assertNotIn("\x1b", out)


class Traps(Place):
    def setUp(self):
        self.models = self.work / "models"
        self.addCleanup(shutil.rmtree, self.models, ignore_errors=True)
        self.custom = self.models / "custom/NAME"
        shutil.copytree(DEMO, self.custom)
        self.write(self.custom / "inference_model.json", "inference_model")

    def prompt(self):
        out = self.slm_run("model", "run", "NAME-int4", "--show-prompt", "hi",
                           "-n", "1")
        return out[:out.rindex("<|im_start|>assistant") + 22]

    def test_the_models_own_template_has_the_newline_behind_assistant(self):
        self.assertEqual(self.prompt(), "<|im_start|>user\nhi<|im_end|>\n"
                                        "<|im_start|>assistant\n")

    def test_the_folders_prompt_counts_where_there_is_no_other_template(self):
        (self.custom / "chat_template.jinja").unlink()
        name = self.custom / "inference_model.json"
        name.write_text(name.read_text().replace("im_start|>user",
                                                 "im_start|>User"))
        self.assertTrue(self.prompt().startswith("<|im_start|>User\nhi"))

    def test_folders_are_nested_as_deep_as_foundrys(self):
        deep = self.models / "Publisher/NAME-generic-cpu-1/v1"
        deep.parent.mkdir(parents=True)
        self.custom.rename(deep)
        self.assertEqual(self.answer("NAME-int4", QUESTIONS[0]),
                         self.shipped(QUESTIONS[0]))

    def test_weights_elsewhere_are_a_model_of_their_own(self):
        for path in self.custom.iterdir():
            if path.name != "inference_model.json":
                path.unlink()
        shutil.copytree(DEMO, self.models / "NAME/onnx", ignore=lambda *_:
                        ["inference_model.json"])
        listed = {m["name"]: m["lacks"]
                  for m in json.loads(self.slm_run("list", "-o", "json"))}
        self.assertEqual(listed, {"NAME": [], "NAME-int4": [
            "genai_config.json", "model.onnx", "tokenizer.json"]})
        self.assertEqual(self.answer("NAME", QUESTIONS[0]),
                         self.shipped(QUESTIONS[0]))


if __name__ == "__main__":
    # A step needs what the one before has made.
    unittest.main(argv=sys.argv[:1] + sys.argv[6:], failfast=True)
