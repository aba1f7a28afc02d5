# SPDX-License-Identifier: MIT
"""What the documents' lines need, under the names that they use."""
import functools
import json
import pathlib
import shutil
import sys

TESTS = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "tools"))
import demo_hf  # noqa: E402
import gguf_models  # noqa: E402
import hf_models  # noqa: E402
import packed_models  # noqa: E402

DEMO = TESTS.parent / "tools" / "demo" / "model"
TOKENIZER = TESTS / "data" / "tiny-model"
LLAMA = dict(hf_models.FAMILIES["llama"], num_hidden_layers=2)
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 16, "version": "gemm",
       "zero_point": True, "modules_to_not_convert": None}
TEXT = "The train leaves at nine. Bring the tickets and a warm coat.\n" * 20
PROGRAM = """#include <slm/slm.h>
#include <stdio.h>
int main(void) {
  puts(slm_version());
  return 0;
}
"""


def demo(path, at):
    shutil.copytree(DEMO, path)


def named_demo(path, at):
    """Its inference_model.json has the folder's name."""
    shutil.copytree(DEMO, path)
    inference = path / "inference_model.json"
    text = json.loads(inference.read_text())
    text["Name"] = path.name
    inference.write_text(json.dumps(text))


def named_below_models(path, at):
    if not (at / "models" / path.name).exists():
        named_demo(at / "models" / path.name, at)


def demo_source(path, at):
    demo_hf.make_folder(DEMO, path)


def tiny_source(path, at, family="llama"):
    hf_models.make_folder(path, dict(hf_models.FAMILIES[family],
                                     num_hidden_layers=2), TOKENIZER)


def awq(path, at):
    packed_models.make_folder(path, LLAMA, TOKENIZER, packed_models.awq, AWQ,
                              symmetric=False)


def gguf(path, at):
    source = path.with_name(path.name + "-source")
    hf_models.make_folder(source, LLAMA, TOKENIZER)
    gguf_models.from_folder(source, path, gguf_models.Q8_0)


def adapter(path, at):
    hf_models.make_adapter(path, LLAMA, [
        f"model.layers.{i}.self_attn.{p}_proj" for i in range(2) for p in "qv"])


def demo_adapter(path, at):
    """As finetune.py's before its first step: B is zero."""
    path.mkdir(parents=True)
    config = json.loads((at / "work/hf/config.json").read_text())
    rank, tensors = 8, {}
    for i in range(config["num_hidden_layers"]):
        module = f"base_model.model.model.layers.{i}.mlp.up_proj.lora_"
        for part, shape in (("A", [rank, config["hidden_size"]]),
                            ("B", [config["intermediate_size"], rank])):
            tensors[f"{module}{part}.weight"] = (
                "F32", shape, bytes(4 * shape[0] * shape[1]))
    hf_models.write_safetensors(path / "adapter_model.safetensors", tensors)
    (path / "adapter_config.json").write_text(json.dumps({
        "peft_type": "LORA", "r": rank, "lora_alpha": 16, "bias": "none",
        "target_modules": ["up_proj"]}))


def olive_config(path, at):
    path.write_text(json.dumps({
        "input_model": {"type": "HfModel", "model_path": "DIR"},
        "passes": {"builder": {"type": "ModelBuilder", "config": {
            "precision": "int4"}}}, "output_dir": "FROM-FILE"}))
    if not (at / "DIR").exists():
        tiny_source(at / "DIR", at)


def long_model(path, at, convert):
    """A context of 16384 tokens; small, so that they cost little."""
    source = path.with_name(path.name + "-source")
    hf_models.make_folder(source, dict(
        LLAMA, max_position_embeddings=16384), TOKENIZER)
    convert(source, path)


def text(path, at, content=TEXT):
    path.write_text(content)


def prompts(path, at):
    path.write_text("".join(json.dumps({"prompt": p}) + "\n"
                            for p in ("hello", "What is slm?")))


# Name in the documents -> maker(path, scratch folder). tools/bench/MODEL is
# MODEL of the documents in tools/bench; .txt is any file of that kind.
FIXTURES = {
    "MODEL": demo,
    "FOLDER": demo,
    "NAME": named_below_models,
    "models/qwen3-0.6b-int4": named_demo,
    "Qwen3-0.6B": demo_source,
    "SOURCE": demo_source,
    "DIR": tiny_source,
    "work/hf": demo_source,
    "work/tea-house": demo_adapter,
    "model-Q8_0.gguf": gguf,
    "Llama-AWQ": awq,
    "my-base": tiny_source,
    "my-lora": adapter,
    "Phi-4-mini": functools.partial(tiny_source, family="phi3"),
    "FILE": text,
    "TEXT": text,
    ".txt": text,
    ".raw": text,
    "prompts.jsonl": prompts,
    "app.c": functools.partial(text, content=PROGRAM),
    "tools/convert/FILE": olive_config,
    "tools/bench/MODEL": long_model,
    "tools/bench/MODEL-fp32": long_model,
}
