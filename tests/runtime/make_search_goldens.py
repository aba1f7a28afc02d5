#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/search_goldens.txt: tokens that ONNX Runtime GenAI chooses.

    python make_search_goldens.py MODEL_FOLDER > tests/data/search_goldens.txt

The model gives the vocabulary and the EOS ids only: every row of logits is
replaced by the one that logits_row() makes, which search_golden_test.cc makes
again bit for bit (integer arithmetic and exact or single-rounded float32).
"""
import json
import sys

import numpy as np
import onnxruntime_genai as og


def logits_row(step, beam, vocab):
    mask = np.uint64(0xFFFFFFFF)
    x = np.arange(vocab, dtype=np.uint64)
    x = (x + np.uint64(step * 1000003 + beam * 7919)) & mask
    x = (x * np.uint64(2654435761)) & mask
    x ^= x >> np.uint64(15)
    x = (x * np.uint64(2246822519)) & mask
    x ^= x >> np.uint64(13)
    u = (x >> np.uint64(8)).astype(np.float32) * np.float32(2.0**-21)
    return u * u * np.float32(0.25) - np.float32(6)


def cases():
    def case(name, **options):
        return dict(name=name, **options)

    sampled = dict(do_sample=1, max_length=43)
    for seed in (0, 1, 7, 4294967295 >> 1):
        yield case("top-k", top_k=50, top_p=1.0, random_seed=seed, **sampled)
        yield case("top-p", top_k=0, top_p=0.9, random_seed=seed, **sampled)
        yield case("top-k and top-p", top_k=50, top_p=0.9, random_seed=seed,
                   temperature=0.7, **sampled)
        yield case("full", top_k=0, top_p=1.0, random_seed=seed, **sampled)
    for temperature in (0.05, 0.2, 0.5, 1.5, 4.0):
        for top_p in (0.05, 0.5, 0.9, 0.99):
            yield case("nucleus bound", top_k=0, top_p=top_p, random_seed=3,
                       temperature=temperature, **sampled)
            yield case("nucleus in top-k", top_k=20, top_p=top_p,
                       temperature=temperature, random_seed=3, **sampled)
    yield case("nothing kept but the best", top_k=0, top_p=0.0, random_seed=3,
               **sampled)
    yield case("top_p 0 does not filter top-k", top_k=5, top_p=0.0,
               random_seed=3, **sampled)
    yield case("top_k 1 is greedy", top_k=1, top_p=0.5, random_seed=3,
               **sampled)
    yield case("temperature 0 is greedy", top_k=5, top_p=0.5, random_seed=3,
               temperature=0.0, **sampled)
    yield case("top_k of the vocabulary", top_k=640, top_p=0.95,
               random_seed=3, **sampled)
    for fixed in (0, 1):
        for sample in (0, 1):
            base = dict(do_sample=sample, top_k=40, top_p=0.95, random_seed=5,
                        max_length=60, fixed=fixed)
            yield case("repetition penalty", repetition_penalty=1.3, **base)
            yield case("reward of repetition", repetition_penalty=0.8, **base)
            yield case("no repeated 1-gram", no_repeat_ngram_size=1, **base)
            yield case("no repeated 2-gram", no_repeat_ngram_size=2, **base)
            yield case("no repeated 3-gram", no_repeat_ngram_size=3,
                       repetition_penalty=0.9, **base)
            yield case("EOS may end", keep_eos=1, repetition_penalty=1.5,
                       **base)
            yield case("min_length holds EOS back", keep_eos=1, min_length=30,
                       repetition_penalty=1.5, **base)
    for beams, returned in ((2, 1), (3, 2), (4, 4), (8, 3)):
        for early in (0, 1):
            for penalty in (1.0, 0.0, 2.5, -0.5):
                yield case("beams", num_beams=beams, keep_eos=2,
                           num_return_sequences=returned, max_length=30,
                           early_stopping=early, length_penalty=penalty,
                           salt=beams + 10 * int(2 * penalty + 1))
        yield case("beams with processors", num_beams=beams, keep_eos=2,
                   num_return_sequences=returned, max_length=24, fixed=1,
                   min_length=12, repetition_penalty=1.2,
                   no_repeat_ngram_size=2)


PROMPT = [5, 6, 7, 6, 7, 9, 5]
BOOLS = ("do_sample", "early_stopping")


def run(model, eos, vocab, case):
    options = {k: v for k, v in case.items()
               if k not in ("name", "fixed", "keep_eos", "salt")}
    for key in BOOLS:
        if key in options:
            options[key] = bool(options[key])
    beams = options.get("num_beams", 1)
    params = og.GeneratorParams(model)
    params.set_search_options(**options)
    generator = og.Generator(model, params)
    generator.append_tokens(np.array(PROMPT, dtype=np.int32))
    step = 0
    while not generator.is_done():
        shape = generator.get_logits().shape
        salt = 100 * case.get("salt", 0)
        rows = np.stack([logits_row(salt + (0 if case.get("fixed") else step),
                                    b, vocab) for b in range(beams)])
        # keep_eos 0: never chosen; 1: as drawn; 2: often, for beams.
        if not case.get("keep_eos"):
            rows[:, eos] = -100
        elif case["keep_eos"] == 2 and step % 3 == 1:
            rows[step % beams, eos[0]] = 10.5
        generator.set_logits(rows.astype(np.float32).reshape(shape))
        generator.generate_next_token()
        step += 1
    returned = options.get("num_return_sequences", 1)
    return step, [list(map(int, generator.get_sequence(i)))
                  for i in range(returned)]


def main():
    folder = sys.argv[1]
    with open(f"{folder}/genai_config.json", encoding="utf-8") as file:
        config = json.load(file)["model"]
    eos = config["eos_token_id"]
    vocab = config["vocab_size"]
    model = og.Model(folder)
    print(f"# onnxruntime-genai {og.__version__}, numpy {np.__version__}")
    print("# python make_search_goldens.py qwen3-tied/onnx-fp32")
    print(f"vocab={vocab} eos={','.join(map(str, eos))} "
          f"prompt={','.join(map(str, PROMPT))}")
    for case in cases():
        steps, sequences = run(model, eos, vocab, case)
        keys = " ".join(f"{k}={v}" for k, v in case.items() if k != "name")
        text = "|".join(",".join(map(str, s)) for s in sequences)
        print(f"{case['name']}: {keys} steps={steps} tokens={text}")


main()
