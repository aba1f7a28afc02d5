#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-bench ppl, ref and kld from outside: formats, refusals, exit codes.

usage: bench_quality_test.py SLM_BENCH TINY_MODEL OTHER_MODEL TEXT
"""
import csv
import hashlib
import io
import json
import math
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

BENCH, MODEL, OTHER, TEXT = sys.argv[1:5]


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


def divergence(folder):
    saved = folder / "tiny.slmk"
    text = ["-f", TEXT, "-c", "64"]
    made = json.loads(good("ref", MODEL, *text, "--save", saved, "-o", "json"))
    assert made["bytes"] == saved.stat().st_size, made
    assert made["scored_tokens"] == 9 * 31, made
    digest = hashlib.sha256(pathlib.Path(TEXT).read_bytes()).hexdigest()
    assert made["text_sha256"] == digest, made
    said = run("ref", MODEL, *text, "--save", saved).stderr  # replaces it
    assert "MiB for 279 tokens" in said, said
    assert [f.name for f in folder.iterdir()] == ["tiny.slmk"], folder

    same = json.loads(good("kld", MODEL, "--ref", saved, "-o", "json"))
    assert same["kl"] == same["kl_max"] == same["moved"] == 0, same
    assert same["same_top"] == same["perplexity_ratio"] == 1, same
    assert same["reference_model"].endswith("tiny-model"), same
    # Another cache is another model.
    low = json.loads(good("kld", MODEL, "--ref", saved, "--kv", "int8", "-o",
                          "json"))
    assert 0 < low["kl"] < low["kl_max"], low
    assert low["kl_median"] <= low["kl_p95"] <= low["kl_p99"], low
    near(low["perplexity"] / low["reference_perplexity"],
         low["perplexity_ratio"], 1e-8)
    both = json.loads(good("kld", MODEL, MODEL, *text, "-o", "json"))
    assert both["kl"] == 0 and both["kl_over"] == "whole vocabulary", both
    for output in ("text", "md", "csv"):
        good("kld", MODEL, "--ref", saved, "-o", output)

    refused(4, "another tokenizer", "kld", OTHER, "--ref", saved)
    refused(4, "another tokenizer", "kld", OTHER, MODEL, *text)
    refused(2, "--file does not go with --ref", "kld", MODEL, "--ref", saved,
            "-f", TEXT)
    refused(2, "either --ref", "kld", MODEL)
    refused(2, "either --ref", "kld", MODEL, MODEL, "--ref", saved)
    refused(2, "no text", "kld", MODEL, MODEL)
    refused(2, "--save", "ref", MODEL, *text)
    refused(3, "absent", "kld", MODEL, "--ref", folder / "absent")
    refused(4, "not a reference", "kld", MODEL, "--ref", TEXT)
    refused(1, "it is a folder", "ref", MODEL, *text, "-q", "--save", folder)
    refused(1, "absent", "ref", MODEL, *text, "-q", "--save",
            folder / "absent" / "x.slmk")
    cut = folder / "cut.slmk"
    cut.write_bytes(saved.read_bytes()[:-1000])
    refused(4, "cut or damaged", "kld", MODEL, "--ref", cut)


def interrupted(folder):
    """Ctrl-C leaves the old file, and no other."""
    text = folder / "long.txt"
    text.write_bytes(pathlib.Path(TEXT).read_bytes() * 2000)  # many minutes
    saved = folder / "long.slmk"
    saved.write_bytes(b"old")
    command = [BENCH, "ref", MODEL, "-f", text, "-c", "64", "-q", "--save",
               saved]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as program:
        begin = time.monotonic()
        while not (folder / "long.slmk.tmp").exists():
            assert time.monotonic() - begin < 100, "no temporary file"
            time.sleep(0.01)
        program.send_signal(signal.SIGINT)
        said = program.communicate(timeout=100)[1]
    assert program.returncode == 130, (program.returncode, said)
    assert said == b"slm-bench: error: interrupted\n", said
    assert saved.read_bytes() == b"old"
    assert sorted(f.name for f in folder.iterdir()) == ["long.slmk", "long.txt"]


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
    for test in (refusals, divergence, interrupted):
        with tempfile.TemporaryDirectory() as name:
            test(pathlib.Path(name))


if __name__ == "__main__":
    main()
