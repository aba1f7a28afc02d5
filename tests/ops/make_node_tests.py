#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes ONNX's own node tests as files for tests/ops/node_test.cc.

Usage: make_node_tests.py DIR

DIR/NAME/{model.onnx,ops.txt,input_0.pb,...,output_0.pb,...}; ops.txt lists the
operators of the model, one "domain type" a line. Needs PyPI onnx 1.19.1, the
last release whose cases are all of opset 24 or older. Without it nothing is
written; the exit status is then 0, or 1 in CI. Values that are no tensors
(sequences, optionals) become NAME_i.unsupported.
"""
import os
import pathlib
import shutil
import sys

VERSION = "1.19.1"


def skip(reason):
    print(f"make_node_tests: {reason}; no node tests", file=sys.stderr)
    return 1 if os.environ.get("CI") else 0


def operators(graph):
    for node in graph.node:
        yield f"{node.domain or 'ai.onnx'} {node.op_type}"
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from operators(attribute.g)


def write_case(case, folder):
    import onnx

    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
    ops = sorted(set(operators(case.model.graph)))
    (folder / "ops.txt").write_text("\n".join(ops) + "\n")
    inputs, outputs = case.data_sets[0]
    for kind, arrays, infos in (("input", inputs, case.model.graph.input),
                                ("output", outputs, case.model.graph.output)):
        for i, (array, info) in enumerate(zip(arrays, infos)):
            if isinstance(array, onnx.TensorProto):
                proto = array
            elif isinstance(array, (list, dict)) or array is None:
                (folder / f"{kind}_{i}.unsupported").write_text("sequence\n")
                continue
            else:
                elem = info.type.tensor_type.elem_type
                proto = onnx.numpy_helper.from_array(array, info.name)
                # Types that numpy lacks come as others of the same width.
                if elem and proto.data_type != elem:
                    proto.data_type = elem
            (folder / f"{kind}_{i}.pb").write_bytes(proto.SerializeToString())


def main():
    out = pathlib.Path(sys.argv[1])
    try:
        import onnx
        from onnx.backend.test.case.node import collect_testcases
    except ImportError as e:
        return skip(f"PyPI onnx is missing ({e})")
    if onnx.__version__ != VERSION:
        return skip(f"onnx is {onnx.__version__}, expected {VERSION}")
    if (out / "VERSION").exists():
        return 0
    shutil.rmtree(out, ignore_errors=True)
    import numpy

    numpy.random.seed(1)  # most cases draw their inputs
    count = 0
    for case in collect_testcases(None):
        if case.model is None or not case.data_sets:
            continue
        write_case(case, out / case.name.removeprefix("test_"))
        count += 1
    (out / "VERSION").write_text(f"onnx {VERSION}, {count} cases\n")
    print(f"{count} cases in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
