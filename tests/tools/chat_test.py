#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-run's chat at a terminal: every command and key.

usage: chat_test.py SLM_RUN tests/data/tiny-model
"""
import base64
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from pty_program import PATIENCE, Program  # noqa: E402

RUN, MODEL = (os.path.abspath(p) for p in sys.argv[1:3])
SENTENCE = ("Hello, I am a tiny test model made by one script; this sentence "
            "is all it can say. Give slm-run the folder of something bigger!")
ANSWER_TOKENS = 31
PROMPT_HI = ("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")
# Of PROMPT_HI: <|im_start|> "user" "\n" ... as cli_test.py has it.
PROMPT_HI_TOKENS = 10
READY = "\x1b[?2004h"  # the editor waits for keys
SENT = "\x1b[?2004l"   # and has handed its message on


class Chat(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.TemporaryDirectory()
        self.addCleanup(self.home.cleanup)
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("SLM_", "XDG_"))}
        self.env.update(HOME=self.home.name, TERM="xterm-256color")
        self.env.pop("NO_COLOR", None)

    def path(self, name):
        return os.path.join(self.home.name, name)

    def start(self, *args, model=MODEL, **kwargs):
        program = Program(RUN, model, "-t", "1", "--color", "off", *args,
                          env=self.env, **kwargs)
        self.addCleanup(program.__exit__)
        program.expect("/help lists commands", READY)
        return program

    def ask(self, chat, text, answer=SENTENCE):
        chat.send(text + "\r")
        chat.expect(answer, READY)

    def stats(self, chat, question):
        """(prompt tokens, cached tokens) of the answer to a question."""
        chat.send(question + "\r")
        chat.expect("[ttft ", "prompt ")
        numbers = re.match(r"(\d+) tok \((\d+) cached\)", self.line(chat))
        chat.expect(READY)
        return int(numbers[1]), int(numbers[2])

    def line(self, chat):
        end = time.monotonic() + PATIENCE
        while "\n" not in chat.rest() and time.monotonic() < end:
            chat.read(0.5)
        return chat.rest().split("\r\n")[0]

    def output(self, chat, line):
        """What a command writes."""
        chat.send(line + "\r")
        chat.expect(SENT)
        begin = chat.seen
        chat.expect(READY)
        text = chat.text()[begin:chat.seen - len(READY)]
        return text.replace("\r\n", "\n")

    def prompt(self, chat):
        """What the model would get now."""
        return self.output(chat, "/show prompt")


class Turns(Chat):
    def test_history_is_kept_and_not_computed_again(self):
        chat = self.start()
        self.assertEqual(self.stats(chat, "hi"), (PROMPT_HI_TOKENS, 0))
        # All of the first prompt and of its answer is there still; the answer's
        # end was chosen but never run.
        prompt, cached = self.stats(chat, "hi")
        self.assertEqual(cached, PROMPT_HI_TOKENS + ANSWER_TOKENS)
        self.assertGreater(prompt, cached)
        self.assertEqual(self.prompt(chat).count(SENTENCE), 2)

    def test_undo_keeps_what_is_before(self):
        chat = self.start()
        self.ask(chat, "hi")
        second = self.stats(chat, "one")
        chat.send("/undo\r")
        chat.expect("forgot \"one\"", READY)
        self.assertEqual(self.prompt(chat).count(SENTENCE), 1)
        # The second question has another first letter: the prompt up to it is
        # kept, 3 tokens of <|im_start|>user\n after the first turn's end.
        prompt, cached = self.stats(chat, "two")
        self.assertEqual(prompt, second[0])
        self.assertGreater(cached, PROMPT_HI_TOKENS + ANSWER_TOKENS)
        chat.send("/undo\r")
        chat.expect("forgot \"two\"", READY)
        chat.send("/undo\r")
        chat.expect("forgot \"hi\"", READY)
        chat.send("/undo\r")
        chat.expect("nothing was said yet", READY)

    def test_regen_computes_one_token_of_the_prompt(self):
        chat = self.start()
        chat.send("/regen\r")
        chat.expect("nothing was said yet", READY)
        self.ask(chat, "hi")
        self.assertEqual(self.stats(chat, "/regen"),
                         (PROMPT_HI_TOKENS, PROMPT_HI_TOKENS - 1))
        self.assertIn("/regen 0.8", chat.text())
        self.assertEqual(self.stats(chat, "/regen 0.5"),
                         (PROMPT_HI_TOKENS, PROMPT_HI_TOKENS - 1))
        self.assertEqual(self.prompt(chat).count(SENTENCE), 1)
        chat.send("/regen hot\r")
        chat.expect("--temp is \"hot\"", READY)

    def test_edit_offers_the_last_message(self):
        chat = self.start()
        self.ask(chat, "hi there")
        chat.send("/edit\r")
        chat.expect(SENT, READY, "> hi there")
        chat.send("\x7f" * 6 + "\r")
        chat.expect(SENTENCE, READY)
        self.assertIn("user\nhi<|im_end|>", self.prompt(chat))
        self.assertNotIn("there", self.prompt(chat))
        chat.send("/edit\r")
        chat.expect(SENT, READY)
        chat.send("\x03")
        chat.expect("left as it was", READY)
        self.assertIn("user\nhi<|im_end|>", self.prompt(chat))

    def test_clear_keeps_the_system_message(self):
        chat = self.start("-s", "Be brief.")
        self.ask(chat, "hi")
        chat.send("/clear\r")
        chat.expect(READY)
        self.ask(chat, "hi")
        self.assertEqual(self.prompt(chat),
                         "<|im_start|>system\nBe brief.<|im_end|>\n"
                         + PROMPT_HI + SENTENCE
                         + "<|im_end|>\n<|im_start|>assistant\n")

    def test_the_system_message_changes_and_its_beginning_is_kept(self):
        chat = self.start("-s", "Be brief.")
        self.ask(chat, "hi")
        self.assertEqual(self.output(chat, "/system"), "Be brief.\n")
        chat.send("/system Be rude.\r")
        chat.expect("is changed", READY)
        self.assertTrue(self.prompt(chat).startswith(
            "<|im_start|>system\nBe rude.<|im_end|>\n" + PROMPT_HI))
        # "<|im_start|>system\nBe " is what both have in common.
        system, be = (
            int(self.output(chat, "/tokens " + text).split()[0])
            for text in ("system", "Be"))
        prompt, cached = self.stats(chat, "hi")
        self.assertGreaterEqual(cached, 1 + system + 1 + be)
        self.assertLess(cached, 1 + system + 1 + be + 4)
        chat.send('/system ""\r')
        chat.expect("no system message", READY)
        self.assertNotIn("system", self.prompt(chat))

    def test_the_context_warns_and_ends(self):
        chat = self.start("-c", "128")
        self.ask(chat, "hi")
        self.ask(chat, "hi")
        self.assertNotIn("% full", chat.text())
        chat.send("hi\r")
        chat.expect("the context is 100 % full (128 of 128 tokens)", READY)
        chat.send("x" * 60 + "\r")
        chat.expect("prompt has", "context is 128", "the message was taken back",
                    READY)
        self.assertNotIn("xxx", self.prompt(chat))
        chat.send("/clear\r")
        chat.expect(READY)
        chat.send("x" * 100 + "\r")
        chat.expect("was cut: the context of 128 tokens is full", READY)
        chat.send("/clear\r")
        chat.expect(READY)
        self.ask(chat, "hi")

    def test_oldest_turns_are_dropped_if_asked_for(self):
        chat = self.start("-c", "128", "--on-overflow", "drop-oldest")
        for _ in range(4):
            self.ask(chat, "hi")
        self.assertIn("dropped the 1 oldest", chat.text())

    def test_session_goes_on_where_it_was(self):
        file = self.path("talk.jsonl")
        chat = self.start("--session", file, "-s", "Be brief.")
        self.ask(chat, "hi")
        chat.send("\x04")
        self.assertEqual(chat.exit_code(), 0)
        with open(file, encoding="utf-8") as f:
            turns = [json.loads(line) for line in f]
        self.assertEqual([t["role"] for t in turns],
                         ["system", "user", "assistant"])
        self.assertEqual(turns[2]["content"], SENTENCE)
        self.assertEqual(os.stat(file).st_mode & 0o777, 0o600)
        self.assertEqual(os.listdir(os.path.dirname(file)).count("talk.jsonl"),
                         1)
        done = subprocess.run(
            [RUN, MODEL, "--session", file, "and", "now"], env=self.env,
            capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL,
            timeout=PATIENCE)
        self.assertEqual((done.stdout, done.returncode), (SENTENCE + "\n", 0),
                         done.stderr)
        chat = self.start("--session", file)
        self.assertEqual(self.prompt(chat).count(SENTENCE), 2)
        self.assertIn("and now", self.prompt(chat))
        chat.send("/undo\r")
        chat.expect("forgot", READY)
        with open(file, encoding="utf-8") as f:
            self.assertEqual(len(f.readlines()), 3)

    def test_a_broken_session_is_refused_with_its_line(self):
        file = self.path("talk.jsonl")
        with open(file, "w", encoding="utf-8") as f:
            f.write('{"role":"user","content":"a"}\n{"role":"king"}\n')
        done = subprocess.run(
            [RUN, MODEL, "--session", file, "hi"], env=self.env,
            capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL,
            timeout=PATIENCE)
        self.assertEqual(done.returncode, 4)
        self.assertIn("line 2", done.stderr)


class Commands(Chat):
    def obey(self, chat, line, *wanted):
        chat.send(line + "\r")
        chat.expect(*wanted, READY)

    def test_help_exit_and_unknown(self):
        chat = self.start()
        self.obey(chat, "/help", "/regen [TEMP]", "Ctrl-C stops")
        self.obey(chat, "/exi", "unknown command /exi;")
        self.obey(chat, "/exitfoo", "unknown command /exitfoo")
        self.obey(chat, "/EXIT", "unknown command")
        self.obey(chat, "/exit now", "takes nothing")
        self.ask(chat, "//exit")
        self.assertIn("user\n/exit<|im_end|>", self.prompt(chat))
        chat.send("/exit\r")
        self.assertEqual(chat.exit_code(), 0)
        chat = self.start()
        chat.send("/bye\r")
        self.assertEqual(chat.exit_code(), 0)

    def test_set_and_show(self):
        chat = self.start()
        self.obey(chat, "/set", "greedy", "temp 1", "top-k 50")
        self.obey(chat, "/set top-p 0.25", "sampling", "top-p 0.25")
        self.obey(chat, "/set top-p 2", "--top-p is \"2\"")
        self.obey(chat, "/set greedy on", "greedy: ")
        self.obey(chat, "/set ctx 5", "no setting \"ctx\"", "temp")
        self.obey(chat, "/set stop , I am", "stop \", I am\"")
        self.ask(chat, "hi", "Hello\r\n")
        self.obey(chat, "/set stop zzz", "stop \"zzz\"")
        self.obey(chat, "/set max-tokens 3", "max-tokens 3")
        chat.send("hi\r")
        chat.expect("Hello, I\r\n", "was cut after 3 tokens", READY)
        self.obey(chat, "/set nothing", "a name and a value")
        self.obey(chat, "/show", "qwen2", "256")
        self.obey(chat, "/show info", "qwen2")
        self.obey(chat, "/show params", "max-tokens 3")
        self.obey(chat, "/show template", "{%- for message in messages %}")
        self.obey(chat, "/show mem", "KV cache")
        self.obey(chat, "/show me", "/show wants info")

    def test_stats(self):
        chat = self.start()
        self.obey(chat, "/stats off", "\n")
        self.ask(chat, "hi")
        self.assertNotIn("[ttft", chat.text())
        self.obey(chat, "/stats", "[ttft ", "prompt 10 tok (0 cached)",
                  "gen 32 tok", "ctx 42/256")
        self.obey(chat, "/stats on", "\n")
        self.obey(chat, "hi", "[ttft ")
        self.obey(chat, "/stats maybe", "wants on or off")

    def test_what_cannot_be_honoured_is_refused(self):
        chat = self.start()
        self.obey(chat, "/think on", "no switch for thinking")

    def test_format(self):
        # Token 90 is {, 92 is }.
        chat = self.start("--logit-bias", "90=50", "--logit-bias", "92=100")
        self.obey(chat, "/format", "/format wants json|off")
        self.obey(chat, "/format xml", "/format wants json or off")
        self.obey(chat, "/format json", "answers are JSON")
        self.obey(chat, "/set", "format json")
        self.ask(chat, "hi", "{}\r\n")
        self.obey(chat, "/set beams 2", "beams 2")
        self.obey(chat, "hi", "beam search keeps to no such rule")
        self.obey(chat, "/set beams 1", "beams 1")
        self.obey(chat, "/format off", "any text")
        self.assertNotIn("format", self.output(chat, "/set"))
        self.obey(chat, "/set logit-bias 90=0", "beams")
        self.ask(chat, "hi")

    def test_save_and_load(self):
        chat = self.start()
        self.ask(chat, "hi")
        file = self.path("saved talk.jsonl")
        self.obey(chat, "/save " + file, "2 turns are in")
        self.obey(chat, "/clear", "\n")
        self.obey(chat, "/load " + file, "2 turns from")
        self.assertEqual(self.prompt(chat),
                         PROMPT_HI + SENTENCE
                         + "<|im_end|>\n<|im_start|>assistant\n")
        self.obey(chat, "/load /no/such", "no such file")
        self.obey(chat, "/save /no/such/folder/x", "cannot write")
        self.obey(chat, "/save", "/save wants FILE")

    def test_read_goes_before_the_next_message(self):
        file = self.path("note.txt")
        pathlib.Path(file).write_text("from a file", encoding="utf-8")
        chat = self.start()
        self.obey(chat, "/read " + file, "11 bytes, about ")
        self.ask(chat, "what?")
        self.assertIn("user\nfrom a file\nwhat?<|im_end|>", self.prompt(chat))
        self.obey(chat, "/read /no/such", "no such file")

    def test_copy(self):
        chat = self.start()
        self.obey(chat, "/copy", "there is no answer yet")
        self.ask(chat, "hi")
        self.ask(chat, "and", SENTENCE)
        self.obey(chat, "/copy",
                  "\x1b]52;c;" + base64.b64encode(SENTENCE.encode()).decode()
                  + "\x07", f"{len(SENTENCE)} bytes are sent")
        file = self.path("talk.jsonl")
        for size, said in ((74994, "74994 bytes are sent"),
                           (74995, "the text has 74995 bytes, terminals take "
                                   "74994")):
            with open(file, "w", encoding="utf-8") as f:
                for role, text in (("user", "hi"), ("assistant", "x" * size)):
                    f.write(json.dumps({"role": role, "content": text}) + "\n")
            self.obey(chat, "/load " + file, "2 turns from")
            self.obey(chat, "/copy", said)

    def test_tokens(self):
        chat = self.start()
        self.obey(chat, "/tokens hi", "2 tokens: ", '"h"', '"i"')


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
        # The mark must be one token: the name of token 285 is exchanged.
        def is_the_mark(tokenizer):
            for added in tokenizer["added_tokens"]:
                if added["id"] == 285:
                    added.update(content="</think>", special=False)

        self.change("tokenizer.json", is_the_mark)
        self.change("genai_config.json",
                    lambda config: config["model"].update(eos_token_id=287))
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

    def test_terminals_show_it_dim(self):
        with Program(RUN, self.model, "hi", "-t", "1", env=self.env) as chat:
            self.assertEqual(chat.exit_code(), 0)
            self.assertIn("\x1b[2mHello", chat.text())
            self.assertTrue(chat.text().endswith("\x1b[0m\r\n"), chat.text())
        with Program(RUN, self.model, "hi", "-t", "1", "--show-think", "hide",
                     env=self.env) as chat:
            self.assertEqual(chat.exit_code(), 0)
            self.assertNotIn("Hello", chat.text())


class Keys(Chat):
    def expect_message(self, keys, message, **kwargs):
        """The keys and Enter send this message."""
        chat = self.start(**kwargs)
        chat.send(keys + "\r")
        chat.expect(SENTENCE, READY)
        want = f"user\n{message}<|im_end|>"
        self.assertIn(want, self.prompt(chat))
        return chat

    def test_moving_and_removing(self):
        left, right, up, down = "\x1b[D", "\x1b[C", "\x1b[A", "\x1b[B"
        cases = [
            ("bc\x01a\x05d", "abcd"),                    # Ctrl-A, Ctrl-E
            ("bc\x1b[Ha\x1b[Fd", "abcd"),                # Home, End
            ("bc\x1bOHa\x1bOFd", "abcd"),
            ("abXc" + left + "\x7f", "abc"),             # Backspace
            ("abXc" + left + "\x08", "abc"),             # Ctrl-H
            ("abXc" + left * 2 + "\x1b[3~", "abc"),      # Delete
            ("abXc" + left * 2 + "\x04", "abc"),         # Ctrl-D in a text
            ("abc" + left * 2 + right + "X", "abXc"),
            ("abc\x02\x02\x06X", "abXc"),                # Ctrl-B, Ctrl-F
            ("one two three" + left * 3 + "\x0b", "one two th"),   # Ctrl-K
            ("one two" + left * 3 + "\x15", "two"),      # Ctrl-U
            ("one two.x\x17", "one "),                   # Ctrl-W
            ("one two\x17\x17three", "three"),
            ("one two\x17\x01\x19!", "two!one "),        # Ctrl-Y
            ("one two three\x1b[1;5D\x1b[1;5DX", "one Xtwo three"),
            ("one two three\x1bb\x1bb\x1bfX", "one twoX three"),
            ("one two\x1b\x7f!", "one !"),               # Alt-Backspace
            ("one two\x01\x1bd", " two"),                # Alt-D
            ("ab\x1b[1;9Pc\x1b[99~d\x1bzé", "abcdé"),    # unknown keys
            ("a\x1ab", "ab"),  # Ctrl-Z, where no shell could take over
            ("ab\x10\x0ec", "abc"),                      # Ctrl-P, Ctrl-N
            ("a\x00\x1c\x1db", "ab"),                    # other controls
            ("one\ntwo" + up + "X" + down + "Y", "oneX\ntwoY"),
        ]
        chat = self.start("--no-history")
        for keys, message in cases:
            with self.subTest(keys):
                chat.send("/clear\r")
                chat.expect(READY)
                chat.send(keys + "\r")
                chat.expect(SENTENCE, READY)
                self.assertIn(f"user\n{message}<|im_end|>", self.prompt(chat))

    def test_backspace_takes_what_a_reader_sees_as_one(self):
        # A family of four joined by ZWJ, a flag, e with an accent of its own,
        # a Devanagari syllable, a wide character.
        for grapheme in ("\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d"
                         "\U0001f466", "\U0001f1ef\U0001f1f5", "e\u0301",
                         "\u0928\u0940", "語"):
            with self.subTest(grapheme):
                self.expect_message(f"a{grapheme}\x7fb", "ab")
                self.expect_message(f"a{grapheme}\x1b[DX", f"aX{grapheme}")

    def test_the_cursor_stands_where_wide_characters_end(self):
        chat = self.start()
        chat.send("日本\U0001f600語\x1b[D")
        # Two cells of the prompt and 2 + 2 + 2 of what is left of the cursor.
        chat.expect("日本\U0001f600語\r\x1b[8C")

    def test_long_lines_wrap(self):
        chat = self.start(columns=20)
        chat.send("x" * 18)
        # The row is full: the cursor is at the beginning of the next.
        chat.expect("> " + "x" * 18 + "\r\r\n\r")
        chat.send("語" * 10 + "\x01")
        chat.expect("語" * 10 + "\r\r\n", "\x1b[2A\r\x1b[2C")
        chat.send("\x05\r")
        chat.expect(SENTENCE[:10])

    def test_newlines_without_sending(self):
        chat = self.expect_message("one\x1b\rtwo\nthree", "one\ntwo\nthree")
        chat.send('"""\r')
        chat.send("four\r")
        chat.send("five\r")
        chat.send('"""\r')
        chat.expect(SENTENCE, READY)
        self.assertIn("user\nfour\nfive<|im_end|>", self.prompt(chat))

    def test_a_paste_waits_for_enter(self):
        chat = self.start()
        chat.send("a \x1b[200~one\r\ntwo\rthree\n\x1b[31m\x07\x1b[201~")
        chat.expect("three")
        chat.read(0.2)
        self.assertNotIn("Hello", chat.text())
        chat.send("b\r")
        chat.expect(SENTENCE, READY)
        self.assertIn("user\na one\ntwo\nthree\n[31mb<|im_end|>",
                      self.prompt(chat))

    def test_ctrl_l_clears_the_screen_and_keeps_the_text(self):
        chat = self.start()
        chat.send("hel\x0c")
        chat.expect("\x1b[H\x1b[2J", "> hel")
        chat.send("lo\r")
        chat.expect(SENTENCE)

    def test_tab_completes_a_command(self):
        chat = self.start()
        chat.send("/te\t")
        chat.send("\x15/he\t\r")
        chat.expect("this text", READY)

    def test_keys_typed_during_an_answer_wait(self):
        chat = self.start()
        chat.send("hi\r" + "next\r")
        chat.expect(SENTENCE, "> next", SENTENCE, READY)


