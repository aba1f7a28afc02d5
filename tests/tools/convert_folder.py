# SPDX-License-Identifier: MIT
"""A temporary folder with a source `hf` for slm-convert and room for `out`."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

import hf_models

# Of every test that uses this.
CONVERT = pathlib.Path(sys.argv[1]).resolve()
LLAMA = hf_models.FAMILIES["llama"]


def convert(*args, **options):
    return subprocess.run([CONVERT, *args], timeout=60, capture_output=True,
                          encoding="utf-8", **options)


class Folder(unittest.TestCase):
    TOKENIZER = None  # a folder with one: the script sets it
    shows_source = False  # the message has the template's line and a caret

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.temporary.name)
        self.source, self.out = self.root / "hf", self.root / "out"

    def tearDown(self):
        self.temporary.cleanup()

    def make(self, config=LLAMA, **options):
        return hf_models.make_folder(self.source, config, self.TOKENIZER,
                                     **options)

    def refused(self, code, text, *flags):
        """One line that holds `text`, and nothing is left behind."""
        before = sorted(self.root.iterdir())
        done = convert(self.source, self.out, *flags)
        self.assertEqual((done.returncode, done.stdout), (code, ""),
                         done.stderr)
        self.assertIn(text, done.stderr)
        errors = [line for line in done.stderr.splitlines()
                  if not line.startswith("slm-convert: warning: ")]
        self.assertTrue(errors[0].startswith("slm-convert: error: "))
        if not self.shows_source:
            self.assertEqual(len(errors), 1, done.stderr)
        self.assertEqual(sorted(self.root.iterdir()), before)
