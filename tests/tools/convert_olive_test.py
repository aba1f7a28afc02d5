#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Olive's optimize, quantize and capture-onnx-graph as slm-convert understands
them (auto-opt and run: tutorial_test.py, convert_test.py).

usage: convert_olive_test.py SLM_CONVERT tests/data/tiny-model
"""
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import hf_models  # noqa: E402

CONVERT, TOKENIZER = (pathlib.Path(p).resolve() for p in sys.argv[1:3])
LLAMA = hf_models.FAMILIES["llama"]


class Folder(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.temporary.name)
        self.source, self.out = self.root / "hf", self.root / "out"
        hf_models.make_folder(self.source, LLAMA, TOKENIZER)

    def tearDown(self):
        self.temporary.cleanup()

    def convert(self, *args, code=0):
        done = subprocess.run([CONVERT, *args], timeout=60, cwd=self.root,
                              capture_output=True, encoding="utf-8")
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr

    def same_as(self, out, *flags):
        expected = self.root / "expected"
        self.convert(self.source, expected, "-q", "--force", *flags)
        for name in ("model.onnx", "model.onnx.data", "genai_config.json"):
            self.assertEqual((expected / name).read_bytes(),
                             (out / name).read_bytes(), name)


class Olive(Folder):
    def test_optimize(self):
        self.convert("optimize", "-m", self.source)
        self.same_as(self.root / "optimized-model", "-p", "fp32")
        text = self.convert(
            "optimize", "-m", self.source, "-o", self.out, "--prec", "int4",
            "--provider", "CPUExecutionProvider", "--device", "cpu",
            "--exporter", "dynamo_exporter", "--modality", "text", "--memory",
            "4000")
        self.assertIn("quantises by GPTQ on wikitext", text)
        self.assertIn("the graph is the model builder's", text)
        self.assertIn("--memory means nothing here", text)
        self.same_as(self.out, "-b", "128")
        text = self.convert(
            "optimize", "-m", self.source, "-o", self.out, "--precision",
            "uint4", "--block_size", "40", "--extra_mb_options",
            "algo_config=default,int4_accuracy_level=0", "--use_qdq_format",
            "--force")
        self.assertIn("--block_size 40: 32 is taken", text)
        self.same_as(self.out, "-b", "32", "--asymmetric", "-a", "default",
                     "--accuracy-level", "0", "--qdq")

    def test_quantize(self):
        text = self.convert("quantize", "-m", self.source, "--data_name", "x")
        self.assertIn("no checkpoint of PyTorch", text)
        self.assertIn("--data_name means nothing here", text)
        self.same_as(self.root / "quantized-model", "-p", "int8", "-a", "rtn",
                     "-b", "128")
        self.convert("quantize", "-m", self.source, "-o", self.out,
                     "--algorithm", "kquant", "--precision", "int4",
                     "--implementation", "ort")
        self.same_as(self.out, "-a", "k_quant", "-b", "128")

    def test_capture_onnx_graph(self):
        self.convert("capture-onnx-graph", "-m", self.source,
                     "--use_model_builder", "--use_ort_genai",
                     "--conversion_device", "cpu", "--torch_dtype", "float32",
                     "--target_opset", "20")
        self.same_as(self.root / "onnx-model", "-p", "fp16")
        self.convert("capture-onnx-graph", "-m", self.source, "-o", self.out,
                     "--precision", "int4", "--int4_block_size", "16",
                     "--int4_accuracy_level", "1")
        self.same_as(self.out, "-b", "16", "--accuracy-level", "1")

    def test_refusals(self):
        for args, text in (
                (["optimize"], "--model_name_or_path is missing"),
                (["optimize", "--act_precision", "int8"],
                 "--act_precision is not supported"),
                (["optimize", "--provider", "QNNExecutionProvider"],
                 "CPU is"),
                (["optimize", "--modality", "audio"], 'modality "audio"'),
                (["optimize", "--exporter", "x"], 'exporter "x"'),
                (["optimize", "--block_size", "-1"], "--block_size"),
                (["optimize", "--block_size=-1"], "one scale for a column"),
                (["optimize", "--surgeries", "x"], "--surgeries is not"),
                (["optimize", "--enable_aot"], "--enable_aot is not"),
                (["optimize", "--precision", "int16"], 'precision "int16"'),
                (["optimize", "--extra_mb_options", "x"], "key=value"),
                (["optimize", "--nonsense"], "unknown flag --nonsense"),
                (["quantize", "--algorithm", "awq"], 'algorithm "awq"'),
                (["quantize", "--implementation", "nvmo"], '"nvmo"'),
                (["quantize", "--precision", "fp16"], "int4, int8, uint4"),
                (["capture-onnx-graph", "--conversion_device", "gpu"],
                 "CPU is"),
                (["capture-onnx-graph", "--fixed_param_dict", "a=1"],
                 "--fixed_param_dict is not supported"),
                (["capture-onnx-graph", "--precision", "bf16"], '"bf16"'),
                (["run-pass", "--pass-name", "X"],
                 'command "run-pass" is not supported: auto-opt, run'),
                (["finetune"], 'command "finetune"'),
                (["run", "--config", "x.yaml"], "convert it to JSON")):
            with self.subTest(args):
                if args[0] in ("optimize", "quantize", "capture-onnx-graph") \
                        and len(args) > 1:
                    args = [args[0], "-m", self.source, *args[1:]]
                error = self.convert(*args, code=2)
                self.assertIn(text, error)
                self.assertEqual(error.count("\n"), 1, error)
        self.assertEqual(list(self.root.iterdir()), [self.source])

    def test_a_folder_may_be_called_like_a_command(self):
        self.source.rename(self.root / "optimize")
        self.convert("optimize", "out", "-q")
        self.assertTrue((self.out / "model.onnx").exists())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