class HistoryFile(Chat):
    def file(self):
        return pathlib.Path(self.home.name, ".local/state/slm/history")

    def test_up_brings_what_was_typed_and_a_file_keeps_it(self):
        chat = self.start()
        self.ask(chat, "first\\one")
        self.ask(chat, "second\x1b\rline")
        chat.send("draft\x1b[A\x1b[A\x1b[A")  # the second has two lines
        chat.expect("> first\\one")
        chat.send("\x1b[B\x1b[B\x1b[B")
        chat.expect("> draft")
        chat.send("\x15")
        self.assertEqual(self.file().read_text(),
                         "first\\\\one\nsecond\\nline\n")
        self.assertEqual(self.file().stat().st_mode & 0o777, 0o600)
        self.assertEqual(os.listdir(self.file().parent), ["history"])
        chat = self.start()
        chat.send("\x10\x1b[A\x10")  # Ctrl-P
        chat.expect("> first\\one")
        chat.send("\x15/exit\r")
        self.assertEqual(chat.exit_code(), 0)

    def test_no_history_keeps_nothing(self):
        chat = self.start("--no-history")
        self.ask(chat, "secret")
        chat.send("\x1b[A")
        chat.expect("> secret")
        chat.send("\r")
        chat.expect(SENTENCE)
        self.assertFalse(self.file().exists())

    def test_a_state_folder_of_ones_own_and_a_broken_file(self):
        self.env["XDG_STATE_HOME"] = self.path("state")
        folder = pathlib.Path(self.home.name, "state", "slm")
        folder.mkdir(parents=True)
        (folder / "history").write_bytes(b"\xff\x1b[31mx\\\n\n\x00\n")
        chat = self.start()
        chat.send("\x1b[A\x1b[A")
        chat.expect("> \ufffd[31mx\\")
        chat.send("\x15/exit\r")
        self.assertEqual(chat.exit_code(), 0)


