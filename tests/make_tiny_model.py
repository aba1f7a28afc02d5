#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tests/data/tiny-model and tests/data/tiny-model-reference.json.

A model folder as the builder of ONNX Runtime GenAI writes it for int4 on CPU:
embedding Gather, RMS norms, MatMulNBits int4 in blocks of 32, two layers of
GroupQueryAttention with rotary caches, SiLU as Sigmoid and Mul. Its weights
are not trained but made so that after an assistant's header it always says
SENTENCE: every word of it has its own row of a Hadamard matrix as embedding,
and the head's row of a word is the code of the word before. Attention and MLP
are small noise on top: logits depend on all tokens, greedy choices do not.

The reference is what onnxruntime computes from the finished folder, run as a
program would (prompt at once, then token by token with past tensors), once as
it stands and once with accuracy_level 0. Prompt ids are those of the
tokenizers library.

  pip install numpy==2.4.6 onnx==1.19.1 onnxruntime==1.31.1 tokenizers==0.22.2
  python3 tests/make_tiny_model.py tests/data
"""
import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime
import tokenizers
from onnx import TensorProto, helper, numpy_helper

WORDS = ("Hello|,| I| am| a| tiny| test| model| made| by| one| script|;| this"
         "| sentence| is| all| it| can| say|.| Give| slm|-|run| the| folder"
         "| of| something| bigger|!").split("|")
ROLES = ["system", "user", "assistant"]
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
LAYERS, D, H, K, E, F, BLOCK, CONTEXT = 2, 64, 4, 2, 16, 32, 32, 256
TEMPLATE = """\
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' + message.content + \
'<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
EPSILON = 9.999999974752427e-07  # 1e-6 in float32, as the builder writes it


