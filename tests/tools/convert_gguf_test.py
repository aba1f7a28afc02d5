#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-convert from GGUF files: the result is that of a Hugging Face folder with
the file's values.

usage: convert_gguf_test.py SLM_CONVERT SLM_INSPECT tests/data/tiny-model SHARED
"""
import ast
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import gguf_models as gguf  # noqa: E402
import hf_models  # noqa: E402

CONVERT, INSPECT, TOKENIZER, SHARED = (
    pathlib.Path(p).resolve() for p in sys.argv[1:5])
FIXTURES = SHARED / "fixtures" / "models"
# Gemma's tokens of several spaces, which its tokenizer.json finds nowhere: the
# format has them as texts that are found.
SPACES = ("  ", "\u2581\u2581")


def convert(*args):
    return subprocess.run([CONVERT, *args], timeout=60, capture_output=True,
                          encoding="utf-8")


class Folder(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.temporary.name)
        self.hf, self.file = self.root / "hf", self.root / "m.gguf"

    def tearDown(self):
        self.temporary.cleanup()

    def make(self, name="llama", kind=gguf.F32, changes=None, **options):
        shutil.rmtree(self.hf, ignore_errors=True)
        hf_models.make_folder(
            self.hf, {**hf_models.FAMILIES[name], **(changes or {})}, TOKENIZER)
        # What ends an answer by its text in the file.
        (self.hf / "generation_config.json").write_text(
            json.dumps({"eos_token_id": [287, 285]}))
        return gguf.from_folder(self.hf, self.file, kind, **options)

    def with_values(self, values):
        """The folder holds what the file stands for, in float32."""
        hf_models.write_safetensors(self.hf / "model.safetensors", {
            name: ("F32", shape, hf_models.pack(data, "F32"))
            for name, (shape, data) in values.items()})

    def done(self, source, out, *flags, check=("--no-check",)):
        shutil.rmtree(self.root / out, ignore_errors=True)
        done = convert(source, self.root / out, *flags, *check)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        return done.stderr

    def same(self, *flags, names=("model.onnx", "model.onnx.data",
                                  "genai_config.json")):
        """File and folder give the same bytes; returns the file's notes."""
        self.done(self.hf, "a", *flags)
        notes = self.done(self.file, "b", *flags)
        for name in names:
            self.assertEqual((self.root / "a" / name).read_bytes(),
                             (self.root / "b" / name).read_bytes(), name)
        return notes

    def logits(self, folder):
        path = self.root / "l.npy"
        subprocess.run([INSPECT, "logits", self.root / folder, "--ids",
                        "285,12,250,3,3,77,140,9", "--out", path],
                       check=True, timeout=60)
        data = path.read_bytes()
        size = struct.unpack("<H", data[8:10])[0]
        shape = ast.literal_eval(data[10:10 + size].decode())["shape"]
        return struct.unpack(f"<{shape[-1]}f", data[10 + size:])

    def refused(self, text, code=4, source=None, flags=()):
        done = convert(source or self.file, self.root / "out", *flags)
        self.assertEqual((done.returncode, done.stdout), (code, ""),
                         done.stderr)
        self.assertIn(text, done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertFalse((self.root / "out").exists())


class Values(Folder):
    def test_every_family_is_its_folder(self):
        for name, config in hf_models.FAMILIES.items():
            # Not in the format: Qwen's windows; that Llama was a Mistral.
            if config.get("use_sliding_window") or name == "mistral-full":
                continue
            if config["architectures"][0] not in gguf.ARCHITECTURES:
                continue
            with self.subTest(name):
                # The format's llama has one activation.
                values = self.make(name, changes={"hidden_act": "silu"}
                                   if config["hidden_act"] == "gelu" else None)
                if config["model_type"].startswith("gemma"):
                    self.with_values(values)  # 1 + w, rounded
                self.same("-p", "fp32")

    def test_every_type_is_its_values(self):
        for kind in (gguf.F16, gguf.BF16, gguf.Q8_0, gguf.Q4_0, gguf.Q4_1,
                     gguf.Q5_0):
            with self.subTest(kind):
                self.with_values(self.make("llama", kind))
                self.same("-p", "fp32")
                self.with_values(self.make("phi3", kind))
                self.same("-p", "int4", "-b", "64", "-a", "rtn",
                          names=["model.onnx.data"])

    def test_codes_that_are_kept(self):
        # ONNX Runtime's quantizer finds the codes of a block again whose
        # largest value has code 0.
        for name in ("llama", "qwen2-tied", "phi3"):
            with self.subTest(name):
                self.with_values(self.make(
                    name, gguf.Q4_0, {"intermediate_size": 64}))
                notes = self.same("-a", "default", names=["model.onnx.data"])
                self.assertIn("tensors keep the values", notes)
                self.assertNotIn("again", notes)

    def test_codes_that_widen(self):
        # Any of these on a grid of eight bits is exact; quantised again it
        # would be wrong by some 1e-3.
        for kind, down, flags in (
                (gguf.Q4_0, gguf.Q4_0, []),
                (gguf.Q5_0, gguf.Q6_K, ["-b", "16"]),
                (gguf.Q8_0, gguf.Q8_0, ["--asymmetric"]),
                (gguf.Q8_0, gguf.Q5_0, [])):
            with self.subTest((kind, down, flags)):
                self.make("llama", kind, {"intermediate_size": 256},
                          override=lambda n: down if "ffn_down" in n else None)
                self.done(self.file, "a", "-p", "fp32")
                notes = self.done(self.file, "b", "-p", "int8",
                                  "--accuracy-level", "0", *flags)
                self.assertIn("tensors keep the values", notes)
                self.assertNotIn("again", notes)
                one, two = self.logits("a"), self.logits("b")
                spread = max(one) - min(one)
                self.assertLess(max(abs(x - y) for x, y in zip(one, two)),
                                1e-5 * spread)

    def test_what_is_quantised_again(self):
        self.make("llama", gguf.Q8_0, {"intermediate_size": 64},
                  override=lambda n: gguf.Q4_0 if "ffn_gate" in n else
                  gguf.Q4_1 if "ffn_up" in n else None)
        gone = "4 quantised tensors are quantised again: values on no grid"
        notes = self.done(self.file, "a")
        self.assertIn("26 quantised tensors keep the values", notes)
        self.assertIn(gone, notes)
        notes = self.done(self.file, "a", "-p", "int4")
        self.assertIn("4 quantised tensors keep the values", notes)
        self.assertIn("22 quantised tensors are quantised again: more bits",
                      notes)
        notes = self.done(self.file, "a", "-b", "64")
        self.assertIn("26 quantised tensors are quantised again: blocks",
                      notes)
        self.assertNotIn("keep", notes)
        # The source's precision where no other is asked for.
        self.make("llama", gguf.Q8_0, {"intermediate_size": 64})
        self.done(self.file, "a")
        record = json.loads((self.root / "a" / "slm.json").read_text())
        self.assertEqual(record["precision"], "int8")

    def test_sampling_and_names(self):
        self.make(keys={"general.sampling.temp": 0.6,
                        "general.sampling.top_k": 20,
                        "general.sampling.top_p": 0.95})
        notes = self.done(self.file, "a", check=())
        self.assertIn("beside the source: KL", notes)
        search = json.loads((self.root / "a" / "genai_config.json")
                            .read_text())["search"]
        self.assertEqual((search["temperature"], search["top_k"],
                          search["top_p"], search["do_sample"]),
                         (0.6, 20, 0.95, True))
        self.assertEqual(sorted(p.name for p in (self.root / "a").iterdir()), [
            "chat_template.jinja", "conversion_report.json",
            "genai_config.json", "inference_model.json", "model.onnx",
            "model.onnx.data", "slm.json",
            "special_tokens_map.json", "tokenizer.json",
            "tokenizer_config.json"])

    def test_adapters(self):
        self.make()
        path = self.root / "adapter"
        hf_models.make_adapter(path, hf_models.FAMILIES["llama"],
                               ["model.layers.0.self_attn.q_proj"])
        self.same("-p", "fp32", "--adapter", path)

    def test_factors_that_are_no_known_scaling(self):
        self.make()
        original = gguf.rope_keys

        def with_factors(c, a, tensors):
            keys = original(c, a, tensors)
            tensors["rope_freqs.weight"] = (gguf.F32, [8], struct.pack(
                "<8f", *[2.0] * 8))
            return keys
        gguf.rope_keys = with_factors
        try:
            gguf.from_folder(self.hf, self.file)
        finally:
            gguf.rope_keys = original
        config = json.loads((self.hf / "config.json").read_text())
        config["rope_scaling"] = {"rope_type": "linear", "factor": 2.0}
        (self.hf / "config.json").write_text(json.dumps(config))
        self.same("-p", "fp32")


class Files(Folder):
    def split(self):
        """The file as two files."""
        path = self.root / "s"
        path.mkdir()
        parts, keys = [{}, {}], {}
        original = gguf.write

        def write(_, all_keys, every):
            keys.update(all_keys)
            for i, (name, tensor) in enumerate(every.items()):
                parts[i % 2][name] = tensor
            for i in range(2):
                place = {"split.no": i, "split.count": 2,
                         "split.tensors.count": len(every)}
                original(path / f"m-{i + 1:05}-of-00002.gguf",
                         {**(keys if i == 0 else {}), **place}, parts[i])
        gguf.write = write
        try:
            gguf.from_folder(self.hf, self.file)
        finally:
            gguf.write = original
        return path

    def test_split_files_and_folders(self):
        self.make()
        self.done(self.file, "a")
        path = self.split()
        for source in (path, path / "m-00002-of-00002.gguf"):
            self.done(source, "b")
            self.assertEqual(
                (self.root / "a" / "model.onnx.data").read_bytes(),
                (self.root / "b" / "model.onnx.data").read_bytes())
        record = json.loads((self.root / "b" / "slm.json").read_text())
        self.assertEqual(record["source"]["files"],
                         ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"])
        shutil.copy(self.file, path / "other.gguf")
        self.refused("pass one of the files", source=path)
        (path / "other.gguf").unlink()
        (path / "m-00002-of-00002.gguf").unlink()
        self.refused("not found: one of 2", 3, source=path)

    def test_refusals(self):
        for changes, text in (
                ({"general.architecture": "mamba"},
                 'general.architecture "mamba" is not supported; supported: '
                 'ernie4_5'),
                ({"general.architecture": None}, "is missing"),
                ({"llama.context_length": None},
                 "llama.context_length is missing"),
                ({"llama.attention.layer_norm_rms_epsilon": None},
                 "layer_norm_rms_epsilon is missing"),
                ({"llama.block_count": 5}, "is missing"),
                ({"llama.block_count": "x"}, "llama.block_count is no integer"),
                ({"llama.attention.head_count": 0}, "head_count is out of"),
                ({"llama.attention.head_count": [4, 4, 2, 4]},
                 "differs from layer to layer"),
                ({"llama.attention.value_length": 8},
                 "value_length is not attention.key_length"),
                ({"llama.expert_count": 8},
                 "llama.expert_count is not supported"),
                ({"llama.attention.magic": 1},
                 "llama.attention.magic is not supported"),
                ({"llama.rope.scaling.type": "dynamic2"},
                 'type = "dynamic2" is not supported'),
                ({"llama.rope.scaling.type": "yarn"},
                 "rope.scaling.factor is missing"),
                ({"llama.rope.dimension_count": 15}, "is out of range"),
                ({"llama.attention.scale": 0.5}, "scale = 0.5 is not"),
                ({"llama.logit_scale": 2.0}, "logit_scale = 2 is not"),
                ({"tokenizer.ggml.model": "bert"},
                 'tokenizer.ggml.model "bert" is not supported'),
                ({"tokenizer.ggml.model": None}, "is missing"),
                ({"tokenizer.ggml.pre": "viking"},
                 'tokenizer.ggml.pre "viking" is not supported; supported: '),
                ({"tokenizer.ggml.pre": None}, "an old file"),
                ({"tokenizer.ggml.tokens": None}, "is missing"),
                ({"tokenizer.ggml.tokens": ["a", "a"]}, "is there twice"),
                ({"tokenizer.ggml.merges": None}, "is missing"),
                ({"tokenizer.ggml.merges": ["ab"]}, "is no pair"),
                ({"tokenizer.ggml.merges": ["zzzzz yyyyy"]}, "zzzzz"),
                ({"tokenizer.ggml.token_type": [1]}, "has 1 integers for"),
                ({"tokenizer.ggml.eos_token_id": 10 ** 6}, "is not below"),
                ({"tokenizer.ggml.eos_token_id": None}, "is missing"),
                ({"tokenizer.ggml.add_sep_token": True}, "add_sep_token is"),
                ({"tokenizer.ggml.add_bos_token": True,
                  "tokenizer.ggml.bos_token_id": None},
                 "without a bos_token_id"),
                ({"tokenizer.chat_template": 5}, "is no text")):
            with self.subTest(text):
                self.make(keys=changes)
                self.refused(text)
        self.make("phi3", keys={"phi3.attention.sliding_window_pattern": 2})
        self.refused("sliding_window_pattern is not supported")

    def test_unused_ids_keep_their_places(self):
        types = [gguf.NORMAL] * 285 + [gguf.CONTROL, gguf.UNUSED, gguf.CONTROL]
        self.make(keys={"tokenizer.ggml.token_type": types})
        self.done(self.file, "a")
        tokens = json.loads((self.root / "a" / "tokenizer.json").read_text())
        self.assertEqual([t["id"] for t in tokens["added_tokens"]], [285, 287])
        self.assertEqual(len(tokens["model"]["vocab"]), 287)

    def test_damaged_files(self):
        """One line and an exit code, whatever is wrong."""
        self.make()
        good = self.file.read_bytes()
        self.file.write_bytes(good[:-1])
        self.refused("download is probably incomplete")
        rng = random.Random(5)
        for _ in range(60):
            bad = bytearray(good)
            for _ in range(rng.randint(1, 4)):
                at = rng.randrange(24 if rng.random() < 0.1 else len(bad))
                bad[at] = rng.choice((0, 1, 127, 128, 255))
            self.file.write_bytes(bad if rng.random() < 0.8
                                  else bad[:rng.randrange(len(bad))])
            done = convert(self.file, self.root / "out", "--dry-run", "-q")
            self.assertIn(done.returncode, (0, 4), done.stderr)
            if done.returncode:
                self.assertEqual(done.stderr.count("error: "), 1)


@unittest.skipUnless(FIXTURES.is_dir() or os.environ.get("CI"),
                     f"no fixtures in {FIXTURES}")
class Fixtures(Folder):
    MODELS = ("gemma3", "llama3-rope", "mistral-window", "phi3-window",
              "phi4-longrope", "qwen2-tied", "qwen3-tied")

    def texts(self, model, cases):
        for case in cases["encode"]:
            yield case["text"], False, case["ids"]
            yield case["text"], True, case["ids_special"]
        for case in cases["chat"]:
            yield case["text"], False, case["ids"]

    def test_models_and_tokenizers(self):
        for model in self.MODELS:
            with self.subTest(model):
                shutil.rmtree(self.hf, ignore_errors=True)
                shutil.copytree(FIXTURES / model / "hf", self.hf)
                gguf.from_folder(self.hf, self.file)
                # One end of text in the file, the others by their texts.
                self.same("-p", "fp32")
                self.same("-a", "default")
                self.tokens(model)

    def tokens(self, model):
        """Ids of the reference tokenizer, but for what the format cannot say:
        that a space is put before the first text only (Mistral), and that it
        is not put before another space."""
        cases = json.loads((FIXTURES / model / "tokenizer_cases.json")
                           .read_text("utf-8"))
        cases = list(self.texts(model, cases))
        if model == "gemma3":
            cases = [c for c in cases if not any(s in c[0] for s in SPACES)]
        if model == "mistral-window":
            cases = [c for c in cases if c[0][:1] not in " \u2581" and not any(
                s in c[0] for s in ("<s>", "</s>", "[INST]", "[/INST]",
                                    "<unk>"))]
        self.assertGreater(len(cases), 100)
        lines = "\n".join(json.dumps({"text": t, "add_special_tokens": s})
                          for t, s, _ in cases)
        done = subprocess.run([INSPECT, "tokenize", self.root / "b"],
                              input=lines + "\n", capture_output=True,
                              encoding="utf-8", timeout=60, check=True)
        for (text, _, ids), line in zip(cases, done.stdout.splitlines()):
            self.assertEqual(json.loads(line)["ids"], ids, text)


unittest.main(argv=sys.argv[:1])
