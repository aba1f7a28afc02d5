// SPDX-License-Identifier: MIT
#include "runtime/text/token_bytes.h"

#include "runtime/text/normalize.h"
#include "runtime/text/unicode.h"

namespace slm::text {
namespace {

using Kind = DecoderStep::Kind;

const char* NameOf(Kind kind) {
  switch (kind) {
    case Kind::kJoin:
      return "none: tokens are joined by spaces";
    case Kind::kByteLevel:
      return "ByteLevel";
    case Kind::kWordPiece:
      return "WordPiece";
    case Kind::kMetaspace:
      return "Metaspace";
    case Kind::kBpe:
      return "BPEDecoder";
    case Kind::kCtc:
      return "CTC";
    case Kind::kReplace:
      return "Replace";
    case Kind::kByteFallback:
      return "ByteFallback";
    case Kind::kFuse:
      return "Fuse";
    case Kind::kStrip:
      return "Strip";
  }
  return "";
}

// `joined`: the step sees a text that grows, not tokens.
bool IsLocal(const DecoderStep& step, bool joined) {
  switch (step.kind) {
    case Kind::kByteLevel:
    case Kind::kFuse:
      return true;
    case Kind::kMetaspace:
    case Kind::kByteFallback:
      return !joined;
    case Kind::kReplace:
      return !joined && !step.pattern.regex && !step.pattern.splitter &&
             !step.pattern.literal.empty();
    case Kind::kStrip:
      return joined && step.text == " " && step.stop == 0;
    default:
      return false;
  }
}

// As DecodeChain::ByteLevel: bytes if all characters stand for one.
std::string ByteLevelBytes(std::string_view token) {
  std::string bytes;
  for (size_t i = 0; i < token.size();) {
    uint32_t size;
    const int byte = ByteOfChar(CodeAt(token, i, &size));
    if (byte < 0) return std::string(token);
    bytes += static_cast<char>(byte);
    i += size;
  }
  return bytes;
}

}  // namespace

Status CheckTokenBytes(const std::vector<DecoderStep>& steps) {
  bool joined = false;
  for (const DecoderStep& step : steps) {
    if (!IsLocal(step, joined)) {
      return Usage(
          "what a token of this model adds to the text depends on others "
          "(decoder: %s)",
          NameOf(step.kind));
    }
    joined |= step.kind == Kind::kByteLevel || step.kind == Kind::kFuse;
  }
  return OkStatus();
}

std::string TokenBytes(const std::vector<DecoderStep>& steps,
                       std::string_view token) {
  std::string bytes(token);
  for (const DecoderStep& step : steps) {
    switch (step.kind) {
      case Kind::kByteLevel:
        bytes = ByteLevelBytes(bytes);
        break;
      case Kind::kMetaspace:
        bytes = ReplaceAll(bytes, step.text, " ");
        break;
      case Kind::kReplace:
        bytes = ReplaceAll(bytes, step.pattern.literal, step.text);
        break;
      case Kind::kByteFallback:
        if (const int byte = ByteOfToken(bytes); byte >= 0) {
          return std::string(1, static_cast<char>(byte));
        }
        break;
      default:
        break;
    }
  }
  return bytes;
}

}  // namespace slm::text
