#!/usr/bin/env python3
"""Check that includes only point downward: the table of layers as data.

usage: check_layers.py [ROOT]      prints each violation, exit status 1 if any
"""
import pathlib
import re
import sys

# directory (longest prefix wins): (layer, directories that it may include,
# third-party headers that any of its files may include)
LAYERS = {
    "runtime/core": (0, [], []),
    "runtime/graph": (1, ["runtime/core"], []),
    "runtime/text": (1, ["runtime/core"], ["utf8proc.h"]),
    "quant": (1, ["runtime/core"], []),
    "ops/kernels": (2, ["runtime/core", "quant"], []),
    "loader": (2, ["runtime/core", "runtime/graph", "runtime/text"], []),
    "ops": (3, ["runtime/core", "runtime/graph", "quant", "ops/kernels"], []),
    "runtime/plan": (4, ["runtime/core", "runtime/graph", "ops", "ops/kernels",
                         "quant", "runtime/text"], []),
    "runtime": (5, ["runtime/core", "runtime/graph", "runtime/text", "quant",
                    "ops", "ops/kernels", "loader", "runtime/plan",
                    "runtime/include/slm"], []),
    "runtime/include/slm": (6, [], []),
    "tools": (7, ["runtime", "runtime/core", "runtime/graph", "runtime/text",
                  "runtime/plan", "runtime/include/slm", "quant", "ops",
                  "ops/kernels", "loader"], ["cxxopts.hpp"]),
    # Typing at a terminal: keys from core, widths of characters from text.
    "tools/line": (7, ["runtime/core", "runtime/text"], []),
    # The chat program stands on the public header; core is for files and flags.
    "tools/run": (7, ["runtime/include/slm", "runtime/core", "tools/line"],
                  ["cxxopts.hpp"]),
    "tests": (7, None, None),  # everything
}

# Third-party headers allowed to single files: pattern of the file, pattern of
# the header.
EXTRA = [
    (r"runtime/core/vec-inl\.h", r"hwy/.*"),
    (r"runtime/core/cpu\.cc", r"hwy/.*"),
    (r"(quant|ops/kernels)/.*(\.cc|-inl\.h)", r"hwy/.*|.*\.cc"),
    (r"loader/onnx_.*", r"onnx/onnx\.pb\.h|google/protobuf/.*"),
    (r"loader/json\.cc", r"rapidjson/.*"),
    (r"tools/run/(answer|settings|transcript|verbs)\.cc", r"loader/json\.h"),
    (r"tools/run/(main|verbs)\.cc", r"loader/models\.h"),
    (r"loader/regex_split\.cc", r"pcre2\.h"),
]

# Operating-system headers: runtime/core only.
SYSTEM = re.compile(r"(sys/|unistd\.h|fcntl\.h|sched\.h|pthread\.h|windows\.h|"
                    r"dirent\.h|immintrin\.h|arm_neon\.h)")
BANNED = re.compile(r"^(iostream|regex|locale|sstream)$")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
SUFFIXES = {".h", ".cc", ".hpp", ".inc"}


def layer_of(path):
    found = [d for d in LAYERS if path == d or path.startswith(d + "/")]
    return max(found, key=len) if found else None


def check(root, file):
    path = file.relative_to(root).as_posix()
    own = layer_of(path)
    if own is None or LAYERS[own][1] is None:
        return
    _, below, third_party = LAYERS[own]
    library = own not in ("tools", "tools/line", "tools/run")
    for quote, header in INCLUDE.findall(file.read_text(encoding="utf-8")):
        if any(re.fullmatch(f, path) and re.fullmatch(h, header)
               for f, h in EXTRA) or header in third_party:
            continue
        if header.startswith("slm/"):  # the public header's own name
            header = "runtime/include/" + header
        target = layer_of(header)
        if target is not None and (root / header).exists():
            if target != own and target not in below:
                yield f"{path}: includes {header} (layer {target})"
        elif quote == '"':
            yield f"{path}: includes third-party {header}"
        elif SYSTEM.match(header) and own != "runtime/core":
            yield f"{path}: includes <{header}>: only runtime/core may"
        elif library and BANNED.match(header):
            yield f"{path}: includes <{header}>: costs 0.6 MB when static"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    files = [f for top in ("runtime", "ops", "quant", "loader", "tools")
             for f in sorted((root / top).rglob("*")) if f.suffix in SUFFIXES]
    problems = [p for f in files for p in check(root, f)]
    print("\n".join(problems) or f"{len(files)} files, no violation")
    return 1 if problems or not files else 0


if __name__ == "__main__":
    sys.exit(main())
