#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-run with a model that thinks, at a terminal and in a pipe.

usage: chat_thinking_test.py SLM_RUN tests/data/tiny-model
"""
import base64
import json
import os
import pathlib
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chat_program import (  # noqa: E402
    MODEL, PATIENCE, READY, RUN, SENT, SENTENCE, Chat)
from pty_program import Program  # noqa: E402


class Thinking(Chat):
    """A template whose prompt opens a thought; the model's sentence then is
    one that never ends."""

    def setUp(self):
        super().setUp()
        self.model = self.path("thinker")
        shutil.copytree(MODEL, self.model)
        self.change("tokenizer_config.json",
                    lambda config: config.pop("chat_template", None))
        template = pathlib.Path(self.model, "chat_template.jinja")
        text = template.read_text()
        template.unlink()
        template.write_text(
            text + "{%- if enable_thinking is not defined or enable_thinking "
            "%}{{- '<think>\\n' }}{%- endif %}")

    def change(self, name, change):
        file = pathlib.Path(self.model, name)
        value = json.loads(file.read_text())
        change(value)
        file.unlink()
        file.write_text(json.dumps(value))

    def name_the_mark(self, special):
        """Token 285, an end token otherwise, is </think> as one token."""
        def rename(tokenizer):
            for added in tokenizer["added_tokens"]:
                if added["id"] == 285:
                    added.update(content="</think>", special=special)

        self.change("tokenizer.json", rename)
        self.change("genai_config.json",
                    lambda config: config["model"].update(eos_token_id=287))

    def run_piped(self, *args):
        return subprocess.run(
            [RUN, self.model, "hi", *args], env=self.env, encoding="utf-8",
            capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)

    def test_the_switch(self):
        chat = self.start(model=self.model)
        self.assertTrue(self.prompt(chat).endswith("<think>\n"))
        chat.send("/think off\r")
        chat.expect("thinking is off", READY)
        self.assertNotIn("<think>", self.prompt(chat))
        chat.send("/think on\r")
        chat.expect("thinking is on", READY)
        self.assertIn("<think>", self.prompt(chat))
        chat.send("/think maybe\r")
        chat.expect("wants on or off", READY)

    def test_pipes_get_the_answer_only(self):
        done = self.run_piped("--think", "off")
        self.assertEqual(done.stdout, SENTENCE + "\n", done.stderr)
        done = self.run_piped("-n", "3")
        self.assertEqual(done.stdout, "\n")
        self.assertIn("all 3 tokens were reasoning", done.stderr)
        done = self.run_piped("-n", "3", "--show-think", "raw")
        self.assertEqual(done.stdout, "Hello, I\n")
        answer = json.loads(self.run_piped("-o", "json").stdout)
        self.assertEqual((answer["text"], answer["reasoning"]), ("", SENTENCE))

    def test_a_budget_ends_the_thought(self):
        answer = json.loads(self.run_piped("-o", "json", "-n", "20",
                                           "--think-budget", "3").stdout)
        self.assertEqual(answer["reasoning"], "Hello, I")
        self.assertEqual(answer["usage"]["completion_tokens_details"],
                         {"reasoning_tokens": 3})
        self.assertNotIn("</think>", answer["text"])
        self.assertNotEqual(answer["text"], "")
        self.assertEqual(
            self.run_piped("-n", "20", "--think-budget", "3").stdout,
            answer["text"] + "\n")
        none = json.loads(self.run_piped("-o", "json", "-n", "20",
                                         "--think-budget", "0").stdout)
        self.assertNotIn("reasoning", none)
        self.assertEqual(none["usage"]["completion_tokens_details"],
                         {"reasoning_tokens": 0})
        done = self.run_piped("--think-budget", "off", "-n", "5")
        self.assertIn("all 5 tokens were reasoning", done.stderr)

    def test_a_budget_in_the_chat(self):
        chat = self.start("-n", "20", "--show-think", "raw", model=self.model)
        self.assertIn("think-budget 2\n",
                      self.output(chat, "/set think-budget 2"))
        self.ask(chat, "hi", "Hello,</think>")
        self.assertIn("think-budget 0\n",
                      self.output(chat, "/set think-budget 0"))
        chat.send("/clear\r")
        chat.expect(READY)
        chat.send("hi\r")
        chat.expect(SENT + "</think>", READY)
        self.assertIn("must be off or a whole number",
                      self.output(chat, "/set think-budget much"))
        self.assertNotIn("think-budget",
                         self.output(chat, "/set think-budget off"))

    def test_copy_leaves_the_thought_out(self):
        chat = self.start("-n", "20", "--think-budget", "2", model=self.model)
        self.assertIn("there is no answer", self.output(chat, "/copy"))
        chat.send("hi\r")
        chat.expect("tok/s", READY)
        self.output(chat, "/save " + self.path("talk.jsonl"))
        with open(self.path("talk.jsonl"), encoding="utf-8") as f:
            said = json.loads(f.readlines()[-1])["content"]
        answer = said.split("</think>")[1].lstrip()
        self.assertIn(base64.b64encode(answer.encode()).decode(),
                      self.output(chat, "/copy"))

    def test_a_budget_for_a_model_that_does_not_think_is_refused(self):
        done = subprocess.run(
            [RUN, MODEL, "hi", "--think-budget", "9"], env=self.env,
            capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL,
            timeout=PATIENCE)
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertIn("think-budget is 9, but the model does not think",
                      done.stderr)
        chat = self.start()
        self.assertIn("the model does not think",
                      self.output(chat, "/set think-budget 9"))
        self.assertNotIn("think-budget", self.output(chat, "/set"))
        self.ask(chat, "hi")

    def test_json_begins_after_the_thought(self):
        self.name_the_mark(special=False)
        # Token 90 is {, 92 is }.
        answer = json.loads(self.run_piped(
            "-o", "json", "--json", "--think-budget", "4", "--stop", "zzz",
            "--logit-bias", "90=9").stdout)
        self.assertEqual(answer["reasoning"], "Hello, I am")
        self.assertEqual(answer["text"][:1], "{")
        done = self.run_piped("--json", "--logit-bias", "285=50",
                              "--logit-bias", "90=70", "--logit-bias",
                              "92=90", "-n", "9")
        self.assertEqual(done.stdout, "\n", "braces are a thought there")
        done = self.run_piped("--json", "--think-budget", "1", "--logit-bias",
                              "90=70", "--logit-bias", "92=90", "--strict")
        self.assertEqual((done.stdout, done.returncode), ("{}\n", 0))

    def test_a_mark_that_is_a_control_token_is_seen(self):
        self.name_the_mark(special=True)
        answer = json.loads(self.run_piped(
            "-o", "json", "--think-budget", "3", "-n", "20").stdout)
        self.assertEqual(answer["reasoning"], "Hello, I")
        self.assertNotEqual(answer["text"], "")

    def test_json_lines_have_both(self):
        done = self.run_piped("-o", "jsonl", "--think-budget", "3", "-n", "20")
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        whole = json.loads(self.run_piped(
            "-o", "json", "--think-budget", "3", "-n", "20").stdout)
        for part in ("reasoning", "text"):
            self.assertEqual(
                "".join(line.get(part, "") for line in lines[:-1]),
                whole[part])
        self.assertGreater(len(lines), 5)
        self.assertEqual(lines[-1]["finish_reason"], "length")

    def test_terminals_show_it_dim(self):
        with Program(RUN, self.model, "hi", "-t", "1", env=self.env) as chat:
            self.assertEqual(chat.exit_code(), 0)
            self.assertIn("\x1b[2mHello", chat.text())
            self.assertTrue(chat.text().endswith("\x1b[0m\r\n"), chat.text())
        with Program(RUN, self.model, "hi", "-t", "1", "--show-think", "hide",
                     env=self.env) as chat:
            self.assertEqual(chat.exit_code(), 0)
            self.assertNotIn("Hello", chat.text())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
