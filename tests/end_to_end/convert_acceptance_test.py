#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The team's trained Hugging Face models through slm-convert into the real
runtimes: transformers' logits from onnxruntime and slm, transformers' tokens
from ONNX Runtime GenAI, slm-run's answers from Foundry Local.

usage: convert_acceptance_test.py SLM_CONVERT SLM_RUN SLM_INSPECT SHARED
                                  FOUNDRY_PYTHON

Skips, saying so, without the fixtures (an error on CI) or these packages:
  pip install numpy==2.3.5 onnx==1.19.1 onnxruntime==1.31.1
              onnxruntime-genai==0.18.0
FOUNDRY_PYTHON is an interpreter that has foundry-local-sdk==2.2.1, which wants
another onnxruntime.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

CONVERT, RUN, INSPECT, SHARED = (pathlib.Path(p).resolve()
                                 for p in sys.argv[1:5])
FOUNDRY = sys.argv[5]
MODELS = SHARED / "fixtures/models"
if not MODELS.exists():
    if "CI" in os.environ:
        sys.exit(f"{MODELS} is absent")
    print(f"skipped: {MODELS} is absent")
    sys.exit(0)
try:
    import numpy as np
    import onnx
    import onnxruntime
    import onnxruntime_genai as genai
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

NAMES = sorted(p.parent.name for p in MODELS.glob("*/hf"))
# Every other kind of output, on one model each as many as there are.
KINDS = (["--asymmetric"], ["-b", "128", "--asymmetric", "-a", "default"],
         ["-p", "int8"], ["-b", "16", "-a", "rtn"],
         ["-p", "fp16"], ["--no-shared-embeddings"],
         ["-a", "k_quant"], ["--mixed", "layers"], ["--qdq"],
         ["--lm-head", "int8"])
PROMPTS = ["hello", "Do you like tea?", "你好"]
TOKENS = 16
# ONNX Runtime GenAI wants at least a window, of which the largest is 32.
MAX_LENGTH = 160
# Steps with a smaller margin may go either way (fixtures/models/README.md).
MARGIN_FP32, MARGIN_INT4 = 0.01, 0.15


def run(*command):
    return subprocess.run([str(c) for c in command], capture_output=True,
                          encoding="utf-8", timeout=120)


def open_model(folder):
    config = genai.Config(str(folder))
    # Threads that wait for work would take the other tests' cores.
    config.overlay('{"model": {"decoder": {"session_options": '
                   '{"intra_op_num_threads": 1}}}}')
    return genai.Model(config)


class Reference:
    """Of the builder's float32 export: what transformers computed."""

    def __init__(self, name):
        # Where the builder's graph is wrong, -fix is the mended one.
        folder = sorted(MODELS.glob(f"{name}/onnx-fp32*"))[-1]
        data = json.loads((folder / "reference.json").read_text())
        self.prompts = data["prompts"]
        values = np.fromfile(folder / "reference.f32", np.float32)
        self.tensors = {}
        for key, place in data["tensors"].items():
            size = int(np.prod(place["shape"]))
            self.tensors[key] = values[place["offset"]:][:size].reshape(
                place["shape"])


