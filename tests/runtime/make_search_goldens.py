#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/search_goldens.txt: tokens that ONNX Runtime GenAI chooses.

    python make_search_goldens.py > tests/data/search_goldens.txt

The model is a stub: every row of its logits is replaced by the one that
logits_row() makes, which search_golden_test.cc makes again bit for bit
(integer arithmetic and exact or single-rounded float32).
"""
import json
import tempfile

import numpy as np
import onnx
import onnxruntime_genai as og
from onnx import TensorProto, helper

EOS = [13, 11]


def stub_model(folder, vocab):
    """A decoder with one layer of past and logits that are all zero."""
    def tensor(name, dtype, shape):
        return helper.make_tensor_value_info(name, dtype, shape)

    def constant(name, values):
        return helper.make_tensor(name, TensorProto.INT64, [len(values)],
                                  values)

    past = ["batch", 1, "past", 8]
    total = ["batch", 1, "total", 8]
    nodes = [
        helper.make_node("Shape", ["input_ids"], ["ids_shape"]),
        helper.make_node("Concat", ["ids_shape", "vocab"], ["logits_shape"],
                         axis=0),
        helper.make_node("ConstantOfShape", ["logits_shape"], ["logits"]),
        helper.make_node("Gather", ["ids_shape", "zero"], ["batch"], axis=0),
        helper.make_node("Gather", ["ids_shape", "one"], ["new"], axis=0),
        helper.make_node("Concat", ["batch", "one", "new", "eight"],
                         ["new_shape"], axis=0),
        helper.make_node("ConstantOfShape", ["new_shape"], ["new_past"]),
    ]
    for kind in ("key", "value"):
        nodes.append(helper.make_node(
            "Concat", [f"past_key_values.0.{kind}", "new_past"],
            [f"present.0.{kind}"], axis=2))
    graph = helper.make_graph(
        nodes, "stub",
        [tensor("input_ids", TensorProto.INT64, ["batch", "new"])] +
        [tensor(f"past_key_values.0.{k}", TensorProto.FLOAT, past)
         for k in ("key", "value")],
        [tensor("logits", TensorProto.FLOAT, ["batch", "new", vocab])] +
        [tensor(f"present.0.{k}", TensorProto.FLOAT, total)
         for k in ("key", "value")],
        [constant("vocab", [vocab]), constant("zero", [0]),
         constant("one", [1]), constant("eight", [8])])
    model = helper.make_model(graph, ir_version=8,
                              opset_imports=[helper.make_opsetid("", 17)])
    onnx.save(model, f"{folder}/model.onnx")
    config = {
        "model": {
            "context_length": 256, "eos_token_id": EOS, "pad_token_id": 11,
            "type": "decoder", "vocab_size": vocab,
            "decoder": {"filename": "model.onnx", "head_size": 8,
                        "num_key_value_heads": 1, "num_hidden_layers": 1,
                        "session_options": {"provider_options": []}}},
        "search": {"max_length": 256, "top_k": 50, "top_p": 1.0}}
    with open(f"{folder}/genai_config.json", "w", encoding="utf-8") as file:
        json.dump(config, file)
    return og.Model(folder)


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


def small_cases():
    """Up to 64 tokens the peer's nucleus is exact."""
    for temperature in (0.3, 1.0, 3.0):
        for top_p in (0.2, 0.6, 0.95, 1.0):
            yield dict(name="small vocabulary", do_sample=1, max_length=43,
                       top_k=0, top_p=top_p, temperature=temperature,
                       random_seed=11)


def large_cases():
    """Vocabulary of a real model: other paths of selection, and of ours."""
    for temperature in (0.3, 1.0, 3.0):
        for top_k, top_p in ((0, 0.9), (0, 1.0), (50, 0.9), (0, 0.3), (50, 1.0),
                             (3000, 1.0)):
            yield dict(name="large vocabulary", do_sample=1, max_length=15,
                       top_k=top_k, top_p=top_p, temperature=temperature,
                       random_seed=11)
    yield dict(name="large vocabulary", num_beams=4, num_return_sequences=2,
               max_length=15)


PROMPT = [5, 6, 7, 6, 7, 9, 5]
BOOLS = ("do_sample", "early_stopping")


def run(model, vocab, case):
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
            rows[:, EOS] = -100
        elif case["keep_eos"] == 2 and step % 3 == 1:
            rows[step % beams, EOS[0]] = 10.5
        generator.set_logits(rows.astype(np.float32).reshape(shape))
        generator.generate_next_token()
        step += 1
    returned = options.get("num_return_sequences", 1)
    return step, [list(map(int, generator.get_sequence(i)))
                  for i in range(returned)]


def main():
    print(f"# onnxruntime-genai {og.__version__}, numpy {np.__version__}")
    print("# python make_search_goldens.py")
    for vocab, list_cases in ((640, cases), (64, small_cases),
                              (151936, large_cases)):
        print(f"vocab={vocab} eos={','.join(map(str, EOS))} "
              f"prompt={','.join(map(str, PROMPT))}")
        with tempfile.TemporaryDirectory() as folder:
            model = stub_model(folder, vocab)
            for case in list_cases():
                steps, sequences = run(model, vocab, case)
                keys = " ".join(f"{k}={v}" for k, v in case.items()
                                if k != "name")
                text = "|".join(",".join(map(str, s)) for s in sequences)
                print(f"{case['name']}: {keys} steps={steps} tokens={text}")


main()
