#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-run's chat at a terminal: what is said, and every slash command.

usage: chat_test.py SLM_RUN tests/data/tiny-model
"""
import base64
import json
import os
import pathlib
import re
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import chat_thinking_test  # noqa: E402
from chat_program import (  # noqa: E402
    ANSWER_TOKENS, MODEL, PATIENCE, PROMPT_HI, PROMPT_HI_TOKENS, READY, RUN,
    SENT, SENTENCE, Chat, source_of_test, table_of_readme)

# Where each command is tried at a terminal.
COMMAND_TESTS = {
    "help": "Commands.test_help_exit_and_unknown",
    "exit": "Commands.test_help_exit_and_unknown",
    "bye": "Commands.test_help_exit_and_unknown",
    "clear": "Turns.test_clear_keeps_the_system_message",
    "undo": "Turns.test_undo_keeps_what_is_before",
    "regen": "Turns.test_regen_computes_one_token_of_the_prompt",
    "edit": "Turns.test_edit_offers_the_last_message",
    "system": "Turns.test_the_system_message_changes_and_its_beginning_is_kept",
    "set": "Commands.test_set_and_show",
    "show": "Commands.test_set_and_show",
    "stats": "Commands.test_stats",
    "think": "Thinking.test_the_switch",
    "format": "Commands.test_format",
    "save": "Commands.test_save_and_load",
    "load": "Commands.test_save_and_load",
    "read": "Commands.test_read_goes_before_the_next_message",
    "tokens": "Commands.test_tokens",
    "copy": "Commands.test_copy",
}


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
        chat.expect("prompt has", "context is 128",
                    "the message was taken back", READY)
        self.assertNotIn("xxx", self.prompt(chat))
        chat.send("/clear\r")
        chat.expect(READY)
        chat.send("x" * 100 + "\r")
        chat.expect("was cut: the context of 128 tokens is full", READY)
        chat.send("/clear\r")
        chat.expect(READY)
        self.ask(chat, "hi")

    def test_the_warning_comes_once_at_80_percent(self):
        # 10 tokens of prompt and 32 of answer: 80.8 % of 52, 79.2 % of 53.
        chat = self.start("-c", "52")
        chat.send("hi\r")
        chat.expect("the context is 80 % full (42 of 52 tokens): soon /undo",
                    READY)
        chat = self.start("-c", "53")
        self.ask(chat, "hi")
        self.assertNotIn("% full", chat.text())

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


class Audit(Chat):
    """Nothing is listed that has no test."""

    def test_help_lists_the_commands_of_the_table_above(self):
        help_text = self.output(self.start(), "/help")
        named = re.findall(r"^  /(\w+)", help_text, re.M)
        also = re.findall(r"\(also /(\w+)\)", help_text)
        self.assertEqual(sorted(named + also), sorted(COMMAND_TESTS))

    def test_so_does_the_readme(self):
        named = [name for row in table_of_readme("Command")
                 for name in re.findall(r"/(\w+)", row[0])]
        self.assertEqual(sorted(named), sorted(COMMAND_TESTS))

    def test_each_is_typed_where_the_table_says(self):
        for command, test in COMMAND_TESTS.items():
            module = (chat_thinking_test if test.startswith("Thinking.")
                      else sys.modules[__name__])
            self.assertRegex(source_of_test(module, test),
                             rf"[\"']/{command}\b")

    def test_tab_completes_each(self):
        chat = self.start()
        for command in COMMAND_TESTS:
            others = [c for c in COMMAND_TESTS if c != command]
            least = next(n for n in range(1, len(command) + 1)
                         if not any(c.startswith(command[:n]) for c in others))
            chat.send(f"/{command[:least]}\t")
            chat.expect(f"> /{command}\r")
            chat.send("\x15")
            chat.expect("> \r")

    def test_all_settings_can_be_set(self):
        chat = self.start()
        text = self.output(chat, "/set nonsense 1")
        names = re.search(r"there are (.*)", text)[1].split(", ")
        self.assertIn("temp", names)
        values = {"greedy": "off", "logit-bias": "1=1", "think-budget": "off"}
        for name in names:
            out = self.output(chat, f"/set {name} {values.get(name, '1')}")
            self.assertIn("\ntemp ", out, name)
            if name != "stop":  # any text is one
                out = self.output(chat, f"/set {name} =")
                self.assertNotIn("\ntemp ", out, name)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