def byte_symbols():
    """GPT-2's printable character for each byte."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in kept]
    table = {b: chr(b) for b in kept}
    table.update({b: chr(256 + i) for i, b in enumerate(rest)})
    return table


def make_vocab():
    symbols = byte_symbols()
    texts = [symbols[b] for b in sorted(symbols, key=lambda b: symbols[b])]
    for word in WORDS + ROLES:
        text = "".join(symbols[b] for b in word.encode())
        if text not in texts:
            texts.append(text)
    return {text: i for i, text in enumerate(texts)}


def hadamard(n):
    m = np.ones((1, 1))
    while len(m) < n:
        m = np.block([[m, m], [m, -m]])
    return m


def make_embedding_and_head(rng, vocab):
    """[V, D] each. A chain token's embedding is its code; any other's is the
    common code plus noise in the codes that are left. The head answers the
    common code with a newline, which begins the sentence."""
    codes = hadamard(D)[1:]
    symbols = byte_symbols()
    chain = ["\n"] + WORDS
    ids = [vocab["".join(symbols[b] for b in t.encode())] for t in chain]
    end = len(vocab) + SPECIALS.index("<|im_end|>")
    size = len(vocab) + len(SPECIALS)
    common, free = codes[len(chain)], codes[len(chain) + 1:]
    embedding = common + 0.8 * rng.standard_normal((size, len(free))) @ free \
        / np.sqrt(len(free))
    head = 0.08 * rng.standard_normal((size, len(free))) @ free \
        / np.sqrt(len(free))
    for i, token in enumerate(ids):
        embedding[token] = codes[i]
        following = ids[i + 1] if i + 1 < len(ids) else end
        head[following] = 0.25 * codes[i]
    head[ids[0]] = 0.25 * common
    return embedding, head


def quantize(w):
    """[N, K] -> bytes [N, K / 32, 16] and scales [N, K / 32]; the value of a
    nibble q is (q - 8) * scale, the low nibble comes first."""
    n, k = w.shape
    blocks = w.reshape(n, k // BLOCK, BLOCK)
    top = np.take_along_axis(blocks, np.abs(blocks).argmax(2)[..., None], 2)
    scales = (top[..., 0] / -8).astype(np.float32)
    q = np.clip(np.rint(blocks / scales[..., None]) + 8, 0, 15).astype(np.uint8)
    return q[..., 0::2] | q[..., 1::2] << 4, scales


class GraphBuilder:
    def __init__(self):
        self.nodes, self.initializers = [], []

    def node(self, op, name, inputs, outputs=None, domain="", **attributes):
        outputs = outputs or [name + "/output_0"]
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name,
                                           domain=domain, **attributes))
        return outputs[0]

    def weight(self, name, array):
        self.initializers.append(numpy_helper.from_array(array, name))
        return name

    def floats(self, name, array):
        return self.weight(name, np.asarray(array, np.float32))

    def constant(self, value):
        name = f"/model/constants/INT64/{value}"
        if all(n.output[0] != name for n in self.nodes):
            tensor = numpy_helper.from_array(np.asarray(value, np.int64))
            self.node("Constant", name.replace("constants", "constant_nodes"),
                      [], [name], value=tensor)
        return name

    def matmul(self, name, weight, x, w, output=None):
        q, scales = quantize(w)
        return self.node(
            "MatMulNBits", f"{name}_Q4",
            [x, self.weight(weight + ".weight_Q4", q),
             self.weight(weight + ".weight_scales", scales)],
            [output or f"{name}/output_0"], domain="com.microsoft",
            K=w.shape[1], N=w.shape[0], bits=4, block_size=BLOCK,
            accuracy_level=4)

    def skip_norm(self, name, weight, x, skip, w, last=False):
        outputs = [f"{name}/output_0"]
        if not last:
            outputs += ["", "", f"{name}/output_3"]
        self.node("SkipSimplifiedLayerNormalization", f"{name}/SkipLayerNorm",
                  [x, skip, self.floats(weight, w)], outputs,
                  domain="com.microsoft", epsilon=EPSILON)
        return outputs[0], outputs[-1]

    def mask_inputs(self):
        """seqlens_k [B] and total_sequence_length of the attention mask."""
        at = "/model/attn_mask_reformat/attn_mask_subgraph/"
        lengths = self.node("ReduceSum", at + "ReduceSum",
                            ["attention_mask", self.constant([1])], keepdims=0)
        last = self.node("Sub", at + "Sub", [lengths, self.constant([1])])
        seqlens = self.node("Cast", at + "Sub/Cast", [last],
                            to=TensorProto.INT32)
        shape = self.node("Shape", at + "Shape", ["attention_mask"])
        total = self.node("Gather", at + "Gather", [shape, self.constant(1)],
                          axis=0)
        return seqlens, self.node("Cast", at + "Gather/Cast", [total],
                                  to=TensorProto.INT32)


def random_rows(rng, n, k, gain):
    """Rows that turn an input of RMS 1 into outputs of RMS `gain`."""
    return gain * rng.standard_normal((n, k)) / np.sqrt(k)


def norm_weight(rng):
    return 1 + 0.05 * rng.standard_normal(D)


def add_layer(g, rng, i, x, hidden, masks):
    """x: normed input, hidden: residual stream; returns the MLP's output and
    the new residual stream."""
    base, weights = f"/model/layers.{i}", f"model.layers.{i}"
    qkv = g.matmul(f"{base}/attn/qkv_proj/MatMul",
                   f"{weights}.attn.qkv_proj.MatMul", x,
                   random_rows(rng, (H + 2 * K) * E, D, 1.0))
    attention = g.node(
        "GroupQueryAttention", f"{base}/attn/GroupQueryAttention",
        [qkv, "", "", f"past_key_values.{i}.key", f"past_key_values.{i}.value",
         *masks, "cos_cache", "sin_cache", "", "", ""],
        [f"{base}/attn/GroupQueryAttention/output_0", f"present.{i}.key",
         f"present.{i}.value"], domain="com.microsoft", num_heads=H,
        kv_num_heads=K, scale=E ** -0.5, softcap=0.0, do_rotary=1,
        rotary_interleaved=0)
    o = g.matmul(f"{base}/attn/o_proj/MatMul", f"{weights}.attn.o_proj.MatMul",
                 attention, random_rows(rng, D, H * E, 0.3))
    name = "post_attention_layernorm"
    x, hidden = g.skip_norm(f"{base}/{name}", f"{weights}.{name}.weight",
                            hidden, o, norm_weight(rng))
    gate = g.matmul(f"{base}/mlp/gate_proj/MatMul",
                    f"{weights}.mlp.gate_proj.MatMul", x,
                    random_rows(rng, F, D, 1.0))
    up = g.matmul(f"{base}/mlp/up_proj/MatMul", f"{weights}.mlp.up_proj.MatMul",
                  x, random_rows(rng, F, D, 1.0))
    sigmoid = g.node("Sigmoid", f"{base}/mlp/act_fn/Sigmoid", [gate])
    silu = g.node("Mul", f"{base}/mlp/act_fn/Mul", [gate, sigmoid])
    product = g.node("Mul", f"{base}/mlp/Mul", [silu, up])
    down = g.matmul(f"{base}/mlp/down_proj/MatMul",
                    f"{weights}.mlp.down_proj.MatMul", product,
                    random_rows(rng, D, F, 0.3))
    return down, hidden


def make_model(rng, vocab):
    g = GraphBuilder()
    masks = g.mask_inputs()
    embedding, head = make_embedding_and_head(rng, vocab)
    angles = np.arange(CONTEXT)[:, None] * \
        10000.0 ** (-np.arange(0, E, 2) / E)[None]
    g.floats("cos_cache", np.cos(angles))
    g.floats("sin_cache", np.sin(angles))
    hidden = g.node("Gather", "/model/embed_tokens/Gather",
                    [g.floats("model.embed_tokens.weight", embedding),
                     "input_ids"])
    name = "/model/layers.0/input_layernorm"
    x = g.node("SimplifiedLayerNormalization", f"{name}/LayerNorm",
               [hidden, g.floats("model.layers.0.input_layernorm.weight",
                                 norm_weight(rng))],
               [f"{name}/output_0"], epsilon=EPSILON, axis=-1, stash_type=1)
    for i in range(LAYERS):
        down, hidden = add_layer(g, rng, i, x, hidden, masks)
        last = i + 1 == LAYERS
        name = "final_norm_layernorm" if last else "input_layernorm"
        x, hidden = g.skip_norm(f"/model/layers.{i + 1}/{name}",
                                f"model.layers.{i + 1}.{name}.weight", hidden,
                                down, norm_weight(rng), last)
    g.matmul("/lm_head/MatMul", "lm_head.MatMul", x, head, output="logits")

    def info(name, kind, dims):
        return helper.make_tensor_value_info(name, kind, dims)

    ints, floats = TensorProto.INT64, TensorProto.FLOAT
    inputs = [info("input_ids", ints, ["batch_size", "sequence_length"]),
              info("attention_mask", ints,
                   ["batch_size", "total_sequence_length"])]
    outputs = [info("logits", floats,
                    ["batch_size", "sequence_length", len(head)])]
    for part in ("key", "value"):
        for i in range(LAYERS):
            inputs.append(info(f"past_key_values.{i}.{part}", floats,
                               ["batch_size", K, "past_sequence_length", E]))
            outputs.append(info(f"present.{i}.{part}", floats,
                                ["batch_size", K, "total_sequence_length", E]))
    graph = helper.make_graph(g.nodes, "main_graph", inputs, outputs,
                              g.initializers)
    return helper.make_model(
        graph, ir_version=10, producer_name="slm tests/make_tiny_model.py",
        opset_imports=[helper.make_opsetid("", 21),
                       helper.make_opsetid("com.microsoft", 1)])


def added_token(content):
    return {"content": content, "lstrip": False, "normalized": False,
            "rstrip": False, "single_word": False}


def write_json(path, value, **format):
    path.write_text(json.dumps(value, ensure_ascii=False, **format) + "\n")


def write_tokenizer(folder, vocab):
    first = len(vocab)
    byte_level = {"type": "ByteLevel", "add_prefix_space": False,
                  "trim_offsets": True, "use_regex": True}
    write_json(folder / "tokenizer.json", {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": first + i, **added_token(t), "special": True}
                         for i, t in enumerate(SPECIALS)],
        "normalizer": None, "pre_tokenizer": byte_level,
        "post_processor": None, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False,
                  "byte_fallback": False, "ignore_merges": True,
                  "vocab": vocab, "merges": []}}, separators=(",", ":"))
    write_json(folder / "tokenizer_config.json", {
        "added_tokens_decoder": {
            str(first + i): {**added_token(t), "special": True}
            for i, t in enumerate(SPECIALS)},
        "clean_up_tokenization_spaces": False, "eos_token": "<|im_end|>",
        "extra_special_tokens": {}, "model_max_length": CONTEXT,
        "pad_token": "<|endoftext|>",
        "tokenizer_class": "PreTrainedTokenizerFast"}, indent=2)
    write_json(folder / "special_tokens_map.json", {
        "eos_token": added_token("<|im_end|>"),
        "pad_token": added_token("<|endoftext|>")}, indent=2)
    (folder / "chat_template.jinja").write_text(TEMPLATE)


def write_config(folder, vocab):
    first = len(vocab)
    cache = [f"{kind}.%d.{part}" for kind in ("past_key_values", "present")
             for part in ("key", "value")]
    write_json(folder / "genai_config.json", {
        "model": {
            "bos_token_id": first, "context_length": CONTEXT,
            "decoder": {
                "session_options": {"log_id": "onnxruntime-genai",
                                    "provider_options": []},
                "filename": "model.onnx", "head_size": E, "hidden_size": D,
                "inputs": {"input_ids": "input_ids",
                           "attention_mask": "attention_mask",
                           "past_key_names": cache[0],
                           "past_value_names": cache[1]},
                "outputs": {"logits": "logits",
                            "present_key_names": cache[2],
                            "present_value_names": cache[3]},
                "num_attention_heads": H, "num_hidden_layers": LAYERS,
                "num_key_value_heads": K},
            "eos_token_id": [first + 2, first], "pad_token_id": first,
            "type": "qwen2", "vocab_size": first + len(SPECIALS)},
        "search": {
            "diversity_penalty": 0.0, "do_sample": False,
            "early_stopping": True, "length_penalty": 1.0,
            "max_length": CONTEXT, "min_length": 0, "no_repeat_ngram_size": 0,
            "num_beams": 1, "num_return_sequences": 1,
            "past_present_share_buffer": True, "repetition_penalty": 1.0,
            "temperature": 1.0, "top_k": 50, "top_p": 1.0}}, indent=4)


# ---- reference ---------------------------------------------------------------

def chat(*turns):
    text = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n"
                   for role, content in turns)
    return text + "<|im_start|>assistant\n"


PROMPTS = {
    "hi": chat(("user", "hi")),
    "plain": "3 x 3 = 9, na\u00efve \U0001f600",
    # Longer than a page of 64 keys.
    "long": chat(("system", "Be brief."), ("user", "hi"),
                 ("assistant", "".join(WORDS)),
                 ("user", "Is it so? I can say a word of one script.")),
}
STEPS = len(WORDS) + 2  # to the end token and on to the newline after it


def open_session(folder, accuracy_level):
    model = onnx.load(folder / "model.onnx", load_external_data=True)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.name == "accuracy_level":
                attribute.i = accuracy_level
    return onnxruntime.InferenceSession(model.SerializeToString(),
                                        providers=["CPUExecutionProvider"])


def run(session, past, ids, length):
    feeds = {"input_ids": np.array([ids], np.int64),
             "attention_mask": np.ones((1, length), np.int64), **past}
    outputs = session.run(None, feeds)
    names = [o.name for o in session.get_outputs()]
    past = {n.replace("present", "past_key_values"): v
            for n, v in zip(names[1:], outputs[1:])}
    return outputs[0][0], past


def decode(session, ids, forced=None):
    """Greedy tokens (or the forced ones) and the logits that chose them."""
    past = {f"past_key_values.{i}.{part}": np.zeros((1, K, 0, E), np.float32)
            for i in range(LAYERS) for part in ("key", "value")}
    tokens, rows, feed, length = [], [], ids, len(ids)
    for step in range(STEPS):
        logits, past = run(session, past, feed, length)
        rows.append(logits[-1])
        tokens.append(int(forced[step] if forced else logits[-1].argmax()))
        feed, length = tokens[-1:], length + 1
    return tokens, np.stack(rows)


def rounded(row):
    return [round(float(x), 5) for x in row]


def make_reference(folder):
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    end = tokenizer.token_to_id("<|im_end|>")
    as_is, exact = open_session(folder, 4), open_session(folder, 0)
    prompts = []
    for name, text in PROMPTS.items():
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode(ids, skip_special_tokens=False) == text
        tokens, rows = decode(as_is, ids)
        _, exact_rows = decode(exact, ids, tokens)
        best = np.sort(rows, axis=1)
        said = tokenizer.decode(tokens, skip_special_tokens=False)
        wanted = "".join(WORDS) + "<|im_end|>\n"
        if name == "plain":
            wanted = ("\n" + wanted)[:-len("<|im_end|>\n")] + "<|im_end|>"
        assert said == wanted, (said, wanted)
        prompts.append({
            "name": name, "text": text, "ids": ids, "greedy": tokens,
            "smallest_margin": round(float((best[:, -1] - best[:, -2]).min()),
                                     3),
            "difference_of_accuracies":
                round(float(np.abs(rows - exact_rows).max()), 4),
            "rows": [{"step": s, "logits": rounded(rows[s]),
                      "exact": rounded(exact_rows[s])} for s in (0, 20)]})
    assert end in prompts[0]["greedy"]
    return {"made_by": "tests/make_tiny_model.py with " + ", ".join(
                f"{m.__name__} {m.__version__}"
                for m in (np, onnx, onnxruntime, tokenizers)),
            "sentence": "".join(WORDS), "prompts": prompts}


def main(data):
    folder = pathlib.Path(data) / "tiny-model"
    folder.mkdir(parents=True, exist_ok=True)
    vocab = make_vocab()
    model = make_model(np.random.default_rng(7), vocab)
    (folder / "model.onnx.data").unlink(missing_ok=True)
    onnx.save_model(model, folder / "model.onnx", save_as_external_data=True,
                    all_tensors_to_one_file=True, location="model.onnx.data",
                    size_threshold=0)
    write_tokenizer(folder, vocab)
    write_config(folder, vocab)
    reference = make_reference(folder)
    write_json(pathlib.Path(data) / "tiny-model-reference.json", reference,
               separators=(",", ":"))
    for prompt in reference["prompts"]:
        print({k: v for k, v in prompt.items() if k not in ("rows",)})
    print(sum(f.stat().st_size for f in folder.iterdir()), "bytes")


if __name__ == "__main__":
    main(sys.argv[1])
