#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""ONNX Runtime GenAI loads and generates from every kind of output; the tokens
of float32 outputs are those of transformers' formulas.

usage: convert_real_runtimes_test.py SLM_CONVERT tests/data/tiny-model

Skips, saying so, where the package is not installed:
  pip install numpy==2.3.5 onnxruntime==1.31.1 onnxruntime-genai==0.18.0
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import hf_models  # noqa: E402
import hf_tiny  # noqa: E402
import packed_models  # noqa: E402

try:
    import numpy as np
    import onnxruntime_genai as genai
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

CONVERT, TOKENIZER = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
IDS = [285, 12, 250, 3, 3, 77, 140, 9, 201, 33, 60, 5, 118, 42]
END, STEPS = 287, 6
# onnxruntime on CPU wants rotary sizes that are multiples of 16: this has 8. No
# family that slm-convert knows has such a size in a published model.
NOT_THERE = {"phi3-partial"}


def open_model(folder):
    config = genai.Config(str(folder))
    # Threads that wait for work would take the other tests' cores.
    config.overlay('{"model": {"decoder": {"session_options": '
                   '{"intra_op_num_threads": 1}}}}')
    return genai.Model(config)


def generate(folder, steps=STEPS):
    model = open_model(folder)
    parameters = genai.GeneratorParams(model)
    length = len(IDS) + steps
    parameters.set_search_options(max_length=length, min_length=length,
                                  do_sample=False)
    generator = genai.Generator(model, parameters)
    generator.append_tokens(np.array([IDS], np.int32))
    tokens = []
    while len(tokens) < steps and not generator.is_done():
        generator.generate_next_token()
        tokens.append(int(generator.get_next_tokens()[0]))
    tokenizer = genai.Tokenizer(model)
    text = tokenizer.apply_chat_template(
        '[{"role": "user", "content": "hi"}]', add_generation_prompt=True)
    return tokens, text


class GenAi(unittest.TestCase):
    def converted(self, name, flags):
        config = hf_models.FAMILIES[name]
        with tempfile.TemporaryDirectory() as root:
            root = pathlib.Path(root)
            weights = hf_models.make_folder(root / "hf", config, TOKENIZER,
                                            grid=True)
            subprocess.run([CONVERT, root / "hf", root / "out", "-q", *flags],
                           check=True, stderr=subprocess.DEVNULL)
            return weights, *generate(root / "out")

    def check_tokens(self, config, weights, tokens):
        self.assertEqual(len(tokens), STEPS)
        ids = list(IDS)
        for token in tokens:
            row = hf_models.forward(config, weights, ids)[-1]
            row[END] = -1e9  # min_length forbids it
            self.assertEqual(token, row.index(max(row)))
            ids.append(token)

    def test_fp32_tokens(self):
        for name, config in hf_models.FAMILIES.items():
            if name in NOT_THERE:
                continue
            with self.subTest(name):
                weights, tokens, text = self.converted(name, ["-p", "fp32"])
                self.assertIn("<|im_start|>user\nhi<|im_end|>", text)
                self.check_tokens(config, weights, tokens)

    def test_tokens_of_quantised_sources(self):
        config = hf_models.FAMILIES["llama"]
        gptq = {"quant_method": "gptq", "bits": 4, "group_size": 16}
        for packer, quantization, options in (
                (packed_models.gptq, gptq, {}),
                (packed_models.gptq, dict(gptq, bits=8),
                 {"bits": 8, "symmetric": False}),
                (packed_models.gptq, dict(gptq, desc_act=True),
                 {"order": "shuffled"}),
                (packed_models.awq, dict(gptq, quant_method="awq"),
                 {"symmetric": False}),
                (packed_models.olive, dict(gptq, quant_method="olive"), {})):
            with self.subTest(packer.__name__, options=options), \
                    tempfile.TemporaryDirectory() as root:
                root = pathlib.Path(root)
                weights = packed_models.make_folder(
                    root / "hf", config, TOKENIZER, packer, quantization,
                    also=["lm_head.weight"], **options)
                subprocess.run([CONVERT, root / "hf", root / "out", "-q",
                                "--accuracy-level", "1"], check=True,
                               stderr=subprocess.DEVNULL)
                self.check_tokens(config, weights, generate(root / "out")[0])

    def test_rotary_sizes_that_it_does_not_have(self):
        """slm-convert says so, and that is why it does not run."""
        with tempfile.TemporaryDirectory() as root:
            root = pathlib.Path(root)
            hf_models.make_folder(
                root / "hf", hf_models.FAMILIES["phi3-partial"], TOKENIZER)
            done = subprocess.run([CONVERT, root / "hf", root / "out"],
                                  check=True, stderr=subprocess.PIPE,
                                  encoding="utf-8")
            self.assertIn("rotary size 8 is no multiple of 16", done.stderr)
            with self.assertRaisesRegex(RuntimeError, "a multiple of 8"):
                generate(root / "out")

    def test_all_others_generate(self):
        for flags in (["-p", "int4"], ["-p", "int4", "--asymmetric"],
                      ["-p", "int8", "-a", "rtn"], ["-p", "fp16"]):
            for name in hf_models.FAMILIES:
                if name in NOT_THERE:
                    continue
                with self.subTest(name, flags=flags):
                    _, tokens, _ = self.converted(name, flags)
                    self.assertEqual(len(tokens), STEPS)

    # The families of make_hf_references.py; tokens are transformers' own.
    def test_references(self):
        greedy = json.loads((TOKENIZER.parent / "hf/greedy.json").read_text())
        for name, config in hf_tiny.FAMILIES.items():
            with tempfile.TemporaryDirectory() as root:
                root = pathlib.Path(root)
                hf_tiny.make_folder(root / "hf", config, TOKENIZER)
                expected = greedy[name]["tokens"]
                for flags in (["-p", "fp32"], ["-p", "int4"],
                              ["-p", "int8", "--asymmetric"], ["-p", "fp16"]):
                    with self.subTest(name, flags=flags):
                        out = root / "".join(flags)
                        subprocess.run([CONVERT, root / "hf", out, "-q",
                                        *flags], check=True,
                                       stderr=subprocess.DEVNULL)
                        tokens, text = generate(out, len(expected))
                        self.assertIn("<|im_start|>user\nhi<|im_end|>", text)
                        self.assertEqual(len(tokens), len(expected))
                        if "fp32" in flags:
                            self.assertEqual(tokens, expected)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
