# SPDX-License-Identifier: MIT
"""slm-run's chat at a terminal, for the tests of its commands and keys.

Arguments of each test: SLM_RUN tests/data/tiny-model [unittest's own].
"""
import inspect
import os
import pathlib
import re
import sys
import tempfile
import time
import unittest

from pty_program import PATIENCE, Program

RUN, MODEL = (os.path.abspath(p) for p in sys.argv[1:3])
SENTENCE = ("Hello, I am a tiny test model made by one script; this sentence "
            "is all it can say. Give slm-run the folder of something bigger!")
ANSWER_TOKENS = 31
PROMPT_HI = ("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")
# Of PROMPT_HI: <|im_start|> "user" "\n" ... as cli_test.py has it.
PROMPT_HI_TOKENS = 10
READY = "\x1b[?2004h"  # the editor waits for keys
SENT = "\x1b[?2004l"   # and has handed its message on
README = pathlib.Path(__file__).parents[2] / "tools" / "run" / "README.md"


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


def table_of_readme(first_header):
    """The rows of the table of tools/run/README.md that begins so."""
    text = README.read_text(encoding="utf-8")
    begin = text.index(f"\n| {first_header} |")
    rows = text[begin:text.index("\n\n", begin + 1)].strip().splitlines()[2:]
    return [re.split(r" (?<!\\)\| ?", row.strip("| ")) for row in rows]


def source_of_test(module, name):
    """Of "Class.test" in a module; a KeyError or AttributeError if none."""
    class_name, test = name.split(".")
    assert test.startswith("test_"), name
    return inspect.getsource(getattr(getattr(module, class_name), test))
