#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-run's chat at a terminal: every key.

usage: chat_keys_test.py SLM_RUN tests/data/tiny-model
"""
import os
import pathlib
import re
import shutil
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from chat_program import (  # noqa: E402
    MODEL, READY, RUN, SENT, SENTENCE, Chat, source_of_test, table_of_readme)
from pty_program import Program  # noqa: E402

MOVING = "Keys.test_moving_and_removing"
# What a terminal sends for each key, and where that is typed.
KEY_TESTS = {
    "Enter": ("\\r", MOVING),
    "Alt-Enter": ("\\x1b\\r", "Keys.test_newlines_without_sending"),
    "Ctrl-J": ("\\n", "Keys.test_newlines_without_sending"),
    '"""': ('"""', "Keys.test_newlines_without_sending"),
    "paste": ("\\x1b[200~", "Keys.test_a_paste_waits_for_enter"),
    "Up": ("\\x1b[A", "HistoryFile.test_up_brings_what_was_typed_and_a_file_"
                     "keeps_it"),
    "Down": ("\\x1b[B", "HistoryFile.test_up_brings_what_was_typed_and_a_file_"
                       "keeps_it"),
    "Ctrl-P": ("\\x10", MOVING),
    "Ctrl-N": ("\\x0e", MOVING),
    "Ctrl-A": ("\\x01", MOVING),
    "Ctrl-E": ("\\x05", MOVING),
    "Ctrl-B": ("\\x02", MOVING),
    "Ctrl-F": ("\\x06", MOVING),
    "arrows": ("\\x1b[D", MOVING),
    "Home": ("\\x1b[H", MOVING),
    "End": ("\\x1b[F", MOVING),
    "Ctrl-Left": ("\\x1b[1;5D", MOVING),
    "Ctrl-Right": ("\\x1b[1;5C", MOVING),
    "Alt-B": ("\\x1bb", MOVING),
    "Alt-F": ("\\x1bf", MOVING),
    "Backspace": ("\\x7f", MOVING),
    "Delete": ("\\x1b[3~", MOVING),
    "Ctrl-K": ("\\x0b", MOVING),
    "Ctrl-U": ("\\x15", MOVING),
    "Ctrl-W": ("\\x17", MOVING),
    "Alt-D": ("\\x1bd", MOVING),
    "Alt-Backspace": ("\\x1b\\x7f", MOVING),
    "Ctrl-Y": ("\\x19", MOVING),
    "Ctrl-L": ("\\x0c",
               "Keys.test_ctrl_l_clears_the_screen_and_keeps_the_text"),
    "Tab": ("\\t", "Keys.test_tab_completes_a_command"),
    "Ctrl-C": ("\\x03", "Interrupts.test_twice_at_the_prompt_ends"),
    "Ctrl-Z": ("\\x1a", "Suspended.test_a_shell_takes_over_and_gives_back"),
    "Ctrl-D": ("\\x04", "Interrupts.test_ctrl_d_ends"),
}


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
            ("one two\x01\x1b[1;5CX", "oneX two"),          # Ctrl-Right
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


class Suspended(Chat):
    def test_a_shell_takes_over_and_gives_back(self):
        shell = shutil.which("bash")
        if not shell:
            self.skipTest("no bash: another shell's job control may differ")
        with Program(shell, "--norc", "--noprofile", "-i",
                     env=self.env) as bash:
            bash.send(f"'{RUN}' '{MODEL}' -t 1 --color off\n")
            bash.expect(READY, "> ")
            bash.send("ab\x1a")
            bash.expect("> ab", SENT, "Stopped")
            bash.send("echo a $((6 * 7))\n")
            bash.expect("a 42")
            bash.send("fg\n")
            bash.expect(READY, "> ab")
            bash.send("c\r")
            bash.expect("> abc", SENTENCE[:40], READY)
            bash.send("\x04")
            bash.expect(SENT)
            bash.send("echo ended with $?\n")
            bash.expect("ended with 0")


def keys_in(text):
    """"Ctrl-A E, arrows" is Ctrl-A, Ctrl-E, arrows."""
    names = []
    for part in re.split(r"[,;]|\bor\b|\band\b", text):
        words = part.split()
        for word in words:
            if names and re.fullmatch("[A-Z]", word):
                word = "Ctrl-" + word
            names.append(word)
    return names


class Audit(Chat):
    """Nothing is listed that has no test."""

    def test_the_readme_lists_the_keys_of_the_table_above(self):
        named = [key for row in table_of_readme("Key")
                 for key in keys_in(row[0])]
        self.assertEqual(sorted(named + ['"""']), sorted(KEY_TESTS))

    def test_help_names_no_others(self):
        text = self.output(self.start(), "/help")
        text = " ".join(text[text.index("\nEnter"):].split())
        text = re.sub(r"\(.*?\)", "", text)
        named = [key for run in re.findall(
            r"((?:Ctrl|Alt)-\w+(?: [A-Z]\b)*|Enter|Tab|Up|Down|\"\"\")", text)
            for key in keys_in(run)]
        self.assertGreater(len(set(named)), 12)
        self.assertLessEqual(set(named), set(KEY_TESTS))

    def test_each_is_typed_where_the_table_says(self):
        for key, (sent, test) in KEY_TESTS.items():
            with self.subTest(key):
                self.assertIn(sent,
                              source_of_test(sys.modules[__name__], test))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
