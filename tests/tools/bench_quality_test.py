#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-bench ppl, ref and kld from outside: formats, refusals, exit codes.

usage: bench_quality_test.py SLM_BENCH TINY_MODEL TEXT
"""
import csv
import io
import json
import math
import pathlib
import subprocess
import sys
import tempfile

BENCH, MODEL, TEXT = sys.argv[1:4]


def run(*args):
    return subprocess.run([BENCH, *map(str, args)], capture_output=True,
                          text=True, timeout=120)


def good(*args):
    result = run(*args)
    assert result.returncode == 0, (args, result)
    assert "error" not in result.stderr, (args, result)
    return result.stdout


def refused(code, message, *args):
    result = run(*args)
    assert result.returncode == code, (args, result)
    assert message in result.stderr, (args, result)
    assert result.stderr.startswith("slm-bench: error: "), (args, result)
    assert result.stderr.count("\n") == 1, (args, result)
    assert result.stdout == "", (args, result)


def near(a, b, relative):
    assert abs(a - b) <= relative * abs(b), (a, b)


def perplexity():
    text = ["ppl", MODEL, "-f", TEXT, "-c", "64"]
    made = json.loads(good(*text, "-o", "json"))
    assert made["schema"] == 1 and made["verb"] == "ppl", made
    assert made["windows"] == 625 // 64 and made["window"] == 64, made
    assert made["scored_tokens"] == 9 * 31, made
    # The figures say the same of each other.
    near(math.exp(made["nats_per_token"]), made["perplexity"], 1e-8)
    near(made["nats_per_token"] / math.log(2) * made["scored_tokens"] /
         made["scored_bytes"], made["bits_per_byte"], 1e-8)
    near(made["perplexity"] * made["nats_per_token_error"],
         made["perplexity_error"], 1e-8)
    assert made["note"].startswith("the last 49 of 625 tokens"), made
    rows = list(csv.DictReader(io.StringIO(good(*text, "-o", "csv"))))
    assert len(rows) == 1, rows
    near(float(rows[0]["perplexity"]), made["perplexity"], 1e-9)
    for output in ("text", "md"):
        people = good(*text, "-o", output)
        assert "second halves scored" in people, people
        assert "note: the last 49 of 625" in people, people
        assert (output == "md") == ("| perplexity " in people), people
    assert "stride 32: each scored once" in good(*text, "--stride", 32)
    few = json.loads(good(*text, "--chunks", 2, "-o", "json"))
    assert few["windows"] == 2 and few["scored_tokens"] == 62, few
    assert "BOS" in good("ppl", "--help")


def refusals(folder):
    for name, content in (("empty", b""), ("one", b"a"), ("bad", b"ab\xff")):
        (folder / name).write_bytes(content)
    refused(2, "has 0 tokens", "ppl", MODEL, "-f", folder / "empty")
    refused(2, "has 1 token", "ppl", MODEL, "-f", folder / "one")
    refused(2, "not UTF-8 at byte 2", "ppl", MODEL, "-f", folder / "bad")
    refused(3, "absent", "ppl", MODEL, "-f", folder / "absent")
    refused(3, "absent", "ppl", folder / "absent", "-f", TEXT)
    refused(2, "no text", "ppl", MODEL)
    refused(7, "exceeds the model's context", "ppl", MODEL, "-f", TEXT, "-c",
            1 << 20)
    refused(2, "a stride of 65", "ppl", MODEL, "-f", TEXT, "-c", 64,
            "--stride", 65)
    refused(2, "--stride is \"0\"", "ppl", MODEL, "-f", TEXT, "--stride", 0)
    refused(2, "--chunks is \"0\"", "ppl", MODEL, "-f", TEXT, "--chunks", 0)
    refused(2, "a word too many", "ppl", MODEL, "two", "-f", TEXT)


def main():
    perplexity()
    with tempfile.TemporaryDirectory() as name:
        refusals(pathlib.Path(name))


if __name__ == "__main__":
    main()
