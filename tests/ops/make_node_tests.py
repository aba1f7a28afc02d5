#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes ONNX's own node tests as files: DIR/NAME/{model.onnx,input_0.pb,...}.

Usage: make_node_tests.py DIR [--require]

Needs PyPI onnx 1.19.1, the last release whose cases are all of opset 24 or
older. Without it nothing is written and the exit status is 0, or 1 with
--require or in CI. Cases for float8, float4 and complex numbers and those
with sequences or optionals are written as well: the runner lists why it skips
them. An optional input that is left out has no file, so the runner goes by
the inputs' names in order.
"""
import os
import pathlib
import shutil
import sys

VERSION = "1.19.1"


def skip(reason):
    print(f"make_node_tests: {reason}; no node tests", file=sys.stderr)
    return 1 if "--require" in sys.argv or os.environ.get("CI") else 0


def write_case(case, folder):
    import onnx

    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(case.model.SerializeToString())
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
                # float16 and the like come as their own numpy types, the
                # declared type wins where the bytes are the same.
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
