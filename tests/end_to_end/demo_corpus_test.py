# SPDX-License-Identifier: MIT
"""The demo model's held-out questions: as generated, and never trained on."""
import json
import os
import subprocess
import sys
import unittest

DEMO = sys.argv.pop()
# Enough to meet every phrasing of every fact many times.
CONVERSATIONS = 20000


sys.path.insert(0, DEMO)
from corpus import bare  # noqa: E402


def corpus(*arguments):
    return subprocess.run(
        [sys.executable, os.path.join(DEMO, "corpus.py"), *arguments],
        check=True, capture_output=True, text=True).stdout


class DemoCorpusTest(unittest.TestCase):
    def test_heldout_is_what_the_generator_makes(self):
        with open(os.path.join(DEMO, "heldout.jsonl"), encoding="utf-8") as f:
            self.assertEqual(f.read(), corpus("heldout"))

    def test_held_out_questions_are_not_in_the_training_text(self):
        seen = set()  # as they are, and case and marks aside
        for line in corpus("train", str(CONVERSATIONS)).splitlines():
            for message in json.loads(line)["messages"]:
                seen |= {message["content"], bare(message["content"])}
        asked = [json.loads(line) for line in corpus("heldout").splitlines()]
        # Those of "memory" are known sentences; what lies between them is new.
        known = [q["turns"][0] for q in asked
                 if q["category"] != "memory" and q["turns"][0] in seen
                 or q["category"] in ("guide", "blind") and
                 bare(q["turns"][0]) in seen]
        self.assertEqual(known, [])


if __name__ == "__main__":
    unittest.main()
