// SPDX-License-Identifier: MIT
// Einsum of any number of operands: every letter is a loop, an operand has a
// stride for each letter (0 where it lacks it, their sum on a diagonal):
//   out[output letters] = sum over the other letters of the product.
// Plain loops: exporters that write matrix products as Einsum get the right
// answer, not the speed of MatMul.
#include <algorithm>
#include <array>

#include "ops/axes.h"
#include "ops/binary.h"
#include "ops/families.h"

namespace slm {
namespace {

constexpr size_t kMaxOperands = 8;
constexpr size_t kMaxLetters = 16;  // distinct, the ellipsis' axes included

struct EinsumParams {
  std::vector<std::string> operands;  // letters; '.' is the ellipsis
  std::string output;
};

bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// One term without blanks and with "..." as '.'; false if it is malformed.
bool ReadTerm(std::string_view text, std::string* term) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ') continue;
    if (text.substr(i, 3) == "...") {
      if (term->find('.') != std::string::npos) return false;
      term->push_back('.');
      i += 2;
    } else if (IsLetter(text[i])) {
      term->push_back(text[i]);
    } else {
      return false;
    }
  }
  return true;
}

// Without "->" the output is the ellipsis, then the letters that occur once, in
// the alphabet's order.
std::string ImplicitOutput(const std::vector<std::string>& operands) {
  std::string all, output;
  for (const std::string& o : operands) all += o;
  if (all.find('.') != std::string::npos) output.push_back('.');
  std::sort(all.begin(), all.end());
  for (char c : all) {
    if (c != '.' && std::count(all.begin(), all.end(), c) == 1) output += c;
  }
  return output;
}

// False if the equation is malformed.
bool ParseEquation(std::string_view equation, EinsumParams* params) {
  const size_t arrow = equation.find("->");
  std::string_view left = equation.substr(0, arrow);
  for (;;) {
    const size_t comma = left.find(',');
    params->operands.emplace_back();
    if (!ReadTerm(left.substr(0, comma), &params->operands.back())) {
      return false;
    }
    if (comma == std::string_view::npos) break;
    left.remove_prefix(comma + 1);
  }
  if (arrow == std::string_view::npos) {
    params->output = ImplicitOutput(params->operands);
    return true;
  }
  if (!ReadTerm(equation.substr(arrow + 2), &params->output)) return false;
  // Each output letter once, and known.
  for (char c : params->output) {
    const auto has = [c](const std::string& o) {
      return o.find(c) != std::string::npos;
    };
    const bool known =
        std::any_of(params->operands.begin(), params->operands.end(), has);
    if (std::count(params->output.begin(), params->output.end(), c) != 1 ||
        (!known && c != '.')) {
      return false;
    }
  }
  return true;
}

Result<OpParams> ParseEinsum(AttributeReader& attributes) {
  const size_t count = attributes.node().inputs.size();
  attributes.CheckArity(1, kMaxOperands, 1);
  EinsumParams params;
  const std::string equation = attributes.String("equation", "");
  attributes.FailUnless(
      equation.size() <= 256 && ParseEquation(equation, &params),
      Format("attribute \"equation\" = \"%s\" is malformed",
             Printable(equation).c_str()));
  attributes.FailUnless(
      params.operands.size() == count,
      Format("attribute \"equation\" has %zu operands, the node %zu inputs",
             params.operands.size(), count));
  SLM_RETURN_IF_ERROR(attributes.Finish());
  return MakeParams(std::move(params));
}

// The loops: output letters first, then those summed over.
struct Loops {
  struct Letter {
    int name;  // a letter, or -1 - i for the ellipsis' i-th axis from the back
    int64_t dim = 1;
    std::array<int64_t, kMaxOperands> strides = {};
  };
  std::vector<Letter> letters;
  size_t output_letters = 0;

  Letter* Find(int name) {
    for (Letter& l : letters) {
      if (l.name == name) return &l;
    }
    letters.push_back({.name = name});
    return &letters.back();
  }
};

// Names of an operand's axes; refuses a rank that does not fit the term.
Result<std::vector<int>> AxisNames(const std::string& term, size_t rank) {
  const bool dots = term.find('.') != std::string::npos;
  const size_t letters = term.size() - dots;
  if (rank < letters || (rank > letters && !dots)) {
    return Invalid("term \"%s\" has %zu letters, the input rank %zu",
                   Printable(term).c_str(), letters, rank);
  }
  std::vector<int> names;
  for (char c : term) {
    if (c != '.') {
      names.push_back(c);
      continue;
    }
    for (size_t i = rank - letters; i-- > 0;) {
      names.push_back(-1 - static_cast<int>(i));
    }
  }
  return names;
}

