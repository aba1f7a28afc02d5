// SPDX-License-Identifier: MIT
#include "tools/convert/help.h"

#include "tools/convert/families.h"

namespace slm::convert {
namespace {

constexpr const char* kShort =
    R"(slm-convert: models into folders for Foundry Local, ONNX Runtime GenAI and slm.

  slm-convert SOURCE OUTPUT       SOURCE: a Hugging Face folder (safetensors,
                                  GPTQ, AWQ), a .gguf file, an ONNX folder
  slm-convert check FOLDER        is it whole, and as its slm.json has it?
  slm-convert auto-opt | run | optimize | quantize | capture-onnx-graph ...
                                  command lines of Olive, as they are
  slm-convert -i DIR -o OUT -e cpu ...
                                  those of the model builder

Weights
  -p, --precision int4|int8|fp16|fp32
                                  or llama.cpp's Q8_0, Q4_K_M ... (int4)
  -b, --block-size 16|32|64|128|256
                                  weights that share a scale (32)
      --asymmetric                a zero point for each block
  -a, --algorithm search|default|rtn|k_quant|gptq
                                  gptq is best and slow, default the builder's
      --imatrix [=FILE]           weigh errors by what the weights multiply
      --mixed last|down|layers|auto
                                  8 bits for what needs them most
      --adapter DIR[:SCALE]       a LoRA to merge (repeatable)
Output
      --name NAME                 of the model (the output folder's)
      --force                     replace the output folder
      --dry-run                   check everything, print sizes, write nothing
      --no-check                  do not try the result beside its source
  -t, --threads N|auto            threads (auto: all cores)
  -q, --quiet                     no progress, no summary

  slm-convert Qwen3-0.6B models/qwen3-0.6b-int4
  slm-convert Phi-3.5-mini out -p int4 -b 128 --asymmetric
  slm-convert Qwen3-0.6B-Q8_0.gguf out
  slm-convert my-base out --adapter my-lora -a gptq --mixed last

--help-all has all flags, architectures and exit codes.
)";

constexpr const char* kNotes = R"(
Algorithms: search looks for the scale (and zero point) of least squared error;
default is ONNX Runtime's quantizer byte for byte; rtn and k_quant (always with
zero points) are those of its neural_compressor.
  slm-convert Qwen3-0.6B models/qwen3-0.6b-int4
  slm-convert Phi-3.5-mini out -p int4 -b 128 --asymmetric
  slm-convert my-llama out --algorithm default --force
  slm-convert Qwen3-0.6B-Q8_0.gguf out
--mixed last: the head in int8; down: every down_proj, too; layers: q, k, v and
down_proj of the first and last eighth of the layers and of every third between;
auto: what hurts most in 4 bits for its bytes, measured, up to --target-bpw.
Nodes have the builder's names (/model/layers.0/mlp/down_proj/MatMul), NODE may
have * and ?. --override and --exclude may come several times; --exclude wins,
then --override, --lm-head and --embedding, --mixed.
-p takes names of llama.cpp as well: Q8_0, Q4_0, Q4_1, Q4_K_S, Q4_K_M, F16, F32.
A source of GPTQ, AWQ, Olive, compressed-tensors or GGUF keeps its codes, scales
and blocks exactly; another -p or --requantize quantises it again.
--imatrix samples 8192 tokens and runs the model on them (0.5 B, two cores: some
75 s and 1.3 GB), with a float copy of the model (float16, 2 bytes a weight;
float32 where the source is) in the output folder's temporary one.
gptq is the search with imatrix, and columns take over the errors of those before
them: best, and slowest. It holds the activations of all its tokens in memory (for
8192 of a 0.5 B model 0.5 GB) and takes some K^3 of time for each width K.
slm-convert check FOLDER opens a model folder and compares it with its slm.json.
These command lines are understood, too (--force is ours):
  slm-convert auto-opt -m DIR -o OUT --precision int4 ...        of Olive
  slm-convert run --config FILE                                  of Olive
  slm-convert optimize|quantize|capture-onnx-graph -m DIR ...    of Olive
  slm-convert -i DIR -o OUT -p int4 -e cpu --extra_options K=V   model builder
Exit: 0 ok, 1 failure, 2 usage, 3 not found, 4 model invalid or unsupported,
5 memory, 6 SLM_TARGET unsupported, 10 the result is not what its source is,
130 and 143 interrupted.
)";

}  // namespace

std::string Help() { return kShort; }

std::string HelpNotes() {
  std::string names;
  std::string line;
  for (const std::string& name : FamilyNames()) {
    if (line.size() + name.size() > 76) {
      names += line + "\n";
      line.clear();
    }
    line += (line.empty() ? "  " : " ") + name;
  }
  return "\nArchitectures:\n" + names + line + "\n" + kNotes;
}

}  // namespace slm::convert