class Acceptance(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.temporary.name)

    def tearDown(self):
        self.temporary.cleanup()

    def convert(self, name, *flags):
        out = self.root / f"{name}{''.join(flags)}"
        if out.exists():
            return out
        done = run(CONVERT, MODELS / name / "hf", out, "-q", *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        return out

    def slm_logits(self, folder, ids):
        out = self.root / "logits.npy"
        done = run(INSPECT, "logits", folder, "--all", "--out", out, "--ids",
                   ",".join(map(str, ids)))
        self.assertEqual(done.returncode, 0, done.stderr)
        return np.load(out)

    def ort_session(self, folder):
        """As a whole prompt needs it: the windowed cache, which ONNX Runtime
        GenAI manages, is an ordinary one."""
        model = onnx.load(folder / "model.onnx", load_external_data=False)
        for node in model.graph.node:
            kept = [a for a in node.attribute
                    if a.name != "sliding_window_cache"]
            del node.attribute[:]
            node.attribute.extend(kept)
        onnx.save(model, folder / "plain.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        return onnxruntime.InferenceSession(
            folder / "plain.onnx", options,
            providers=["CPUExecutionProvider"])

    def ort_logits(self, session, ids):
        feed = {"input_ids": np.array([ids], np.int64),
                "attention_mask": np.ones((1, len(ids)), np.int64)}
        for value in session.get_inputs():
            if value.name.startswith("past"):
                _, heads, _, _ = value.shape
                size = next(v.shape[3] for v in session.get_outputs()
                            if v.name.startswith("present"))
                if not isinstance(size, int):
                    size = self.head_size
                feed[value.name] = np.zeros((1, heads, 0, size), np.float32)
        return session.run(["logits"], feed)[0][0]

    def test_fp32_logits_are_transformers(self):
        for name in NAMES:
            with self.subTest(name):
                folder = self.convert(name, "-p", "fp32")
                config = json.loads((folder / "genai_config.json").read_text())
                self.head_size = config["model"]["decoder"]["head_size"]
                session = self.ort_session(folder)
                reference = Reference(name)
                for prompt in reference.prompts:
                    want = reference.tensors[
                        prompt["name"] + ".hf_prompt_logits"]
                    limit = 1e-3 * float(want.std())
                    for logits in (self.ort_logits(session, prompt["ids"]),
                                   self.slm_logits(folder, prompt["ids"])):
                        error = np.abs(logits[-len(want):] - want).max()
                        self.assertLess(error, limit, prompt["name"])

    def generate(self, folder, ids, count):
        """Tokens and the margin of each, of ONNX Runtime GenAI."""
        model = open_model(folder)
        parameters = genai.GeneratorParams(model)
        parameters.set_search_options(max_length=MAX_LENGTH, do_sample=False)
        generator = genai.Generator(model, parameters)
        generator.append_tokens(np.array([ids], np.int32))
        tokens, margins = [], []
        while len(tokens) < count and not generator.is_done():
            generator.generate_next_token()
            # Of the step that chose the token.
            row = np.sort(generator.get_output("logits")[0, -1])
            margins.append(float(row[-1]) - float(row[-2]))
            tokens.append(int(generator.get_next_tokens()[0]))
        return tokens, margins

    def test_fp32_tokens_are_transformers(self):
        for name in NAMES:
            with self.subTest(name):
                folder = self.convert(name, "-p", "fp32")
                for prompt in Reference(name).prompts:
                    tokens, _ = self.generate(folder, prompt["ids"], 24)
                    count = next((i for i, m in enumerate(prompt["margins"])
                                  if m < MARGIN_FP32), 24)
                    if prompt["eos_at"] is not None:
                        count = min(count, prompt["eos_at"])
                    if name == "phi4-longrope":
                        # Keys cached before the switch keep short factors; the
                        # reference's tokens are transformers', all long.
                        count = min(count, max(0, 32 - len(prompt["ids"])))
                    self.assertEqual(tokens[:count], prompt["greedy"][:count],
                                     prompt["name"])

    def test_every_kind_loads_and_generates(self):
        for i, flags in enumerate(KINDS):
            for name in (NAMES[i % len(NAMES)], "qwen2-tied"):
                with self.subTest(name, flags=flags):
                    folder = self.convert(name, *flags)
                    tokens, _ = self.generate(folder, [5, 6, 7], 8)
                    self.assertGreater(len(tokens), 0)

    def expected(self, folder, prompt):
        """GenAI's answer up to the first step that may go either way, and
        whether that is all of it."""
        model = open_model(folder)
        tokenizer = genai.Tokenizer(model)
        text = tokenizer.apply_chat_template(
            json.dumps([{"role": "user", "content": prompt}]),
            add_generation_prompt=True)
        ids = [int(i) for i in tokenizer.encode(text)]
        tokens, margins = self.generate(folder, ids, TOKENS)
        count = next((i for i, m in enumerate(margins) if m < MARGIN_INT4),
                     len(tokens))
        config = json.loads((folder / "genai_config.json").read_text())
        ends = config["model"]["eos_token_id"]
        ends = ends if isinstance(ends, list) else [ends]
        whole = count == len(tokens)
        kept = [t for t in tokens[:count] if t not in ends]
        return tokenizer.decode(np.array(kept, np.int32)), whole

    def test_foundry_local_answers_as_slm_run(self):
        if not pathlib.Path(FOUNDRY).exists():
            self.skipTest(f"no interpreter with foundry-local-sdk: {FOUNDRY}")
        folders = [self.convert(name, *flags) for name in NAMES
                   for flags in ([], ["-b", "64", "--asymmetric"])]
        prompts = self.root / "prompts.json"
        prompts.write_text(json.dumps(PROMPTS))
        done = run(FOUNDRY, pathlib.Path(__file__).parent /
                   "foundry_answers.py", TOKENS, prompts, *folders)
        self.assertEqual(done.returncode, 0, done.stderr)
        for folder, line in zip(folders, done.stdout.splitlines(),
                                strict=True):
            for prompt, theirs in zip(PROMPTS, json.loads(line)):
                with self.subTest(folder.name, prompt=prompt):
                    text, whole = self.expected(folder, prompt)
                    ours = run(RUN, folder, "-n", TOKENS, "--greedy", prompt)
                    self.assertEqual(ours.returncode, 0, ours.stderr)
                    ours = ours.stdout.removesuffix("\n")
                    # A character of several tokens may be cut.
                    text = text.rstrip("\N{REPLACEMENT CHARACTER}").strip()
                    for answer in (ours.strip(), theirs.strip()):
                        if whole:
                            answer = answer.rstrip(
                                "\N{REPLACEMENT CHARACTER}").strip()
                            self.assertEqual(answer, text)
                        else:
                            self.assertEqual(answer[:len(text)], text)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