Result<Loops> BuildLoops(const OpContext& c) {
  const auto& params = c.Params<EinsumParams>();
  Loops loops;
  size_t dots_rank = 0;  // axes of the widest ellipsis
  for (size_t k = 0; k < params.operands.size(); ++k) {
    const std::string& term = params.operands[k];
    if (term.find('.') == std::string::npos) continue;
    const size_t letters = term.size() - 1;
    const size_t rank = c.In(k).shape.rank();
    dots_rank = std::max(dots_rank, rank - std::min(rank, letters));
  }
  for (char name : params.output) {
    if (name != '.') {
      loops.Find(name);
      continue;
    }
    for (size_t i = dots_rank; i-- > 0;) loops.Find(-1 - static_cast<int>(i));
  }
  loops.output_letters = loops.letters.size();
  for (size_t k = 0; k < params.operands.size(); ++k) {
    const Shape& x = c.In(k).shape;
    SLM_ASSIGN_OR_RETURN(const auto names,
                         AxisNames(params.operands[k], x.rank()));
    int64_t stride = 1;
    for (size_t i = x.rank(); i-- > 0; stride *= x[i]) {
      Loops::Letter* letter = loops.Find(names[i]);
      if (letter->dim == 1) letter->dim = x[i];
      if (x[i] != letter->dim && x[i] != 1) {
        return Invalid("input %zu, axis %zu of %s: %lld was seen before", k, i,
                       x.ToString().c_str(),
                       static_cast<long long>(letter->dim));
      }
      if (x[i] != 1) letter->strides[k] += stride;
    }
  }
  if (loops.letters.size() > kMaxLetters) {
    return Invalid("%zu letters, supported: %zu", loops.letters.size(),
                   kMaxLetters);
  }
  return loops;
}

Status InferEinsum(OpContext& c) {
  SLM_RETURN_IF_ERROR(CheckSameTypes<Numbers>(c, c.input_count()));
  SLM_ASSIGN_OR_RETURN(const Loops loops, BuildLoops(c));
  std::vector<int64_t> dims, all;
  for (size_t i = 0; i < loops.letters.size(); ++i) {
    if (i < loops.output_letters) dims.push_back(loops.letters[i].dim);
  }
  SLM_ASSIGN_OR_RETURN(const Shape out, MakeShape(dims));
  // The number of products must be countable, too.
  size_t work = 1;
  for (const Loops::Letter& letter : loops.letters) {
    const auto product =
        CheckedMul(work, static_cast<size_t>(std::max<int64_t>(letter.dim, 1)));
    if (!product) return Invalid("the loops have too many iterations");
    work = *product;
  }
  c.SetOutput(0, c.In(0).dtype, out);
  return OkStatus();
}

// Steps letters [begin, end) like an odometer, offsets with them; false when it
// is back at the start.
class Odometer {
 public:
  Odometer(const Loops& loops, size_t begin, size_t end, size_t operands)
      : loops_(loops), begin_(begin), end_(end), operands_(operands) {}

  bool Next(std::array<int64_t, kMaxOperands>* offsets) {
    for (size_t d = end_; d-- > begin_;) {
      const Loops::Letter& letter = loops_.letters[d];
      const bool carry = ++index_[d] == letter.dim;
      const int64_t steps = carry ? 1 - letter.dim : 1;
      for (size_t k = 0; k < operands_; ++k) {
        (*offsets)[k] += steps * letter.strides[k];
      }
      if (!carry) return true;
      index_[d] = 0;
    }
    return false;
  }

 private:
  const Loops& loops_;
  size_t begin_, end_, operands_;
  std::array<int64_t, kMaxLetters> index_ = {};
};

template <typename T>
void RunLoops(OpContext& c, const Loops& loops) {
  using Sum = std::conditional_t<std::is_floating_point_v<T>, double, uint64_t>;
  const size_t operands = c.input_count();
  const T* data[kMaxOperands];
  for (size_t k = 0; k < operands; ++k) data[k] = c.In(k).As<T>();
  bool empty = false;  // a summed letter of size 0
  for (const Loops::Letter& letter : loops.letters) {
    empty = empty || letter.dim == 0;
  }
  T* out = c.Out(0).Mutable<T>();
  Odometer outer(loops, 0, loops.output_letters, operands);
  Odometer inner(loops, loops.output_letters, loops.letters.size(), operands);
  std::array<int64_t, kMaxOperands> offsets = {};
  for (size_t i = 0; i < c.Out(0).Count(); ++i) {
    Sum sum = 0;
    bool more = !empty;
    while (more) {
      Sum product = 1;
      for (size_t k = 0; k < operands; ++k) {
        product *= static_cast<Sum>(data[k][offsets[k]]);
      }
      sum += product;
      more = inner.Next(&offsets);  // ends with the offsets as they began
    }
    out[i] = static_cast<T>(sum);
    outer.Next(&offsets);
  }
}

void RunEinsum(OpContext& c) {
  const auto loops = BuildLoops(c);
  if (!loops.ok()) return;  // infer has built the same
  Visit(Numbers(), c.In(0).dtype,
        [&](auto tag) { RunLoops<decltype(tag)>(c, *loops); });
}

constexpr OpDef kOps[] = {
    {"", "Einsum", 12, kLatestOpset, ParseEinsum, InferEinsum, RunEinsum,
     kNoTraits, 0},
};

}  // namespace

std::span<const OpDef> EinsumOps() { return kOps; }

}  // namespace slm