class Interrupts(Chat):
    def test_twice_at_the_prompt_ends(self):
        chat = self.start()
        chat.send("\x03")
        chat.expect("Ctrl-D or /exit ends", READY)
        time.sleep(1.2)  # not twice within a second
        chat.send("\x03")
        chat.expect("Ctrl-D or /exit ends", READY)
        chat.send("\x03\x03")
        self.assertEqual(chat.exit_code(), 130)

    def test_it_takes_back_what_is_being_typed(self):
        chat = self.start()
        chat.send("nonsense\x03")
        chat.expect("nonsense", READY)
        self.assertNotIn("Ctrl-D or /exit", chat.text())
        self.ask(chat, "hi")
        self.assertNotIn("nonsense", self.prompt(chat))

    def test_ctrl_d_ends(self):
        chat = self.start()
        chat.send("\x04")
        self.assertEqual(chat.exit_code(), 0)
        self.assertIn("\x1b[?2004l", chat.text())

    def test_it_stops_an_answer_and_keeps_what_was_said(self):
        # The model is quick: looking for thousands of stop strings after each
        # of some 240 tokens (it cannot end by itself) gives the time to stop
        # it. On a busy machine that may be too late; then it is asked again.
        stops = [f"--stop=never {i}" for i in range(5000)]
        chat = self.start("--logit-bias", "287=-100", "--logit-bias",
                          "285=-100", "--stats=off", *stops)
        for _ in range(20):
            chat.send("/clear\r")
            chat.expect(READY)
            chat.send("hi\r")
            chat.expect("Hello")
            chat.send("\x03")
            chat.expect("\n", READY)
            if "stopped; what was said stays" in chat.text():
                break
            time.sleep(1.1)  # or the next Ctrl-C is the second
        else:
            self.fail("20 answers were over before they could be stopped")
        said = re.search(r"user\nhi<\|im_end\|>\n<\|im_start\|>assistant\n(.*)"
                         r"<\|im_end\|>", self.prompt(chat), re.S)[1]
        self.assertTrue(said.startswith("Hello"), said)
        chat.send("/undo\r")
        chat.expect("forgot \"hi\"", READY)
        time.sleep(1.1)
        chat.send("hi\r")
        chat.expect("Hello")
        chat.send("\x03")
        chat.expect(READY)
        chat.send("\x03")  # the second one, unless this machine is slow
        chat.read(2)
        chat.send("\x03")
        self.assertEqual(chat.exit_code(), 130)

    def test_sigterm_leaves_the_terminal_as_it_was(self):
        chat = self.start()
        os.kill(chat.pid, signal.SIGTERM)
        self.assertEqual(chat.exit_code(), 143)
        self.assertTrue(chat.text().endswith("\x1b[?2004l"), chat.text())


class DumbTerminal(Chat):
    def test_lines_without_escapes(self):
        self.env["TERM"] = "dumb"
        with Program(RUN, MODEL, "-t", "1", env=self.env) as chat:
            chat.expect("> ")
            chat.send('"""\n')
            chat.expect(". ")
            chat.send('two\n')
            chat.expect(". ")
            chat.send('lines"""\n')
            chat.expect(SENTENCE, "> ")
            chat.send("/edit\n")
            chat.expect("needs a terminal", "> ")
            chat.send("/copy\n")
            chat.expect("needs a terminal", "> ")
            chat.send("\x04")
            self.assertEqual(chat.exit_code(), 0)
            self.assertNotIn("\x1b[?", chat.text())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
