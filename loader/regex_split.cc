// SPDX-License-Identifier: MIT
#include "loader/regex_split.h"

#include <limits>

#include "pcre2.h"
#include "runtime/text/unicode.h"

namespace slm {
namespace {

// Oniguruma gives up after ten million steps, too.
constexpr uint32_t kMatchLimit = 10'000'000;
constexpr uint32_t kDepthLimit = 10'000;
constexpr uint32_t kHeapLimitKib = 64 * 1024;
constexpr uint32_t kParensLimit = 200;
constexpr size_t kMaxExpression = 64 * 1024;

struct Free {
  void operator()(pcre2_code* p) const { pcre2_code_free(p); }
  void operator()(pcre2_match_data* p) const { pcre2_match_data_free(p); }
  void operator()(pcre2_match_context* p) const { pcre2_match_context_free(p); }
  void operator()(pcre2_compile_context* p) const {
    pcre2_compile_context_free(p);
  }
};
template <typename T>
using Owned = std::unique_ptr<T, Free>;

std::string MessageOf(int error) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(error, buffer, sizeof(buffer));
  return reinterpret_cast<const char*>(buffer);
}

class PcreRegex : public text::Regex {
 public:
  PcreRegex(Owned<pcre2_code> code, Owned<pcre2_match_context> context)
      : code_(std::move(code)), context_(std::move(context)) {}

  // Iterates as Oniguruma's binding does: behind an empty match at the end of
  // the match before, the search goes on one character further.
  Status FindAll(std::string_view text,
                 std::vector<TextSpan>* matches) const override {
    Owned<pcre2_match_data> data(
        pcre2_match_data_create_from_pattern(code_.get(), nullptr));
    if (data == nullptr) {
      return Error(ErrorKind::kMemory, "no memory for a regular expression");
    }
    size_t from = 0;
    size_t last_end = std::numeric_limits<size_t>::max();
    while (from <= text.size()) {
      const int count = Match(text, from, data.get());
      if (count == PCRE2_ERROR_NOMATCH) break;
      if (count < 0) {
        return Invalid(
            "tokenizer: regular expression failed on a text of %zu "
            "bytes: %s",
            text.size(), MessageOf(count).c_str());
      }
      const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(data.get());
      const TextSpan match = {ends[0], ends[1]};
      if (match.begin >= match.end && match.end == last_end) {
        from += from < text.size() ? text::SizeOfLead(text[from]) : 1;
        continue;
      }
      from = last_end = match.end;
      if (match.begin <= match.end) matches->push_back(match);
    }
    return OkStatus();
  }

 private:
  int Match(std::string_view text, size_t from, pcre2_match_data* data) const {
    const auto* bytes = reinterpret_cast<PCRE2_SPTR>(text.data());
    int count = pcre2_match(code_.get(), bytes, text.size(), from,
                            PCRE2_NO_UTF_CHECK, data, context_.get());
    if (count == PCRE2_ERROR_JIT_STACKLIMIT) {  // the interpreter has more
      count =
          pcre2_match(code_.get(), bytes, text.size(), from,
                      PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, context_.get());
    }
    return count;
  }

  Owned<pcre2_code> code_;
  Owned<pcre2_match_context> context_;
};

}  // namespace

Result<std::shared_ptr<const text::Regex>> CompileRegex(
    std::string_view expression) {
  if (expression.size() > kMaxExpression) {
    return Invalid("regular expression of %zu bytes is too long, limit %zu",
                   expression.size(), kMaxExpression);
  }
  SLM_ASSIGN_OR_RETURN(const std::string pattern, TranslateRegex(expression));
  Owned<pcre2_compile_context> compile(pcre2_compile_context_create(nullptr));
  if (compile == nullptr) {
    return Error(ErrorKind::kMemory, "no memory for a regular expression");
  }
  pcre2_set_newline(compile.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(compile.get(), kParensLimit);
  int error = 0;
  PCRE2_SIZE at = 0;
  Owned<pcre2_code> code(pcre2_compile(
      reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
      &at, compile.get()));
  if (code == nullptr) {
    return Invalid("regular expression \"%s\": %s",
                   Printable(expression).c_str(), MessageOf(error).c_str());
  }
  // Where the system forbids code generation the interpreter serves.
  pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE);
  Owned<pcre2_match_context> context(pcre2_match_context_create(nullptr));
  if (context == nullptr) {
    return Error(ErrorKind::kMemory, "no memory for a regular expression");
  }
  pcre2_set_match_limit(context.get(), kMatchLimit);
  pcre2_set_depth_limit(context.get(), kDepthLimit);
  pcre2_set_heap_limit(context.get(), kHeapLimitKib);
  return std::shared_ptr<const text::Regex>(
      std::make_shared<PcreRegex>(std::move(code), std::move(context)));
}

}  // namespace slm
