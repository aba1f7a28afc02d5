#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-convert as a user or a script calls it: exit codes, messages, what lies in
the output folder, and that nothing is left of what went wrong.

usage: convert_test.py SLM_CONVERT SLM_RUN tests/data/tiny-model
"""
import hashlib
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import hf_models  # noqa: E402
from convert_folder import LLAMA, Folder, convert  # noqa: E402

CONVERT, RUN, TOKENIZER = (pathlib.Path(p).resolve() for p in sys.argv[1:4])
Folder.TOKENIZER = TOKENIZER


def make_sparse(path, config):
    """A file of zeros as large as the config wants it: it takes no space."""
    header, at = {}, 0
    for name, shape in hf_models.shapes(config).items():
        size = 2
        for n in shape:
            size *= n
        header[name] = {"dtype": "BF16", "shape": shape,
                        "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        f.truncate(8 + len(text) + at)


class Results(Folder):
    def test_the_folder_is_complete_and_runs(self):
        self.make()
        done = convert(self.source, self.out, "--name", "tiny:2")
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        self.assertIn("bits/weight", done.stderr)
        self.assertEqual(sorted(p.name for p in self.out.iterdir()), [
            "chat_template.jinja", "conversion_report.json",
            "genai_config.json", "inference_model.json", "model.onnx", "model.onnx.data", "slm.json",
            "special_tokens_map.json", "tokenizer.json",
            "tokenizer_config.json"])
        self.assertEqual(sorted(self.root.iterdir()), [self.source, self.out])
        answer = subprocess.run([RUN, self.out, "-n", "4", "--greedy", "hi"],
                                capture_output=True, timeout=60)
        self.assertEqual(answer.returncode, 0, answer.stderr)

    def test_texts(self):
        self.make()
        (self.source / "generation_config.json").write_text(json.dumps(
            {"do_sample": True, "temperature": 0.6, "top_p": 0.95, "top_k": 20,
             "eos_token_id": [287, 285], "repetition_penalty": 1.05}))
        self.assertEqual(convert(self.source, self.out, "-q").stderr, "")
        config = json.loads((self.out / "genai_config.json").read_text())
        self.assertEqual(config["model"]["eos_token_id"], [287, 285])
        self.assertEqual(config["model"]["pad_token_id"], 287)
        self.assertEqual(config["model"]["type"], "llama")
        self.assertEqual(config["search"]["top_k"], 20)
        self.assertEqual(config["search"]["temperature"], 0.6)
        self.assertEqual(config["search"]["repetition_penalty"], 1.05)
        tokenizer = json.loads((self.out / "tokenizer_config.json").read_text())
        self.assertEqual(tokenizer["model_max_length"], hf_models.CONTEXT)
        self.assertNotIn("chat_template", tokenizer)
        inference = json.loads((self.out / "inference_model.json").read_text())
        self.assertEqual(inference["Name"], "out")
        self.assertEqual(inference["PromptTemplate"], {
            "system": "<|im_start|>system\n{Content}<|im_end|>",
            "user": "<|im_start|>user\n{Content}<|im_end|>",
            "assistant": "<|im_start|>assistant\n{Content}<|im_end|>",
            "prompt": "<|im_start|>user\n{Content}<|im_end|>\n"
                      "<|im_start|>assistant\n"})
        record = json.loads((self.out / "slm.json").read_text())
        self.assertEqual(record["algorithm"], "search")
        for name, entry in record["files"].items():
            data = (self.out / name).read_bytes()
            self.assertEqual(entry["bytes"], len(data), name)
            self.assertEqual(entry["sha256"],
                             hashlib.sha256(data).hexdigest(), name)

    def test_a_template_in_tokenizer_config_becomes_a_file(self):
        self.make()
        (self.source / "chat_template.jinja").unlink()
        path = self.source / "tokenizer_config.json"
        config = json.loads(path.read_text())
        config["chat_template"] = "{{ messages[0].content }}"
        config["model_max_length"] = 10 ** 30
        path.write_text(json.dumps(config))
        self.assertEqual(convert(self.source, self.out).returncode, 0)
        self.assertEqual((self.out / "chat_template.jinja").read_text(),
                         "{{ messages[0].content }}")
        self.assertNotIn("chat_template",
                         (self.out / "tokenizer_config.json").read_text())

    def test_threads_do_not_change_a_byte(self):
        self.make(dtype="BF16")
        for name, threads in (("a", "1"), ("b", "3")):
            done = convert(self.source, self.root / name, "-t", threads)
            self.assertEqual(done.returncode, 0, done.stderr)
        for name in ("model.onnx", "model.onnx.data"):
            self.assertEqual((self.root / "a" / name).read_bytes(),
                             (self.root / "b" / name).read_bytes())

    def test_any_folder_name(self):
        self.make()
        for name in ("a, b", "模型", "-"):
            done = convert(self.source, "./" + name, cwd=self.root)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertTrue((self.root / name / "slm.json").exists())

    def test_dry_run_writes_nothing(self):
        self.make()
        done = convert(self.source, self.out, "--dry-run")
        self.assertEqual(done.returncode, 0)
        self.assertIn("would write", done.stderr)
        self.assertFalse(self.out.exists())

    def test_the_source_is_untouched(self):
        self.make()
        before = {p.name: (p.read_bytes(), p.stat().st_mtime_ns)
                  for p in self.source.iterdir()}
        convert(self.source, self.out)
        self.assertEqual(before, {p.name: (p.read_bytes(),
                                           p.stat().st_mtime_ns)
                                  for p in self.source.iterdir()})


class Overwriting(Folder):
    def test_only_with_force(self):
        self.make()
        self.out.mkdir()
        (self.out / "mine").write_text("keep")
        self.refused(1, "--force replaces the folder")
        self.assertEqual((self.out / "mine").read_text(), "keep")
        self.assertEqual(convert(self.source, self.out, "--force").returncode,
                         0)
        self.assertFalse((self.out / "mine").exists())
        self.assertTrue((self.out / "model.onnx").exists())

    def test_an_empty_folder_is_taken(self):
        self.make()
        self.out.mkdir()
        self.assertEqual(convert(self.source, self.out).returncode, 0)

    def test_never_the_source(self):
        self.make()
        for out in (self.source, self.source / "out", self.root):
            done = convert(self.source, out, "--force")
            self.assertEqual(done.returncode, 2)
            self.assertIn("must be apart", done.stderr)
        self.assertTrue((self.source / "config.json").exists())

    def test_a_file_in_the_way(self):
        self.make()
        self.out.write_text("x")
        self.refused(1, "exists and is no folder", "--force")


class Interrupted(Folder):
    def start(self):
        """A conversion of 200 MB of zeros (a sparse file), on its way."""
        config = hf_models.base_config("LlamaForCausalLM", "llama",
                                       intermediate_size=2 ** 20)
        self.make()
        (self.source / "config.json").write_text(json.dumps(config))
        make_sparse(self.source / "model.safetensors", config)
        process = subprocess.Popen([CONVERT, self.source, self.out, "-t", "1"],
                                   stderr=subprocess.PIPE, encoding="utf-8")
        data = self.root / "out.slm-convert.tmp" / "model.onnx.data"
        while not data.exists() and process.poll() is None:
            time.sleep(0.001)
        self.assertIsNone(process.poll(), "finished before it was interrupted")
        return process

    def test_signals_leave_nothing(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            process = self.start()
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 128 + number, err)
            self.assertIn("interrupted", err)
            self.assertEqual(list(self.root.iterdir()), [self.source])
            shutil.rmtree(self.source)

    def test_kill_leaves_no_model_and_the_next_run_cleans_up(self):
        process = self.start()
        second = convert(self.source, self.out)
        self.assertEqual(second.returncode, 1, second.stderr)
        self.assertIn("another process is writing it", second.stderr)
        process.kill()
        process.communicate(timeout=60)
        self.assertFalse(self.out.exists())
        shutil.rmtree(self.source)
        self.make()
        self.assertEqual(convert(self.source, self.out).returncode, 0)
        self.assertEqual(sorted(self.root.iterdir()), [self.source, self.out])


class Checking(Folder):
    def check(self, code, text):
        done = convert("check", self.out)
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(text, done.stdout + done.stderr)

    def test_check(self):
        self.check(3, "out")
        self.make()
        self.assertEqual(convert(self.source, self.out).returncode, 0)
        self.check(0, ": ok, 9 files")
        data = self.out / "model.onnx.data"
        good = data.read_bytes()
        data.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        self.check(4, "model.onnx.data has sha256")
        data.write_bytes(good[:-1])
        self.check(4, f"has {len(good) - 1} bytes, slm.json says {len(good)}")
        data.unlink()
        self.check(3, "model.onnx.data")
        (self.out / "slm.json").unlink()
        self.check(3, "model.onnx.data")
        data.write_bytes(good)
        self.check(0, "no slm.json: contents cannot be compared")
        (self.out / "inference_model.json").unlink()
        self.check(0, "no inference_model.json")
        self.assertEqual(convert("check").returncode, 2)

    def test_progress_on_a_terminal_only(self):
        self.make()
        ours, theirs = pty.openpty()
        done = subprocess.run([CONVERT, self.source, self.out], stderr=theirs,
                              timeout=60)
        self.assertEqual(done.returncode, 0)
        self.assertIn(b"MB/s", os.read(ours, 65536))
        os.close(ours)
        os.close(theirs)
        self.assertNotIn("MB/s", convert(self.source, self.out,
                                         "--force").stderr)


class OtherCommandLines(Folder):
    """What users have in their notes: Olive's and the model builder's."""

    def record(self, out=None):
        return json.loads(((out or self.out) / "slm.json").read_text())

    def same_as(self, out, *flags):
        """`out` holds what our own flags give."""
        expected = self.root / "expected"
        shutil.rmtree(expected, ignore_errors=True)
        done = convert(self.source, expected, *flags)
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in ("model.onnx", "model.onnx.data", "genai_config.json"):
            self.assertEqual((expected / name).read_bytes(),
                             (out / name).read_bytes(), name)

    def test_the_tutorials_auto_opt(self):
        self.make()
        done = convert(
            "auto-opt", "--model_name_or_path", self.source, "--device", "cpu",
            "--provider", "CPUExecutionProvider", "--use_model_builder",
            "--precision", "int4", "--output_path", self.out, "--log_level",
            "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.same_as(self.out, "-p", "int4")

    def test_auto_opt_prefixes_defaults_and_notes(self):
        self.make()
        done = convert("auto-opt", "-m", self.source, "--prec=uint8",
                       "--trust", "--disable_telemetry", cwd=self.root)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("note: --trust_remote_code means nothing here",
                      done.stderr)
        self.assertNotIn("telemetry", done.stderr)
        self.same_as(self.root / "auto-opt-output", "-p", "int8",
                     "--asymmetric")
        shutil.rmtree(self.root / "auto-opt-output")
        convert("auto-opt", "-m", self.source, cwd=self.root)
        self.same_as(self.root / "auto-opt-output", "-p", "fp32")

    def run_config(self, **changes):
        config = {
            "input_model": {"type": "HfModel", "model_path": str(self.source),
                            "task": "text-generation"},
            "systems": {"local_system": {
                "type": "LocalSystem", "accelerators": [
                    {"execution_providers": ["CPUExecutionProvider"]}]}},
            "passes": {"builder": {"type": "ModelBuilder", "config": {
                "precision": "int4", "quantization_config": {
                    "block_size": 128, "is_symmetric": False}}}},
            "host": "local_system", "target": "local_system",
            "cache_dir": "cache", "output_dir": str(self.out)}
        config.update(changes)
        path = self.root / "run.json"
        path.write_text(json.dumps(config))
        return path

    def test_the_tutorials_run_config(self):
        self.make()
        done = convert("run", "--config", self.run_config())
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("quantization_config is honoured", done.stderr)
        self.same_as(self.out, "-b", "128", "--asymmetric")

    def test_run_configs_flattened_with_options_and_overrides(self):
        self.make()
        path = self.run_config(
            input_model={"type": "hfmodel", "config": {
                "model_path": "elsewhere"}},
            passes={"b": [{"type": "modelbuilder", "precision": "int8",
                           "int4_block_size": 64, "int4_accuracy_level": 0,
                           "extra_options": {"is_symmetric": True,
                                             "algo_config": "rtn"}}]})
        other = self.root / "other"
        done = convert("run", "--run-config", path, "-m", self.source, "-o",
                       other)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.same_as(other, "-p", "int8", "-b", "64", "-a", "rtn",
                     "--accuracy-level", "0")

    def test_the_model_builder(self):
        config = hf_models.FAMILIES["qwen2-tied"]
        self.make(config)
        done = convert(
            "-m", "Qwen/Qwen3-0.6B", "-i", self.source, "-o", self.out, "-p",
            "int4", "-e", "cpu", "-c", "cache", "--extra_options",
            "int4_block_size=16", "algo_config=default", "is_symmetric=false",
            "shared_embeddings=false", "hf_token=false")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.same_as(self.out, "-b", "16", "-a", "default", "--asymmetric",
                     "--no-shared-embeddings")

    def test_refusals(self):
        self.make()
        ok = ["auto-opt", "-m", self.source, "-o", self.out]
        builder = ["-i", self.source, "-o", self.out, "-p", "int4", "-e",
                   "cpu"]
        run = ["run", "--config"]
        no_pass = self.run_config(passes={"a": {"type": "Gptq"}})
        for code, args, text in (
                (3, ["auto-opt", "-m", "Qwen/Qwen3-0.6B"],
                 "pass a local folder"),
                (2, ["auto-opt"], "--model_name_or_path is missing"),
                (2, ok + ["--precision", "nf4"], 'precision "nf4"'),
                (2, ok + ["--provider", "CUDAExecutionProvider"], "CPU is"),
                (2, ok + ["--device", "npu"], "CPU is"),
                (2, ok + ["--use_qdq"],
                 "quantised matrices mean nothing with precision fp32"),
                (2, ok + ["--use"], "may be --use_"),
                (2, ok + ["--nonsense"], "unknown flag --nonsense"),
                (2, ok + ["--task", "fill-mask"], 'task "fill-mask"'),
                (2, ok + ["stray"], '"stray" is no flag'),
                (2, builder + ["-e", "cuda"], '"cuda" is not supported'),
                (2, builder + ["--extra_options", "fuse_qkv=true"],
                 'fuse_qkv = "true" is not supported'),
                (2, builder + ["--extra_options", "algo_config=hqq"],
                 'algo_config = "hqq"'),
                (2, builder + ["--extra_options", "block_size=48"],
                 "block_size = 48"),
                (2, builder + ["--extra_options", "x"], "expected key=value"),
                (3, run + [self.root / "none.json"], "none.json"),
                (2, run + [no_pass], 'pass "Gptq" is not supported')):
            with self.subTest(text):
                done = convert(*args, cwd=self.root)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertIn(text, done.stderr)
                self.assertEqual(done.stderr.count("\n"), 1)
                self.assertFalse(self.out.exists())
        for changes, text in (
                ({"search_strategy": {}}, '"search_strategy" is not'),
                ({"input_model": {"type": "PyTorchModel"}}, '"PyTorchModel"'),
                ({"input_model": {"type": "HfModel", "x": 1}},
                 "input_model.x is not supported"),
                ({"systems": {"s": {"accelerators": [{"device": "gpu"}]}}},
                 'device "gpu"'),
                ({"passes": {}}, "there is none"),
                ({"passes": {"b": {"type": "ModelBuilder"}}}, "precision")):
            with self.subTest(text):
                done = convert("run", "--config", self.run_config(**changes))
                self.assertIn(done.returncode, (2, 4), done.stderr)
                self.assertIn(text, done.stderr)


class Refusals(Folder):
    def config(self, **changes):
        (self.source / "config.json").write_text(
            json.dumps({**LLAMA, **changes}))

    def test_sources(self):
        self.refused(3, "no such folder; pass a local folder")
        self.source.write_text("x")
        self.refused(3, "it is a file")
        self.source.unlink()
        self.make()
        (self.source / "tokenizer.json").unlink()
        self.refused(3, "tokenizer.json not found")
        (self.source / "config.json").unlink()
        self.refused(3, "config.json")

    def test_weights(self):
        weights = self.make()
        path = self.source / "model.safetensors"
        good = path.read_bytes()
        path.write_bytes(good[:-4])
        self.refused(4, "download is probably incomplete")
        path.write_bytes(good[:4])
        self.refused(4, "are no safetensors file")
        path.unlink()
        (self.source / "pytorch_model.bin").write_bytes(b"PK")
        self.refused(4, "Python pickle")
        tensors = {n: ("F32", s, hf_models.pack(weights[n], "F32"))
                   for n, s in hf_models.shapes(LLAMA).items()}
        name = "model.layers.1.mlp.up_proj.weight"
        for change, text in (
                (None, f'tensor "{name}" is missing'),
                (("F32", [32, 48], tensors[name][2]),
                 "is [32, 48], the config makes it [48, 32]"),
                (("I32", [48, 32], tensors[name][2]),
                 "I32 weights are not supported"),
                (("F32", [48, 32], tensors[name][2][:-4] + b"\0\0\xc0\x7f"),
                 "values that are not finite")):
            changed = {n: t for n, t in tensors.items() if n != name}
            if change:
                changed[name] = change
            hf_models.write_safetensors(path, changed)
            self.refused(4, text)
        hf_models.write_safetensors(
            path, {**tensors, "model.layers.0.extra": ("F32", [1], b"0000")})
        self.refused(4, '"model.layers.0.extra" has no place in a Llama')

    def test_configs(self):
        self.make()
        for changes, text in (
                ({"architectures": ["MambaForCausalLM"]},
                 '"MambaForCausalLM" is not supported; supported: Ernie4_5'),
                ({"architectures": []}, "architectures"),
                ({"quantization_config": {"quant_method": "hqq"}},
                 'quant_method "hqq" is not supported'),
                ({"hidden_act": "tanh"}, 'hidden_act = "tanh"'),
                ({"num_key_value_heads": 3}, "is no multiple of"),
                ({"hidden_size": 0}, "hidden_size"),
                ({"intermediate_size": -1}, "intermediate_size"),
                ({"rms_norm_eps": 0}, "rms_norm_eps = 0"),
                ({"sliding_window": 8}, "sliding_window is not supported"),
                ({"clip_qkv": 8.0}, "clip_qkv is not supported"),
                ({"eos_token_id": None}, "eos_token_id is missing"),
                ({"attention_bias": True}, '.bias" is missing'),
                ({"partial_rotary_factor": 0.5},
                 "partial_rotary_factor = 0.5 is not supported for Llama"),
                ({"use_bias": True}, "use_bias is not supported"),
                ({"max_position_embeddings": 2 ** 29}, "more than 512 MB"),
                ({"rope_scaling": {"rope_type": "new"}},
                 'rope_scaling: type "new" is not supported'),
                ({"rope_scaling": {"rope_type": "linear"}},
                 'rope_scaling: "factor" is missing'),
                ({"rope_scaling": {"rope_type": "linear", "factor": 0}},
                 '"factor" = 0, expected more than 0'),
                ({"rope_scaling": {"rope_type": "longrope",
                                   "long_factor": [1], "short_factor": [1]}},
                 '"short_factor" has 1 values, half the rotary size is 8'),
                ({"vocab_size": 289}, "the config makes it [289, 32]")):
            with self.subTest(text):
                self.config(**changes)
                self.refused(4, text)

    def test_adapters(self):
        self.make()
        path, down = self.root / "adapter", "model.layers.0.mlp.down_proj"
        flags = ["--adapter", path]
        self.refused(3, "adapter_config.json", *flags)
        for options, text in (
                ({"peft_type": "IA3"}, 'peft_type = "IA3" is not supported'),
                ({"fan_in_fan_out": True}, "fan_in_fan_out is not supported"),
                ({"layer_replication": [[0, 2]]}, "layer_replication is not"),
                ({"r": 3}, "B [32, 2] A [2, 48] of rank 3 do not fit"),
                ({"use_dora": True}, "lora_magnitude_vector do not agree"),
                ({"alpha_pattern": {"down.*": 2}}, '"down.*" is not supported'),
                ({"lora_alpha": None}, '"lora_alpha" is missing')):
            with self.subTest(text):
                hf_models.make_adapter(path, LLAMA, [down], **options)
                self.refused(4, text, *flags)
                shutil.rmtree(path)
        hf_models.make_adapter(path, LLAMA, [down])
        tensors = path / "adapter_model.safetensors"
        a = ("F32", [2, 48], b"\0" * 384)
        for name, text in (
                (f"base_model.model.{down}.lora_A.weight", "has no lora_B"),
                ("base_model.model.model.layers.9.x.lora_A.weight",
                 "merging into what the model does not have"),
                (f"{down}.lora_A.weight", "is not supported"),
                (f"base_model.model.{down}.weight",
                 "is [2, 48], the model's is [32, 48]")):
            with self.subTest(text):
                hf_models.write_safetensors(tensors, {name: a})
                self.refused(4, text, *flags)
        tensors.rename(path / "adapter_model.bin")
        self.refused(4, "Python pickle", *flags)

    def test_adapters_of_tied_embeddings(self):
        config = hf_models.FAMILIES["qwen2-tied"]
        self.make(config)
        path = self.root / "adapter"
        hf_models.make_adapter(path, config, ["model.embed_tokens"])
        self.refused(4, "merging into tied embeddings is not supported",
                     "--adapter", path)

    def test_templates_are_tried(self):
        self.make()
        (self.source / "chat_template.jinja").write_text("{% for m in %}")
        self.shows_source = True
        self.refused(4, "chat_template")
        self.refused(4, "chat_template", "--dry-run")

    def test_usage(self):
        self.make()
        for flags, text in ((["-p", "int3"], '--precision is "int3"'),
                            (["-b", "48"], '--block-size is "48"'),
                            (["-a", "awq"], '--algorithm is "awq"'),
                            (["-p", "fp32", "-b", "32"], "means nothing with"),
                            (["--symmetric", "--asymmetric"], "exclude"),
                            (["--accuracy-level", "5"], "0..4"),
                            (["-t", "0"], "--threads"),
                            (["--imatrix", "x"], "imatrix"),
                            (["third"], "3 paths")):
            with self.subTest(text):
                self.refused(2, text, *flags)

    def test_a_full_disk_is_seen_first(self):
        self.make()
        config = {**LLAMA, "intermediate_size": 2 ** 24, "hidden_size": 8192}
        (self.source / "config.json").write_text(json.dumps(config))
        usual, hf_models.HIDDEN = hf_models.HIDDEN, 8192
        try:  # 3 TB; float32 doubles them
            make_sparse(self.source / "model.safetensors", config)
        except OSError as e:
            self.skipTest(f"no sparse file of 3 TB: {e}")
        finally:
            hf_models.HIDDEN = usual
        self.refused(1, "MB free", "-p", "fp32")

    def test_help_and_version(self):
        done = convert("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        lines = done.stdout.splitlines()
        self.assertLessEqual(len(lines), 45)  # a screen
        self.assertLessEqual(max(map(len, lines)), 80)
        everything = convert("--help-all").stdout
        self.assertIn("Qwen3ForCausalLM", everything)
        for flag in re.findall(r"--[a-z-]+", done.stdout):
            self.assertIn(flag, everything)
        for verb in ("check", "auto-opt", "run"):
            self.assertEqual(convert(verb, "--help").stdout, done.stdout)
        self.assertEqual(convert("--version").returncode, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
