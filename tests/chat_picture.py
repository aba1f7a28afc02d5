#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The README's picture of a chat: what a terminal shows, drawn as SVG.

usage: chat_picture.py SLM_RUN PICTURE.svg            draws it
       chat_picture.py SLM_RUN PICTURE.svg --check    is it still true?

The questions are typed into a real chat; the answers are greedy, so --check
has the same text.
"""
import html
import os
import re
import sys
import tempfile

TESTS = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(TESTS, "tools"))
from pty_program import Program  # noqa: E402

MODEL = "tools/demo/model"
COLUMNS = 98
QUESTIONS = ["What is slm?", "I have a fine-tuned model. How do I convert it?",
             "17 + 25", "My name is Mia.", "Name Mia, age 9 as JSON",
             "What is my name?", "안녕하세요", "Who won the world cup in 2014?",
             "/exit"]
READY = "\x1b[?2004h"  # the editor waits for keys
CHARACTER, LINE, MARGIN = 8.4, 19, 16  # pixels
# One picture on white and on black pages: a dark terminal of its own.
STYLE = ("text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"
         "'DejaVu Sans Mono',monospace;fill:#d6deeb;white-space:pre}"
         ".dim{fill:#7f8c98}.typed{fill:#8fd19e}")


class Screen:
    """Lines of (character, style), by the few sequences that slm-run writes."""

    def __init__(self):
        self.lines, self.column, self.style = [[]], 0, ""

    def put(self, character):
        wide = 2 if ord(character) >= 0x1100 else 1
        if self.column + wide > COLUMNS:
            self.lines.append([])
            self.column = 0
        line = self.lines[-1]
        line += [(" ", "")] * (self.column - len(line))
        # A wide character takes its second column with nothing.
        line[self.column:self.column + wide] = (
            [(character, self.style)] + [("", self.style)] * (wide - 1))
        self.column += wide

    def write(self, text):
        for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|[\r\n])", text):
            if part == "\r":
                self.column = 0
            elif part == "\n":
                self.lines.append([])
            elif part.endswith("C") and part.startswith("\x1b["):
                self.column += int(part[2:-1] or 1)
            elif part == "\x1b[J":
                del self.lines[-1][self.column:]
            elif part.endswith("m") and part.startswith("\x1b["):
                self.style = {"\x1b[2m": "dim"}.get(part, "")
            elif part.startswith("\x1b["):
                assert part[-1] in "hl", f"unknown sequence {part!r}"
            else:
                for character in part:
                    self.put(character)


def chat(run):
    """The screen after the questions."""
    with tempfile.TemporaryDirectory() as home:
        env = dict(os.environ, HOME=home, TERM="xterm-256color")
        for name in [n for n in env if n.startswith(("SLM_", "XDG_", "NO_CO"))]:
            del env[name]
        with Program(os.path.abspath(run), MODEL, "--stats=off", "--greedy",
                     columns=COLUMNS, rows=100, env=env,
                     cwd=os.path.dirname(TESTS)) as program:
            for question in QUESTIONS:
                program.expect(READY)
                program.send(question + "\r")
            assert program.exit_code() == 0
            screen = Screen()
            screen.write(f"$ slm-run {MODEL}\r\n" + program.text())
    for line in screen.lines:
        if line[:2] in ([("$", ""), (" ", "")], [(">", ""), (" ", "")]):
            line[2:] = [(c, "typed") for c, _ in line[2:]]
    while not screen.lines[-1]:
        screen.lines.pop()
    return screen.lines


def spans(line):
    """[(column, style, text)] of neighbours in one style."""
    found = []
    for column, (character, style) in enumerate(line):
        if found and found[-1][1] == style:
            found[-1][2] += character
        else:
            found.append([column, style, character])
    return found


def picture(lines):
    width = round(COLUMNS * CHARACTER + 2 * MARGIN)
    height = len(lines) * LINE + 2 * MARGIN
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
           f'height="{height}" viewBox="0 0 {width} {height}">',
           f"<style>{STYLE}</style>",
           f'<rect width="{width}" height="{height}" rx="8" fill="#1b2330"/>']
    for row, line in enumerate(lines):
        y = MARGIN + row * LINE + 14
        for column, style, text in spans(line):
            # The width is told, so that every font keeps the columns.
            cells = sum(2 if ord(c) >= 0x1100 else 1 for c in text)
            out.append(
                f'<text x="{MARGIN + column * CHARACTER:.1f}" y="{y}" '
                f'textLength="{cells * CHARACTER:.1f}" class="{style}">'
                f"{html.escape(text)}</text>")
    return "\n".join(out + ["</svg>", ""])


def texts(svg):
    """What a reader sees."""
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def main(run, path, *check):
    drawn = picture(chat(run))
    if check == ("--check",):
        with open(path, encoding="utf-8") as f:
            told = f.read()
        if texts(told) != texts(drawn):
            sys.exit(f"{path} is no longer what the chat shows; draw it again")
        return
    with open(path + ".tmp", "w", encoding="utf-8") as f:
        f.write(drawn)
    os.replace(path + ".tmp", path)


if __name__ == "__main__":
    main(*sys.argv[1:])
