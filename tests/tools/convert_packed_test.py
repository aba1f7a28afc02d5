#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-convert with sources that are quantised already: every weight keeps its
value, and what cannot be kept is said.

usage: convert_packed_test.py SLM_CONVERT SLM_INSPECT tests/data/tiny-model
"""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import hf_models  # noqa: E402
import packed_models  # noqa: E402
from convert_families_test import IDS, read_npy  # noqa: E402

CONVERT, INSPECT, TOKENIZER = (pathlib.Path(p).resolve() for p in sys.argv[1:4])
LLAMA = dict(hf_models.FAMILIES["llama"], num_hidden_layers=2)
PHI3 = dict(hf_models.FAMILIES["phi3"], num_hidden_layers=2)
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 16, "sym": True,
        "desc_act": False}
GPTQ2 = dict(GPTQ, checkpoint_format="gptq_v2", sym=False)
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 16, "version": "gemm",
       "zero_point": True, "modules_to_not_convert": None}
OLIVE = {"quant_method": "olive", "bits": 4, "group_size": 16,
         "symmetric": True, "overrides": None}


def compressed_config(bits=4, symmetric=True):
    return {"quant_method": "compressed-tensors", "format": "pack-quantized",
            "config_groups": {"group_0": {
                "targets": ["Linear"], "input_activations": None,
                "weights": {"num_bits": bits, "type": "int",
                            "symmetric": symmetric, "strategy": "group",
                            "group_size": 16, "actorder": None}}},
            "ignore": ["lm_head"], "kv_cache_scheme": None}


def products(config):
    """(node, names of the weights on top of each other) of a graph."""
    for i in range(config["num_hidden_layers"]):
        node, at = f"/model/layers.{i}/", f"model.layers.{i}."
        attention = at + "self_attn."
        fused = "phi3" in config["model_type"]
        yield (node + "attn/qkv_proj/MatMul",
               [attention + "qkv_proj.weight"] if fused else
               [f"{attention}{p}_proj.weight" for p in "qkv"])
        yield node + "attn/o_proj/MatMul", [attention + "o_proj.weight"]
        yield node + "mlp/down_proj/MatMul", [at + "mlp.down_proj.weight"]
        for part in ("gate", "up"):
            yield (f"{node}mlp/{part}_proj/MatMul",
                   [at + "mlp.gate_up_proj.weight"] if fused else
                   [f"{at}mlp.{part}_proj.weight"])


class Packed(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.temporary.name)
        self.count = 0

    def tearDown(self):
        self.temporary.cleanup()

    def folders(self):
        self.count += 1
        return self.root / f"hf{self.count}", self.root / f"out{self.count}"

    def make(self, packer, quantization, config=LLAMA, **options):
        source, out = self.folders()
        weights = packed_models.make_folder(source, config, TOKENIZER, packer,
                                            quantization, **options)
        return weights, source, out

    def convert(self, *words):
        check = [] if words[0] in ("-i", "auto-opt") else ["--no-check"]
        done = subprocess.run([CONVERT, *words, *check], timeout=60,
                              capture_output=True, encoding="utf-8")
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        return done.stderr

    def check_kept(self, weights, out, config=LLAMA, **expected):
        onnx = packed_models.Onnx(out)
        for name, sources in products(config):
            values, a = onnx.weights(name + "NBits")
            wanted = [v for s in sources for v in weights[s]]
            if "gate_up" in sources[0]:
                half = len(wanted) // 2
                wanted = wanted[half:] if "up_proj/" in name else wanted[:half]
            self.assertEqual(values, wanted, name)
            for key, value in expected.items():
                self.assertEqual(a[key], value, name)

    def check_logits(self, weights, out, config=LLAMA):
        subprocess.run([INSPECT, "logits", out, "--ids",
                        ",".join(map(str, IDS)), "--all", "--out",
                        self.root / "l.npy"], check=True, timeout=60)
        ours = read_npy(self.root / "l.npy")
        expected = hf_models.forward(config, weights, IDS)
        spread = max(map(max, expected)) - min(map(min, expected))
        worst = max(abs(a - b) for x, y in zip(ours, expected)
                    for a, b in zip(x, y))
        self.assertLess(worst, 1e-5 * spread)  # as in convert_families_test


class Exact(Packed):
    # What is quantised, the flags, and the format that comes out.
    CASES = [
        (packed_models.gptq, GPTQ, {}, [],
         {"bits": 4, "block_size": 16, "symmetric": True}),
        (packed_models.gptq, GPTQ2, {"symmetric": False, "version": 2}, [],
         {"bits": 4, "block_size": 16, "symmetric": False}),
        # Zero points of 0 borrow from their neighbours.
        (packed_models.gptq, dict(GPTQ, sym=False), {"symmetric": False}, [],
         {"symmetric": False}),
        (packed_models.gptq, dict(GPTQ, bits=8), {"bits": 8}, [],
         {"bits": 8, "symmetric": True}),
        (packed_models.gptq, dict(GPTQ, bits=8, sym=False),
         {"bits": 8, "symmetric": False}, [], {"bits": 8, "symmetric": False}),
        (packed_models.gptq, dict(GPTQ, bits=2), {"bits": 2}, [],
         {"bits": 4, "symmetric": True}),
        (packed_models.gptq, dict(GPTQ, bits=2), {"bits": 2,
                                                  "symmetric": False}, [],
         {"bits": 4, "symmetric": False}),
        (packed_models.gptq, dict(GPTQ, group_size=-1), {"group": -1}, [], {}),
        (packed_models.gptq, dict(GPTQ, group_size=48),
         {"group": 48, "config": dict(LLAMA, intermediate_size=144)}, [], {}),
        (packed_models.gptq, GPTQ, {"g_idx": False}, [], {}),
        (packed_models.gptq, GPTQ, {"g_idx": "zeros"}, [], {}),
        # 48 columns in blocks of 32.
        (packed_models.gptq, dict(GPTQ, group_size=32), {"group": 32}, [],
         {"block_size": 32}),
        (packed_models.gptq, dict(GPTQ, group_size=32), {"group": 32},
         ["-b", "16"], {"block_size": 16}),
        (packed_models.gptq, GPTQ, {}, ["-p", "int8"],
         {"bits": 8, "symmetric": True}),
        (packed_models.gptq, GPTQ, {}, ["-p", "int8", "--asymmetric"],
         {"bits": 8, "symmetric": False}),
        (packed_models.gptq, GPTQ, {}, ["--asymmetric"], {"symmetric": False}),
        (packed_models.gptq, GPTQ2, {"symmetric": False, "version": 2,
                                     "config": PHI3}, [], {}),
        # "dynamic" in the file; the shapes say it.
        (packed_models.gptq, dict(GPTQ, dynamic={"+:.*k_proj": {"bits": 8}}),
         {"bits_of": {"model.layers.0.self_attn.k_proj": 8,
                      "model.layers.1.mlp.up_proj": 8}}, [], {}),
        # desc_act: columns are sorted, x goes through a Gather.
        (packed_models.gptq, dict(GPTQ, desc_act=True), {"order": "shuffled"},
         [], {"block_size": 16}),
        (packed_models.gptq, dict(GPTQ2, desc_act=True, group_size=32),
         {"order": "shuffled", "group": 32, "version": 2, "symmetric": False,
          "config": PHI3}, ["-b", "16"], {"block_size": 16}),
        (packed_models.compressed, compressed_config(), {"order": "shuffled"},
         [], {}),
        (packed_models.awq, AWQ, {"symmetric": False}, [],
         {"bits": 4, "block_size": 16, "symmetric": False}),
        (packed_models.awq, AWQ, {"symmetric": False, "config": PHI3}, [], {}),
        (packed_models.olive, OLIVE, {}, [],
         {"block_size": 16, "symmetric": True}),
        (packed_models.olive, OLIVE, {"symmetric": False}, [],
         {"symmetric": False}),
        (packed_models.olive, dict(OLIVE, overrides={
            "model.layers.0.mlp.down_proj": {"bits": 8}}),
         {"bits_of": {"model.layers.0.mlp.down_proj": 8}}, [], {}),
        (packed_models.compressed, compressed_config(), {}, [],
         {"bits": 4, "symmetric": True}),
        (packed_models.compressed, compressed_config(symmetric=False),
         {"symmetric": False}, [], {"symmetric": False}),
        (packed_models.compressed, compressed_config(8, False),
         {"symmetric": False, "bits": 8}, [], {"bits": 8}),
        (packed_models.signed_bytes, dict(compressed_config(8),
                                          format="int-quantized"),
         {"bits": 8, "group": -1}, [], {"bits": 8, "symmetric": True}),
        (packed_models.signed_bytes, dict(compressed_config(8),
                                          format="int-quantized"),
         {"bits": 8, "symmetric": False}, [], {"symmetric": False}),
    ]

    def test_values_are_kept(self):
        for packer, quantization, options, flags, expected in self.CASES:
            config = options.get("config", LLAMA)
            with self.subTest(packer.__name__, options=options, flags=flags,
                              quantization=quantization):
                weights, source, out = self.make(packer, quantization,
                                                 **options)
                said = self.convert(source, out, *flags)
                self.assertIn("keep the values", said)
                self.check_kept(weights, out, config, **expected)
                record = json.loads((out / "slm.json").read_text())
                self.assertEqual(record["kept_matrices"], 10)

    def test_floats_are_the_dequantised_values(self):
        for packer, quantization, options in (
                (packed_models.gptq, GPTQ2, {"symmetric": False, "version": 2}),
                (packed_models.awq, AWQ, {"symmetric": False}),
                (packed_models.gptq, dict(GPTQ, desc_act=True),
                 {"order": "shuffled"}),
                (packed_models.compressed, compressed_config(),
                 {"order": "shuffled"})):
            with self.subTest(packer.__name__, options=options):
                weights, source, out = self.make(packer, quantization,
                                                 **options)
                self.assertIn("become floats",
                              self.convert(source, out, "-p", "fp32"))
                onnx = packed_models.Onnx(out)
                for name, sources in products(LLAMA):
                    wanted = [v for s in sources for v in weights[s]]
                    k = hf_models.shapes(LLAMA)[sources[0]][1]
                    rows = packed_models.pieces(wanted, k)
                    tensor = packed_models.every(onnx.nodes[name], 1)[1]
                    self.assertEqual(
                        list(onnx.floats(tensor.decode())),
                        [v for c in zip(*rows) for v in c], name)

    # lm_head and embedding too, so that every number of the graph is exact.
    def test_logits(self):
        config = dict(LLAMA, tie_word_embeddings=True)
        for packer, quantization in ((packed_models.gptq, GPTQ),
                                     (packed_models.olive, OLIVE)):
            with self.subTest(packer.__name__):
                weights, source, out = self.make(
                    packer, quantization, config,
                    also=["model.embed_tokens.weight"])
                self.convert(source, out, "--accuracy-level", "0")
                self.check_logits(weights, out, config)
        for packer, quantization, options in (
                (packed_models.awq, AWQ, {"symmetric": False}),
                (packed_models.gptq, dict(GPTQ, desc_act=True),
                 {"order": "shuffled"})):
            with self.subTest(packer.__name__, options=options):
                weights, source, out = self.make(
                    packer, quantization, LLAMA, also=["lm_head.weight"],
                    **options)
                self.convert(source, out, "--accuracy-level", "0")
                self.check_logits(weights, out)

    def test_biases_of_zero(self):
        def change(tensors):
            tensors["model.layers.0.mlp.up_proj.bias"] = ("F16", [48], bytes(96))
        weights, source, out = self.make(packed_models.gptq, GPTQ,
                                         change=change)
        self.convert(source, out)
        self.check_kept(weights, out)


    def test_command_lines_of_other_tools(self):
        weights, source, _ = self.make(packed_models.gptq, GPTQ)
        for flags in (["-i", source, "-p", "int4", "-e", "cpu"],
                      ["auto-opt", "-m", source, "--precision", "int4"]):
            with self.subTest(flags):
                _, out = self.folders()
                self.convert(*flags, "-o", out)
                self.check_kept(weights, out, block_size=16)

    def test_adapters(self):
        weights, source, out = self.make(packed_models.gptq, GPTQ)
        adapter = self.root / "adapter"
        delta = hf_models.make_adapter(
            adapter, LLAMA, modules=["model.layers.0.mlp.down_proj"])
        merged = hf_models.merge(weights, delta)
        self.convert(source, out, "-p", "fp32", "--adapter", adapter)
        self.check_logits(merged, out)
        _, out = self.folders()
        said = self.convert(source, out, "--adapter", adapter)
        self.assertIn("13 quantised tensors keep the values", said)
        self.assertIn("1 quantised tensor is quantised again: an adapter",
                      said)

    def test_configs_of_older_tools(self):
        for packer, quantization, name in (
                (packed_models.gptq, {"bits": 4, "group_size": 16,
                                      "desc_act": False, "sym": True},
                 "quantize_config.json"),
                (packed_models.awq, {"w_bit": 4, "q_group_size": 16,
                                     "zero_point": True, "version": "GEMM"},
                 "quant_config.json")):
            with self.subTest(name):
                weights, source, out = self.make(packer, None)
                done = subprocess.run([CONVERT, source, out], timeout=60,
                                      capture_output=True, encoding="utf-8")
                self.assertEqual(done.returncode, 4)
                self.assertIn("has no quantization_config", done.stderr)
                (source / name).write_text(json.dumps(quantization))
                self.convert(source, out)
                self.check_kept(weights, out)


class QuantisedAgain(Packed):
    def test_what_is_said(self):
        cases = [
            (dict(GPTQ, desc_act=True), {"order": "uneven"}, [],
             "14 quantised tensors are quantised again: groups"),
            (dict(GPTQ, desc_act=True), {"order": "own"}, [],
             "2 of the matrices are quantised again"),
            (dict(GPTQ, bits=8), {"bits": 8}, ["-p", "int4"],
             "are quantised again: more bits"),
            (GPTQ, {}, ["--requantize", "-b", "64"],
             "are quantised again (--requantize)"),
        ]
        for quantization, options, flags, text in cases:
            with self.subTest(text):
                _, source, out = self.make(packed_models.gptq, quantization,
                                           **options)
                self.assertIn(text, self.convert(source, out, *flags))
                node = "/model/layers.0/attn/qkv_proj/MatMul_Q4"
                packed_models.Onnx(out).weights(node)


class Float8(Packed):
    def test_logits(self):
        fp8 = {"quant_method": "fp8", "activation_scheme": "dynamic"}
        blocks = dict(fp8, weight_block_size=[32, 20])
        fbgemm = {"quant_method": "fbgemm_fp8"}
        channel = {"quant_method": "compressed-tensors",
                   "format": "float-quantized", "config_groups": {}}
        for kind, name, quantization, block in (
                ("block", "weight_scale_inv", blocks, (32, 20)),
                ("tensor", "weight_scale_inv", fp8, None),
                ("row", "weight_scale", fbgemm, None),
                ("row", "weight_scale", channel, None)):
            with self.subTest(kind, quantization=quantization):
                source, out = self.folders()
                weights = packed_models.make_float8_folder(
                    source, LLAMA, TOKENIZER, kind, name, quantization, block)
                self.convert(source, out, "-p", "fp32")
                self.check_logits(weights, out)


class Refused(Packed):
    def refused(self, code, text, source, out, *flags):
        done = subprocess.run([CONVERT, source, out, *flags], timeout=60,
                              capture_output=True, encoding="utf-8")
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn(text, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertFalse(out.exists())

    def test_configs(self):
        _, source, out = self.make(packed_models.gptq, GPTQ)
        for quantization, text in (
                ({"bits": 4}, '"quant_method" is missing'),
                ({"quant_method": "bitsandbytes", "load_in_4bit": True},
                 '"bitsandbytes" is not supported: awq, '),
                ({"quant_method": "hqq"}, '"hqq" is not supported'),
                ({"quant_method": "quark"}, '"quark" is not supported'),
                ({"quant_method": "modelopt"}, '"modelopt" is not supported'),
                (dict(GPTQ, bits=3), '"bits" is 3, supported: 2, 4, 8'),
                (dict(GPTQ, bits="4"), '"bits" is string'),
                (dict(GPTQ, group_size=0), '"group_size" is 0'),
                (dict(GPTQ, checkpoint_format="marlin"), '"marlin"'),
                (dict(GPTQ, is_marlin_format=True), "is_marlin_format"),
                (dict(AWQ, version="gemv"), '"gemv" is not supported: gemm'),
                (dict(AWQ, bits=8), '"bits" is 8, supported: 4'),
                (dict(OLIVE, overrides={"re:.*k_proj": {"bits": 8}}),
                 "re:.*k_proj"),
                ({"quant_method": "fp8", "weight_block_size": [128]},
                 "weight_block_size"),
                ({"quant_method": "fp8", "fmt": "e5m2"}, '"e5m2"'),
                ({"quant_method": "fp8"}, "no tensor of such is there"),
                ({"quant_method": "compressed-tensors",
                  "format": "nvfp4-pack-quantized"}, "nvfp4-pack-quantized"),
                (dict(compressed_config(), kv_cache_scheme={"num_bits": 8}),
                 "kv_cache_scheme"),
                (dict(GPTQ, adapter={"name": "lora"}), "adapter is not"),
                (dict(GPTQ, rotation="hadamard"), "rotation is not"),
                (dict(compressed_config(), sparsity_config={
                    "format": "sparse-24-bitmask"}), "sparsity_config is not"),
                (compressed_config(3), '"num_bits" is 3')):
            with self.subTest(text):
                packed_models.set_config(source, quantization)
                self.refused(4, text, source, out)

    def test_tensors(self):
        down = "model.layers.0.mlp.down_proj."

        def without(name):
            return lambda t: t.pop(down + name)

        def replaced(name, value):
            return lambda t: t.update({down + name: value})

        def groups(value):
            return replaced("g_idx", ("I32", [48], b"".join(
                (value if c == 5 else c // 16).to_bytes(4, "little",
                                                        signed=True)
                for c in range(48))))
        word = ("I32", [2, 2], bytes(16))
        gptq, awq, olive = (packed_models.gptq, packed_models.awq,
                            packed_models.olive)
        for packer, quantization, change, text in (
                (gptq, GPTQ, without("scales"), 'scales" is missing'),
                (gptq, GPTQ, without("qzeros"), 'qzeros" is missing'),
                (gptq, GPTQ, without("qweight"), 'weight" is missing'),
                (gptq, dict(GPTQ, desc_act=True), without("g_idx"),
                 'g_idx" is missing'),
                (gptq, GPTQ, groups(3), "holds group 3, there are 3"),
                (gptq, GPTQ, groups(-1), "holds group -1"),
                (gptq, GPTQ, replaced("g_idx", ("I32", [7], bytes(28))),
                 'g_idx" is I32 [7]'),
                (gptq, GPTQ, replaced("scales", ("F16", [2, 2], bytes(8))),
                 'scales" is F16 [2, 2]'),
                (gptq, GPTQ, replaced("scales", ("F16", [], bytes(2))),
                 'scales" is F16 []'),
                (gptq, GPTQ, replaced("scales", ("F16", [3, 32],
                                                 b"\xff\x7f" * 96)),
                 "not finite"),
                (gptq, GPTQ, replaced("qzeros", word), 'qzeros" is I32'),
                (gptq, GPTQ, replaced("qweight", word), "make it [3, 2]"),
                (gptq, GPTQ, replaced("qweight", ("I32", [0, 32], b"")),
                 "are no codes"),
                (gptq, GPTQ, replaced("qweight", ("F32", [2, 2], bytes(16))),
                 "are no codes"),
                (gptq, GPTQ, replaced("weight", ("F16", [1], bytes(2))),
                 "is there twice"),
                (gptq, GPTQ, replaced("bias", ("F16", [32], b"\1" * 64)),
                 "has no place"),
                (gptq, dict(GPTQ, group_size=32),
                 without("g_idx"), "has 3 groups, group_size makes it 2"),
                (awq, dict(AWQ, group_size=32), lambda t: None, "scales"),
                (awq, AWQ, replaced("qzeros", word), 'qzeros" is I32'),
                (awq, AWQ, replaced("qweight", word), "scales"),
                (olive, dict(OLIVE, bits=8), lambda t: None,
                 "the config makes it"),
                (olive, OLIVE, replaced("scales", ("F32", [32, 5],
                                                   bytes(640))),
                 "5 groups do not divide 48 columns"),
                (packed_models.compressed, compressed_config(),
                 replaced("weight_shape", ("I64", [2], bytes(16))),
                 "says [0, 0]"),
                (packed_models.compressed, compressed_config(),
                 without("weight_shape"), 'weight_shape" is missing')):
            with self.subTest(packer.__name__, text=text):
                _, source, out = self.make(packer, quantization, change=change)
                self.refused(4, text, source, out)

    def test_flags(self):
        _, source, out = self.make(packed_models.gptq, GPTQ2, version=2,
                                   symmetric=False)
        self.refused(2, "has blocks of 16, not 64", source, out, "-b", "64")
        self.refused(2, "has zero points", source, out, "--symmetric")
        self.refused(2, "means nothing", source, out, "--requantize", "-p",
                     "fp32")

    def test_float8_without_scales(self):
        source, out = self.folders()
        packed_models.make_float8_folder(
            source, LLAMA, TOKENIZER, "row", "weight_scales",
            {"quant_method": "fp8"})
        self.refused(4, 'weight_scale" is missing', source, out)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
