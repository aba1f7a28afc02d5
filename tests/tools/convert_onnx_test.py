#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""slm-convert with ONNX sources: what is not changed is the same afterwards, and
what is quantised is what ONNX Runtime's own quantizer makes of it.

usage: convert_onnx_test.py SLM_CONVERT SLM_RUN tests/data/tiny-model SHARED

Skips, saying so, where a package is not installed:
  pip install numpy==2.3.5 onnx==1.19.1 onnxruntime==1.31.1
"""
import json
import logging
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper
    from onnxruntime.quantization import matmul_nbits_quantizer as nbits
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(0)

CONVERT, RUN, TINY = (pathlib.Path(p).resolve() for p in sys.argv[1:4])
SHARED = pathlib.Path(sys.argv[4]) / "fixtures" / "models"
RNG = np.random.default_rng(7)
ort.set_default_logger_severity(3)
logging.disable(logging.INFO)


def convert(*args):
    return subprocess.run([CONVERT, *map(str, args)], timeout=120,
                          capture_output=True, encoding="utf-8")


def floats(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def model_of(nodes, weights, n, k=None, opset=21, dtype=TensorProto.FLOAT,
             domains=("com.microsoft",), functions=()):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", dtype, ["t", k])],
        [helper.make_tensor_value_info("y", dtype, ["t", n])],
        [numpy_helper.from_array(w, name) for name, w in weights.items()])
    opsets = [helper.make_opsetid("", opset)]
    opsets += [helper.make_opsetid(d, 1) for d in domains]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10,
                             functions=functions)


def product(k, n, weight=None):
    weight = floats(k, n) if weight is None else weight
    dtype = helper.np_dtype_to_tensor_dtype(weight.dtype)
    return model_of([helper.make_node("MatMul", ["x", "w"], ["y"], name="mm")],
                    {"w": weight}, n, k, dtype=dtype)


def evaluate(model, x, name="y"):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    # It would make MatMulNBits with 8-bit activations of DequantizeLinear.
    level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.graph_optimization_level = level
    session = ort.InferenceSession(
        model if isinstance(model, str) else model.SerializeToString(),
        options, providers=["CPUExecutionProvider"])
    return session.run([name], {"x": x})[0]


def tensors(graph):
    return {t.name: (t.data_type, list(t.dims),
                     numpy_helper.to_array(t).tobytes())
            for t in graph.initializer}


def nodes(graph):
    """Sorted by name: neither tool keeps an order."""
    def value(a):
        if a.HasField("t"):
            return numpy_helper.to_array(a.t).tolist()
        if a.HasField("g"):
            return nodes(a.g)
        return helper.get_attribute_value(a)
    return sorted((n.name, n.op_type, n.domain, list(n.input), list(n.output),
                   sorted((a.name, value(a)) for a in n.attribute))
                  for n in graph.node)


def plain(model):
    """The model with all data in one place, to be compared."""
    def walk(graph):
        for tensor in graph.initializer:
            fix(tensor)
        for node in graph.node:
            for a in node.attribute:
                if a.HasField("t"):
                    fix(a.t)
                if a.HasField("g"):
                    walk(a.g)

    def fix(tensor):
        if tensor.data_type != TensorProto.STRING:
            data = numpy_helper.to_array(tensor)
            raw = numpy_helper.from_array(data, tensor.name)
            raw.doc_string = tensor.doc_string
            if tensor.data_type == raw.data_type:
                tensor.CopyFrom(raw)
        del tensor.external_data[:]
        tensor.ClearField("data_location")
    walk(model.graph)
    return model


class Onnx(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self.temporary.name)
        self.out = self.root / "out"

    def tearDown(self):
        self.temporary.cleanup()

    def save(self, model, external=False):
        path = self.root / "source.onnx"
        if external:
            onnx.save(model, path, save_as_external_data=True,
                      location="source.data", size_threshold=0)
        else:
            onnx.save(model, path)
        return path

    def converted(self, model, *flags, external=False):
        path = self.save(model, external)
        result = convert(path, self.out, "-q", "--force", *flags)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.notes = result.stderr
        return onnx.load(self.out / "model.onnx")

    def refused(self, source, *flags):
        result = convert(source, self.out, *flags)
        self.assertNotEqual(result.returncode, 0)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        self.assertFalse(self.out.exists())
        return result.stderr


class Unchanged(Onnx):
    def strange(self):
        """What a graph can hold beside matrices."""
        inner = helper.make_graph(
            [helper.make_node("Constant", [], ["c"],
                              value=numpy_helper.from_array(floats(300))),
             helper.make_node("ReduceSum", ["c"], ["s"], keepdims=0),
             helper.make_node("Mul", ["h", "s"], ["a"], name="inner")],
            "then", [], [helper.make_tensor_value_info("a", 1, None)],
            [numpy_helper.from_array(np.arange(700, dtype=np.int64), "far")])
        other = helper.make_graph([helper.make_node("Neg", ["h"], ["b"])],
                                  "else", [],
                                  [helper.make_tensor_value_info("b", 1, None)])
        nodes = [
            helper.make_node("MatMul", ["x", "w"], ["h"], name="mm",
                             doc_string="the product"),
            helper.make_node("Constant", [], ["yes"],
                             value=numpy_helper.from_array(np.array(True))),
            helper.make_node("If", ["yes"], ["i"], then_branch=inner,
                             else_branch=other),
            helper.make_node("twice", ["i"], ["f"], domain="local"),
            helper.make_node("Add", ["f", "bias"], ["y"])]
        twice = helper.make_function(
            "local", "twice", ["a"], ["b"],
            [helper.make_node("Add", ["a", "a"], ["b"])],
            [helper.make_opsetid("", 21)])
        model = model_of(
            nodes, {"w": floats(8, 600), "bias": floats(600),
                    "unused": np.arange(9, dtype=np.uint8),
                    "halves": floats(2000, dtype=np.float16)}, 600, 8,
            domains=("local",), functions=[twice])
        model.graph.initializer.append(helper.make_tensor(
            "four", TensorProto.INT4, [3, 5], b"\x12\x34\x56\x78\x9a\xbc\xde\x01",
            raw=True))
        model.graph.initializer.append(helper.make_tensor(
            "eight", TensorProto.FLOAT8E4M3FN, [2000], bytes(2000), raw=True))
        model.graph.initializer.append(helper.make_tensor(
            "text", TensorProto.STRING, [2], [b"a", b"b"]))
        model.graph.initializer.append(helper.make_tensor(
            "typed", TensorProto.INT32, [3], [1, 2, 3]))
        model.graph.value_info.append(
            helper.make_tensor_value_info("h", 1, ["t", 600]))
        helper.set_model_props(model, {"key": "value"})
        model.producer_name, model.doc_string = "someone", "text"
        return model

    def test_a_graph_without_changes_is_the_same(self):
        for external in (False, True):
            with self.subTest(external=external):
                model = self.strange()
                path = self.save(model, external)
                result = convert("auto-opt", "-m", path, "-o", self.out,
                                 "--force")
                self.assertEqual(result.returncode, 0, result.stderr)
                again = onnx.load(self.out / "model.onnx")
                self.assertEqual(plain(again), plain(onnx.load(path)))

    def test_all_but_the_product_is_the_same(self):
        model = self.strange()
        made = plain(self.converted(model, "-p", "int8"))
        plain(model)
        self.assertEqual([n.op_type for n in made.graph.node][:2],
                         ["MatMulNBits", "Constant"])
        mine, theirs = tensors(made.graph), tensors(model.graph)
        del theirs["w"]
        for name, tensor in theirs.items():
            self.assertEqual(mine[name], tensor)
        self.assertEqual(list(made.graph.node[2:]), list(model.graph.node[2:]))
        self.assertEqual({o.domain for o in made.opset_import},
                         {"", "local", "com.microsoft"})

    def test_fixtures_run_bit_equal(self):
        if not SHARED.exists():
            self.assertNotIn("CI", os.environ)
            self.skipTest(f"{SHARED} is absent")
        for name in ("llama3-rope/onnx-int4-bs128-asym",
                     "llama3-rope/plain-int8-dynamic",
                     "phi4-longrope/onnx-fp32", "qwen2-tied/onnx-fp16",
                     "qwen3-tied/plain-fp32-constants",
                     "qwen3-tied/plain-fp32-opset24"):
            with self.subTest(name):
                source = SHARED / name
                result = convert("auto-opt", "-m", source, "-o", self.out,
                                 "--force")
                self.assertEqual(result.returncode, 0, result.stderr)
                head = head_size(name.split("/")[0])
                for a, b in zip(run_decoder(source / "model.onnx", head),
                                run_decoder(self.out / "model.onnx", head)):
                    np.testing.assert_array_equal(a, b)


def head_size(name):
    config = json.loads((SHARED / name / "hf" / "config.json").read_text())
    return (config.get("head_dim") or
            config["hidden_size"] // config["num_attention_heads"])


def run_decoder(path, head):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options,
                                   providers=["CPUExecutionProvider"])
    types = {"tensor(int64)": np.int64, "tensor(float)": np.float32,
             "tensor(float16)": np.float16}
    count, feed = 7, {}
    for value in session.get_inputs():
        dtype = types[value.type]
        if value.name == "input_ids":
            feed[value.name] = np.arange(5, 5 + count, dtype=dtype)[None]
        elif value.name == "attention_mask":
            feed[value.name] = np.ones((1, count), dtype)
        elif value.name == "position_ids":
            feed[value.name] = np.arange(count, dtype=dtype)[None]
        else:
            shape = [1, value.shape[1], 0, value.shape[3]]
            shape[3] = shape[3] if isinstance(shape[3], int) else head
            feed[value.name] = np.zeros(shape, dtype)
    return session.run(None, feed)


class Quantized(Onnx):
    def reference(self, model, bits, block, symmetric, **more):
        config = nbits.DefaultWeightOnlyQuantConfig(
            block_size=block, is_symmetric=symmetric, bits=bits,
            accuracy_level=4, **more)
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        quantizer = nbits.MatMulNBitsQuantizer(copy, algo_config=config)
        quantizer.process()
        return quantizer.model.model

    def same(self, model, bits, block, symmetric, *flags, **more):
        made = self.converted(
            model, "-p", f"int{bits}", "-b", block, "-a", "default",
            "--symmetric" if symmetric else "--asymmetric", *flags)
        theirs = self.reference(model, bits, block, symmetric, **more)
        self.assertEqual(tensors(made.graph), tensors(theirs.graph))
        self.assertEqual(nodes(made.graph), nodes(theirs.graph))
        return made

    def test_weights_are_those_of_onnx_runtime(self):
        for bits in (4, 8):
            for symmetric in (True, False):
                for block in (16, 32, 128):
                    for k, n in ((32, 5), (40, 24), (96, 7), (384, 33)):
                        with self.subTest(bits=bits, symmetric=symmetric,
                                          block=block, k=k, n=n):
                            self.same(product(k, n), bits, block, symmetric)

    def test_a_wide_matrix_in_several_panels(self):
        # 2^22 values are a panel
        self.same(product(3000, 2900), 4, 32, False)

    def test_one_weight_of_two_products_is_quantized_once(self):
        model = model_of(
            [helper.make_node("MatMul", ["x", "w"], ["h"], name="a"),
             helper.make_node("MatMul", ["h", "w"], ["y"], name="b")],
            {"w": floats(64, 64)}, 64, 64)
        made = self.converted(model)
        self.assertEqual(len(made.graph.initializer), 2)
        self.assertEqual([n.name for n in made.graph.node], ["a_Q4", "b_Q4"])

    def check_close(self, model, made, k, dtype=np.float32, after=1):
        """`after`: columns of a second product."""
        x = floats(3, k, dtype=dtype)
        a, b = evaluate(model, x), evaluate(made, x)
        # half a step of 2 max / 2^4, max < 5, for k values of size 1
        limit = 5 / 2 ** 4 * (k * after) ** 0.5 * 4
        self.assertLess(np.abs(a.astype(np.float32) - b).max(), limit)

    def test_other_ways_to_write_a_product(self):
        w = floats(48, 64)
        node = helper.make_node
        half = w.astype(np.float16)
        cases = {
            "gemm": ([node("Gemm", ["x", "w", "b"], ["y"], transB=1, name="g")],
                     {"w": w, "b": floats(48)}),
            "gemm turned": ([node("Gemm", ["x", "w"], ["y"], name="g")],
                            {"w": w.T.copy()}),
            "transposed": ([node("Transpose", ["w"], ["t"], perm=[1, 0]),
                            node("MatMul", ["x", "t"], ["y"], name="m")],
                           {"w": w}),
            "cast": ([node("Cast", ["w"], ["f"], to=1),
                      node("Transpose", ["f"], ["t"]),
                      node("MatMul", ["x", "t"], ["y"], name="m")], {"w": half}),
            "constant": ([node("Constant", [], ["w"],
                               value=numpy_helper.from_array(w)),
                          node("Identity", ["w"], ["i"]),
                          node("Transpose", ["i"], ["t"]),
                          node("MatMul", ["x", "t"], ["y"], name="m")], {}),
            "fused": ([node("FusedMatMul", ["x", "w"], ["y"], name="m",
                            transB=1, domain="com.microsoft")], {"w": w}),
        }
        for name, (nodes, weights) in cases.items():
            with self.subTest(name):
                model = model_of(nodes, weights, 48, 64)
                made = self.converted(model, "-a", "default",
                                      "--accuracy-level", "0")
                types = [n.op_type for n in made.graph.node]
                bias = ["Add"] if "b" in weights else []
                self.assertEqual(types, ["MatMulNBits"] + bias)
                rows = half.astype(np.float32) if name == "cast" else w
                theirs = self.reference(product(64, 48, rows.T.copy()), 4, 32,
                                        True)
                mine = tensors(made.graph)
                for of_theirs in tensors(theirs.graph).values():
                    self.assertIn(of_theirs, mine.values())
                self.check_close(model, made, 64)

    def test_what_is_not_such_a_product_stays(self):
        node = helper.make_node
        w = floats(64, 48)
        for name, nodes in {
            "alpha": [node("Gemm", ["x", "w"], ["y"], alpha=2.0)],
            "narrowed": [node("Cast", ["w"], ["h"], to=10),
                         node("Cast", ["h"], ["f"], to=1),
                         node("MatMul", ["x", "f"], ["y"])],
            "not constant": [node("MatMul", ["x", "w"], ["a"]),
                             node("Relu", ["w"], ["r"]),
                             node("MatMul", ["x", "r"], ["y"])],
        }.items():
            with self.subTest(name):
                model = model_of(nodes, {"w": w}, 48, 64)
                if name == "not constant":
                    made = self.converted(model)
                    self.assertIn("w", tensors(made.graph))  # Relu reads it
                else:
                    message = self.refused(self.save(model), "--force")
                    self.assertIn("no weight of this graph", message)
                    shutil.rmtree(self.out, ignore_errors=True)

    def test_weights_of_a_branch(self):
        def branch(name):
            return helper.make_graph(
                [helper.make_node("MatMul", ["x", name], [name + "o"],
                                  name=name + "m"),
                 helper.make_node("MatMul", [name + "o", "both"], [name + "p"],
                                  name=name + "b")],
                name, [], [helper.make_tensor_value_info(name + "p", 1, None)],
                [numpy_helper.from_array(floats(64, 48), name)])
        model = model_of(
            [helper.make_node("Constant", [], ["yes"],
                              value=numpy_helper.from_array(np.array(True))),
             helper.make_node("If", ["yes"], ["y"], then_branch=branch("p"),
                              else_branch=branch("q"))],
            {"both": floats(48, 32)}, 32, 64)
        made = self.converted(model, "--accuracy-level", "0")
        self.assertEqual(set(tensors(made.graph)), {"both_Q4", "both_scales"})
        then = next(a.g for a in made.graph.node[1].attribute
                    if a.name == "then_branch")
        self.assertEqual(set(tensors(then)), {"p_Q4", "p_scales"})
        self.check_close(model, made, 64, after=48)

    def test_half_precision_products(self):
        model = product(64, 48, floats(64, 48, dtype=np.float16))
        made = self.converted(model, "--accuracy-level", "0")
        scales = tensors(made.graph)["w_scales"]
        self.assertEqual(scales[0], TensorProto.FLOAT16)
        self.check_close(model, made, 64, np.float16)


class Requantized(Onnx):
    def nbits(self, bits, block, symmetric, k=80, n=24):
        model = product(k, n)
        config = nbits.DefaultWeightOnlyQuantConfig(
            block_size=block, is_symmetric=symmetric, bits=bits)
        quantizer = nbits.MatMulNBitsQuantizer(model, algo_config=config)
        quantizer.process()
        return quantizer.model.model

    def test_weights_of_the_bits_that_are_asked_for_are_kept(self):
        model = self.nbits(4, 16, False)
        made = self.converted(model, "-p", "int4")
        self.assertEqual(tensors(made.graph), tensors(model.graph))
        self.assertIn("1 weights that are quantised already are kept",
                      self.notes)

    def test_accuracy_level_alone(self):
        model = self.nbits(4, 16, False)
        made = self.converted(model, "--accuracy-level", "1")
        self.assertEqual(tensors(made.graph), tensors(model.graph))
        level = [a.i for a in made.graph.node[0].attribute
                 if a.name == "accuracy_level"]
        self.assertEqual(level, [1])

    def test_wider_and_smaller_blocks_are_exact(self):
        x = floats(3, 80)
        for symmetric in (True, False):
            model = self.nbits(4, 32, symmetric)
            for flags in (("-p", "int8"),
                          ("-p", "int4", "-b", "16", "--asymmetric"),
                          ("-p", "fp32"), ("-p", "int8", "--asymmetric")):
                if flags == ("-p", "int8") and not symmetric:
                    continue  # the default has no zero points
                with self.subTest(symmetric=symmetric, flags=flags):
                    made = self.converted(model, *flags)
                    np.testing.assert_allclose(
                        evaluate(made, x), evaluate(model, x), rtol=0,
                        atol=1e-4)  # sums of 80 products of size 1

    def test_floats_again_are_named_as_before(self):
        made = self.converted(self.nbits(8, 32, True), "-p", "fp32")
        node = made.graph.node[0]
        self.assertEqual((node.op_type, node.name, list(node.input)),
                         ("MatMul", "mm", ["x", "w"]))

    def test_a_bias_stays(self):
        model = self.nbits(4, 32, True)
        bias = floats(24)
        model.graph.initializer.append(numpy_helper.from_array(bias, "bias"))
        model.graph.node[0].input.extend(["", "", "bias"])
        x = floats(3, 80)
        for precision in ("int8", "fp32"):
            made = self.converted(model, "-p", precision)
            np.testing.assert_allclose(evaluate(made, x), evaluate(model, x),
                                       rtol=0, atol=1e-4)

    def test_dequantize_linear_becomes_a_product_of_blocks(self):
        node = helper.make_node
        x = floats(3, 64)
        codes = RNG.integers(0, 255, (64 * 48 // 2,), np.uint8).tobytes()
        zeros = RNG.integers(0, 255, (2 * 48 // 2,), np.uint8).tobytes()
        for dtype in (TensorProto.INT4, TensorProto.UINT4):
            for zero in (True, False):
                for turned in (False, True):
                    shape = [48, 64] if turned else [64, 48]
                    blocks = [48, 2] if turned else [2, 48]
                    inputs = ["q", "s"] + ["z"] * zero
                    nodes = [node("DequantizeLinear", inputs, ["d"],
                                  axis=int(turned), block_size=32)]
                    if turned:
                        nodes.append(node("Transpose", ["d"], ["t"],
                                          perm=[1, 0]))
                    nodes.append(node("MatMul", ["x", "t" if turned else "d"],
                                      ["y"], name="m_matmul_Q4"))
                    model = model_of(nodes, {"s": floats(*blocks)}, 48, 64)
                    model.graph.initializer.append(helper.make_tensor(
                        "q", dtype, shape, codes, raw=True))
                    if zero:
                        model.graph.initializer.append(helper.make_tensor(
                            "z", dtype, blocks, zeros, raw=True))
                    with self.subTest(dtype=dtype, zero=zero, turned=turned):
                        made = self.converted(model, "-p", "int4",
                                              "--accuracy-level", "0")
                        self.assertEqual([n.op_type for n in made.graph.node],
                                         ["MatMulNBits"])
                        a, b = evaluate(made, x), evaluate(model, x)
                        # codes up to 15 times scales up to 4, 64 of them
                        np.testing.assert_allclose(a, b, rtol=0, atol=2e-3)
                        back = self.converted(model, "-p", "fp32")
                        np.testing.assert_allclose(evaluate(back, x), b,
                                                   rtol=0, atol=2e-3)

    def test_dynamic_int8_is_named(self):
        node = helper.make_node
        model = model_of(
            [node("DynamicQuantizeLinear", ["x"], ["q", "s", "z"]),
             node("MatMulInteger", ["q", "w", "z"], ["i"]),
             node("Cast", ["i"], ["y"], to=1)],
            {"w": RNG.integers(0, 255, (64, 48), np.uint8)}, 48, 64)
        self.assertIn("1 MatMulInteger", self.refused(self.save(model)))


class Hostile(Onnx):
    def test_models_that_lie(self):
        model = product(64, 48)

        def external(**values):
            copy = onnx.ModelProto()
            copy.CopyFrom(model)
            tensor = copy.graph.initializer[0]
            tensor.ClearField("raw_data")
            tensor.data_location = TensorProto.EXTERNAL
            for key, value in values.items():
                tensor.external_data.add(key=key, value=str(value))
            return copy
        (self.root / "short").write_bytes(bytes(100))
        outside = self.root.parent / "outside.data"
        cases = {
            "No such file": external(location="absent"),
            "needs bytes": external(location="short"),
            "": external(location=f"../{outside.name}"),
            "not a size": external(location="short", offset="-4"),
        }
        nb = Requantized.nbits(self, 4, 32, True)
        nb.graph.node[0].attribute[0].i += 64  # K
        cases["its weight has"] = nb
        huge = Requantized.nbits(self, 4, 32, True)
        for a in huge.graph.node[0].attribute:
            a.i = 2 ** 62 if a.name in ("K", "N") else a.i
        cases["are not supported"] = huge
        for message, bad in cases.items():
            with self.subTest(message):
                self.assertIn(message, self.refused(self.save(bad)))

    def test_cut_files(self):
        whole = product(64, 48).SerializeToString()
        path = self.root / "source.onnx"
        for size in (0, 1, 10, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:size])
            self.refused(path)

    def test_adapters_and_other_types_are_refused(self):
        path = self.save(product(64, 48))
        self.assertIn("is ONNX", self.refused(path, "--adapter", "x"))
        self.assertIn("precision fp16", self.refused(path, "-p", "fp16"))


class Folders(Onnx):
    def setUp(self):
        super().setUp()
        self.source = self.root / "model"
        shutil.copytree(TINY, self.source)
        for path in [self.source, *self.source.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)

    def check(self, *flags, source=None):
        shutil.rmtree(self.out, ignore_errors=True)
        result = convert(source or self.source, self.out, *flags)
        self.assertEqual(result.returncode, 0, result.stderr)
        result = convert("check", self.out)
        self.assertEqual(result.returncode, 0, result.stderr)
        run = subprocess.run(
            [RUN, self.out, "-n", "4", "--greedy", "hello"],
            capture_output=True, encoding="utf-8", timeout=60)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout

    def test_a_folder_of_the_packaged_runtime(self):
        self.check("-p", "int8")
        names = {p.name for p in self.out.iterdir()}
        self.assertLessEqual({"model.onnx", "model.onnx.data",
                              "genai_config.json", "tokenizer.json",
                              "tokenizer_config.json", "inference_model.json",
                              "slm.json"}, names)

    def test_unknown_keys_and_other_names_of_the_graph(self):
        path = self.source / "genai_config.json"
        config = json.loads(path.read_text())
        decoder = config["model"]["decoder"]
        (self.source / decoder["filename"]).rename(self.source / "my.onnx")
        decoder["filename"] = "my.onnx"
        config["model"]["prompt_templates"] = {"user": "{Content}"}
        config["ours"] = {"a": 1}
        config["model"]["pad_token_id"] = None
        path.write_text(json.dumps(config))
        self.check()
        made = json.loads((self.out / "genai_config.json").read_text())
        self.assertEqual(made["model"]["decoder"]["filename"], "model.onnx")
        self.assertNotIn("prompt_templates", made["model"])
        self.assertNotIn("pad_token_id", made["model"])
        self.assertNotIn("ours", made)

    def test_the_record_says_what_was_done(self):
        for flags, precision in ((["-p", "int8"], "int8"),
                                 (["--accuracy-level", "4"], "unchanged")):
            self.check(*flags)
            made = json.loads((self.out / "slm.json").read_text())
            self.assertEqual(made["precision"], precision)

    def test_an_olive_output(self):
        outer = self.root / "olive"
        outer.mkdir()
        (outer / "model_config.json").write_text(
            '{"type": "ONNXModel", "config": {"model_path": "/elsewhere"}}')
        self.source.rename(outer / "model")
        self.check(source=outer)

    def test_the_description_for_foundry_is_kept(self):
        text = '{"Name": "old", "Description": "mine"}'
        outer = self.root / "publisher"
        outer.mkdir()
        (outer / "inference_model.json").write_text(text)
        self.source.rename(outer / "v1")
        for source, expected in ((outer, "mine"), (outer / "v1", None)):
            self.check("--name", "new", source=source)
            made = json.loads((self.out / "inference_model.json").read_text())
            self.assertEqual(made["Name"], "new")
            self.assertEqual(made["Description"] == "mine", bool(expected))
        (outer / "v1" / "inference_model.json").write_text(text)
        self.check("--name", "new", source=outer / "v1")
        made = json.loads((self.out / "inference_model.json").read_text())
        self.assertEqual(made, {"Name": "new", "Description": "mine"})


class Olive(Onnx):
    def setUp(self):
        super().setUp()
        node = helper.make_node
        self.table = floats(20, 160)
        graph = helper.make_graph(
            [node("Gather", ["table", "ids"], ["e"], name="embed"),
             node("MatMul", ["e", "a"], ["h"], name="/l0/MatMul"),
             node("MatMul", ["h", "b"], ["y"], name="/head/MatMul")], "g",
            [helper.make_tensor_value_info("ids", TensorProto.INT64, ["t"])],
            [helper.make_tensor_value_info("y", 1, ["t", 40])],
            [numpy_helper.from_array(self.table, "table"),
             numpy_helper.from_array(floats(160, 64), "a"),
             numpy_helper.from_array(floats(64, 40), "b")])
        self.path = self.save(helper.make_model(
            graph, ir_version=10, opset_imports=[helper.make_opsetid("", 21)]))

    def run_file(self, passes, input_model=None):
        config = {"input_model": input_model or
                  {"type": "OnnxModel", "model_path": str(self.path)},
                  "passes": passes, "output_dir": str(self.out)}
        path = self.root / "run.json"
        path.write_text(json.dumps(config))
        return convert("run", "--config", path, "--force")

    def made(self, result):
        self.assertEqual(result.returncode, 0, result.stderr)
        return onnx.load(self.out / "model.onnx").graph

    def names(self, graph):
        return [n.name for n in graph.node]

    def test_block_wise_rtn_is_onnx_runtimes(self):
        for config in ({}, {"block_size": 32, "is_symmetric": False},
                       {"accuracy_level": 4, "axis": 0}):
            with self.subTest(config):
                made = self.made(self.run_file({"q": {
                    "type": "OnnxBlockWiseRtnQuantization", **config}}))
                theirs = nbits.MatMulNBitsQuantizer(
                    onnx.load(self.path),
                    algo_config=nbits.DefaultWeightOnlyQuantConfig(
                        block_size=config.get("block_size", 128),
                        is_symmetric=config.get("is_symmetric", True),
                        accuracy_level=config.get("accuracy_level"),
                        op_types_to_quantize=("MatMul", "Gather"),
                        quant_axes=(("MatMul", 0), ("Gather", 1))))
                theirs.process()
                theirs = theirs.model.model.graph
                self.assertEqual(nodes(made), nodes(theirs))
                self.assertEqual(tensors(made), tensors(theirs))

    def test_nodes_by_name(self):
        kind = "OnnxBlockWiseRtnQuantization"
        made = self.made(self.run_file({"q": {
            "type": kind, "nodes_to_exclude": ["/head/*", "embed"]}}))
        self.assertEqual(self.names(made),
                         ["embed", "/l0/MatMul_Q4", "/head/MatMul"])
        made = self.made(self.run_file({"q": {
            "type": kind, "config": {"nodes_to_include": ["/head/MatMul"]}}}))
        self.assertEqual(self.names(made),
                         ["embed", "/l0/MatMul", "/head/MatMul_Q4"])
        result = self.run_file({"q": {"type": kind,
                                      "nodes_to_exclude": ["nobody"]}})
        self.assertIn("nobody", result.stderr)

    def test_k_quant_and_customized_bits(self):
        made = self.made(self.run_file({"q": {
            "type": "OnnxKQuantQuantization", "customized_weight_config":
            {"/head/MatMul": {"bits": 8, "group_size": 32}}}}))
        self.assertEqual(self.names(made),
                         ["embed", "/l0/MatMul_Q4", "/head/MatMul_Q8"])
        self.assertTrue(all(len(n.input) == 4 for n in made.node[1:]))

    def test_passes_in_a_row(self):
        result = self.run_file({
            "p": {"type": "OnnxPeepholeOptimizer"},
            "q": [{"type": "OnnxBlockWiseRtnQuantization", "block_size": 32}],
            "d": {"type": "MatMulNBitsToQDQ", "use_int4": True}})
        made = self.made(result)
        self.assertIn("OnnxPeepholeOptimizer means nothing", result.stderr)
        self.assertEqual([n.op_type for n in made.node].count(
            "DequantizeLinear"), 2)

    def test_nothing_that_quantises(self):
        made = self.made(self.run_file({"m": {
            "type": "ModelBuilder", "precision": "int4",
            "metadata_only": True}}))
        self.assertEqual(tensors(made), tensors(onnx.load(self.path).graph))

    def test_refused_by_name(self):
        for kind in ("OnnxHqqQuantization", "OnnxDynamicQuantization",
                     "OnnxFloatToFloat16", "ModelBuilder"):
            result = self.run_file({"q": {"type": kind, "precision": "int4"}})
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(kind, result.stderr)
        for key, value in (("axis", 1), ("bits", 2), ("block_size", 48)):
            result = self.run_file({"q": {
                "type": "OnnxBlockWiseRtnQuantization", key: value}})
            self.assertEqual(result.returncode, 2)
            self.assertIn(f"{key} = {value}", result.stderr)

    def test_auto_opt(self):
        result = convert("auto-opt", "-m", self.path, "-o", self.out,
                         "--precision", "int4")
        made = self.made(result)
        self.assertEqual([n.op_type for n in made.node],
                         ["GatherBlockQuantized", "MatMulNBits",
                          "MatMulNBits"])
        blocks = {a.i for n in made.node for a in n.attribute
                  if a.name == "block_size"}
        self.assertEqual(blocks, {128})


class Builder(Onnx):
    """The model builder's int4 and int8 of its own fp32, node for node."""

    def test_fixtures(self):
        if not SHARED.exists():
            self.assertNotIn("CI", os.environ)
            self.skipTest(f"{SHARED} is absent")
        for name, source, made, flags in (
                ("llama3-rope", "onnx-fp32", "onnx-int4", ["-a", "default"]),
                ("llama3-rope", "onnx-fp32", "onnx-int8",
                 ["-a", "default", "-p", "int8"]),
                ("llama3-rope", "onnx-fp32", "onnx-int4-bs128-asym",
                 ["-a", "default", "-b", "128", "--asymmetric"]),
                ("llama3-rope", "onnx-int4-qdq", "onnx-int4", []),
                ("phi4-longrope", "onnx-fp32", "onnx-int4-bs64",
                 ["-a", "default", "-b", "64"]),
                ("gemma3", "onnx-fp32", "onnx-int4", ["-a", "default"]),
                ("qwen3-tied", "onnx-fp32", "onnx-int4", ["-a", "default"]),
                ("qwen3-tied", "onnx-fp32", "onnx-int4-rtn", ["-a", "rtn"])):
            with self.subTest(name, made=made):
                result = convert(SHARED / name / source, self.out, "-q",
                                 "--force", *flags)
                self.assertEqual(result.returncode, 0, result.stderr)
                mine = onnx.load(self.out / "model.onnx")
                theirs = onnx.load(SHARED / name / made / "model.onnx")
                self.assertEqual(tensors(mine.graph), tensors(theirs.graph))
                self.assertEqual(nodes(mine.graph), nodes(theirs.graph))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
