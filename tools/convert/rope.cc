// SPDX-License-Identifier: MIT
#include "tools/convert/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>

#include "loader/json_fields.h"

namespace slm::convert {
namespace {

constexpr double kPi = std::numbers::pi;

// A number of rope_scaling.
Result<double> Number(const JsonValue& scaling, std::string_view name) {
  const JsonValue* value = FindField(scaling, name);
  if (!value || !value->IsNumber() || !std::isfinite(value->Double())) {
    return WrongField(name, value, "number");
  }
  return value->Double();
}

Result<double> Number(const JsonValue& scaling, std::string_view name,
                      double fallback) {
  return FindField(scaling, name) ? Number(scaling, name)
                                  : Result<double>(fallback);
}

// One that divides or whose logarithm is taken.
Result<double> Positive(const JsonValue& scaling, std::string_view name) {
  SLM_ASSIGN_OR_RETURN(const double value, Number(scaling, name));
  if (value > 0) return value;
  return Invalid("\"%.*s\" = %g, expected more than 0",
                 static_cast<int>(name.size()), name.data(), value);
}

// theta^(2j/size) for j < size/2.
std::vector<float> Powers(double theta, int64_t size) {
  std::vector<float> powers;
  for (int64_t j = 0; j < size; j += 2) {
    const float exponent = static_cast<float>(j) / static_cast<float>(size);
    powers.push_back(static_cast<float>(
        std::pow(static_cast<double>(static_cast<float>(theta)), exponent)));
  }
  return powers;
}

std::vector<float> Plain(double theta, int64_t size) {
  std::vector<float> inverse = Powers(theta, size);
  for (float& v : inverse) v = 1.0f / v;
  return inverse;
}

// Angles of long wavelengths are divided by the factor, those of short ones
// kept, with a ramp between (Llama 3.1).
Result<Rope> Llama3(const RopeRequest& r) {
  SLM_ASSIGN_OR_RETURN(const double factor, Positive(*r.scaling, "factor"));
  SLM_ASSIGN_OR_RETURN(const double low,
                       Positive(*r.scaling, "low_freq_factor"));
  SLM_ASSIGN_OR_RETURN(const double high,
                       Positive(*r.scaling, "high_freq_factor"));
  SLM_ASSIGN_OR_RETURN(
      const double original,
      Positive(*r.scaling, "original_max_position_embeddings"));
  if (high <= low) {
    return Invalid("high_freq_factor = %g is not above low_freq_factor = %g",
                   high, low);
  }
  Rope rope;
  for (const float plain : Plain(r.theta, r.size)) {
    const double wavelength = 2 * kPi / plain;
    double inverse = plain;
    if (wavelength > original / low) {
      inverse = plain / factor;
    } else if (wavelength >= original / high) {
      const double t = (original / wavelength - low) / (high - low);
      inverse = (1 - t) * plain / factor + t * plain;
    }
    rope.table.inverse.push_back(static_cast<float>(inverse));
  }
  return rope;
}

double YarnMagnitude(double scale, double mscale) {
  return scale <= 1 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0;
}

// The index of the angle that turns `rotations` times in `original` positions.
double YarnIndex(const RopeRequest& r, double rotations, double original) {
  return static_cast<double>(r.size) *
         std::log(original / (rotations * 2 * kPi)) / (2 * std::log(r.theta));
}

Result<Rope> Yarn(const RopeRequest& r) {
  const JsonValue& s = *r.scaling;
  SLM_ASSIGN_OR_RETURN(const double factor, Positive(s, "factor"));
  SLM_ASSIGN_OR_RETURN(double original,
                       Number(s, "original_max_position_embeddings", 0));
  if (original <= 0) original = static_cast<double>(r.context);
  // 0 counts as not given, as in transformers' `get(...) or 32`.
  SLM_ASSIGN_OR_RETURN(double fast, Number(s, "beta_fast", 32));
  SLM_ASSIGN_OR_RETURN(double slow, Number(s, "beta_slow", 1));
  fast = fast > 0 ? fast : 32;
  slow = slow > 0 ? slow : 1;
  SLM_ASSIGN_OR_RETURN(const bool truncate, BoolField(s, "truncate", true));
  SLM_ASSIGN_OR_RETURN(const double mscale, Number(s, "mscale", 0));
  SLM_ASSIGN_OR_RETURN(const double all_dim, Number(s, "mscale_all_dim", 0));
  const double implied =
      mscale != 0 && all_dim != 0
          ? YarnMagnitude(factor, mscale) / YarnMagnitude(factor, all_dim)
          : YarnMagnitude(factor, 1);
  Rope rope;
  SLM_ASSIGN_OR_RETURN(rope.table.magnitude,
                       Number(s, "attention_factor", implied));
  double low = YarnIndex(r, fast, original);
  double high = YarnIndex(r, slow, original);
  if (truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(r.size - 1));
  if (low == high) high += 0.001;
  const std::vector<float> powers = Powers(r.theta, r.size);
  for (size_t j = 0; j < powers.size(); ++j) {
    const double ramp =
        std::clamp((static_cast<double>(j) - low) / (high - low), 0.0, 1.0);
    rope.table.inverse.push_back(static_cast<float>(
        ramp / (factor * powers[j]) + (1 - ramp) / powers[j]));
  }
  return rope;
}

Result<std::vector<float>> LongInverse(const RopeRequest& r,
                                       std::string_view name) {
  SLM_ASSIGN_OR_RETURN(const JsonValue* list, ArrayField(*r.scaling, name));
  std::vector<float> inverse = Powers(r.theta, r.size);
  if (list->Items().size() != inverse.size()) {
    return Invalid("\"%.*s\" has %zu values, half the rotary size is %zu",
                   static_cast<int>(name.size()), name.data(),
                   list->Items().size(), inverse.size());
  }
  for (size_t j = 0; j < inverse.size(); ++j) {
    const JsonValue& item = list->Items()[j];
    if (!item.IsNumber() || !(item.Double() > 0)) {
      return WrongField(name, &item, "numbers above 0");
    }
    inverse[j] = 1.0f / (static_cast<float>(item.Double()) * inverse[j]);
  }
  return inverse;
}

Result<Rope> LongRope(const RopeRequest& r) {
  SLM_ASSIGN_OR_RETURN(
      const double inner,
      Number(*r.scaling, "original_max_position_embeddings", 0));
  const double original = r.original_context > 0
                              ? static_cast<double>(r.original_context)
                          : inner > 0 ? inner
                                      : static_cast<double>(r.context);
  SLM_ASSIGN_OR_RETURN(const double given, Number(*r.scaling, "factor", 1));
  const double factor = r.original_context > 0 || inner > 0
                            ? static_cast<double>(r.context) / original
                            : given;
  const double implied =
      factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(original));
  SLM_ASSIGN_OR_RETURN(const double magnitude,
                       Number(*r.scaling, "attention_factor", implied));
  for (const char* name : {"short_mscale", "long_mscale"}) {
    SLM_ASSIGN_OR_RETURN(const double mscale, Number(*r.scaling, name, 0));
    if (mscale > 0) {
      return Invalid("\"%s\" = %g is not supported", name, mscale);
    }
  }
  Rope rope;
  SLM_ASSIGN_OR_RETURN(rope.table.inverse, LongInverse(r, "short_factor"));
  rope.table.magnitude = magnitude;
  rope.table.length =
      std::min<int64_t>(static_cast<int64_t>(original), r.context);
  RopeTable other;
  SLM_ASSIGN_OR_RETURN(other.inverse, LongInverse(r, "long_factor"));
  other.magnitude = magnitude;
  other.length = r.context;
  if (r.context > rope.table.length) rope.long_table = std::move(other);
  return rope;
}

Result<Rope> Linear(const RopeRequest& r) {
  SLM_ASSIGN_OR_RETURN(const double factor, Positive(*r.scaling, "factor"));
  Rope rope;
  rope.table.inverse = Plain(r.theta, r.size);
  for (float& v : rope.table.inverse) v /= static_cast<float>(factor);
  return rope;
}

// theta grows with the length beyond max_position_embeddings only, and a
// graph's context ends there: the plain table.
Result<Rope> Dynamic(const RopeRequest& r) {
  SLM_ASSIGN_OR_RETURN(const double factor, Positive(*r.scaling, "factor"));
  Rope rope;
  rope.table.inverse = Plain(r.theta, r.size);
  rope.note = Format(
      "rope_scaling: dynamic (factor %g) changes nothing up to "
      "max_position_embeddings = %lld, which is the context",
      factor, static_cast<long long>(r.context));
  return rope;
}

Result<Rope> Default(const RopeRequest& r) {
  Rope rope;
  rope.table.inverse = Plain(r.theta, r.size);
  return rope;
}

struct TypeRow {
  const char* name;
  Result<Rope> (*read)(const RopeRequest&);
};

constexpr TypeRow kTypes[] = {
    {"default", Default}, {"dynamic", Dynamic},   {"linear", Linear},
    {"llama3", Llama3},   {"longrope", LongRope}, {"su", LongRope},
    {"yarn", Yarn},
};

}  // namespace

std::vector<float> RopeTable::Rows(bool cosine, int64_t first,
                                   int64_t count) const {
  std::vector<float> values;
  values.reserve(static_cast<size_t>(count) * inverse.size());
  for (int64_t position = first; position < first + count; ++position) {
    for (const float step : inverse) {
      // A float32 angle, as in transformers.
      const float rounded = static_cast<float>(position) * step;
      const double angle = rounded;
      values.push_back(static_cast<float>(
          (cosine ? std::cos(angle) : std::sin(angle)) * magnitude));
    }
  }
  return values;
}

Result<Rope> ReadRope(const RopeRequest& request) {
  // 2^27 values are a table of 512 MB for a context of two million tokens.
  if (request.context > (int64_t{1} << 27) / request.size) {
    return Invalid(
        "max_position_embeddings = %lld with a rotary size of %lld: "
        "the table of cosines would have more than 512 MB",
        static_cast<long long>(request.context),
        static_cast<long long>(request.size));
  }
  std::string_view type = "default";
  if (request.scaling) {
    if (!request.scaling->IsObject()) {
      return WrongField("rope_scaling", request.scaling, "object");
    }
    const JsonValue* named = FindField(*request.scaling, "rope_type");
    if (!named) named = FindField(*request.scaling, "type");
    if (!named || !named->IsString()) {
      return WrongField("rope_scaling.rope_type", named, "string");
    }
    type = named->String();
    // Phi-3's first files call longrope yarn.
    if (type == "yarn" && FindField(*request.scaling, "long_factor")) {
      type = "longrope";
    }
  }
  for (const TypeRow& row : kTypes) {
    if (type != row.name) continue;
    Result<Rope> rope = row.read(request);
    if (!rope.ok()) return rope.status().In("rope_scaling");
    if (rope->table.length == 0) rope->table.length = request.context;
    return rope;
  }
  return Invalid("rope_scaling: type \"%s\" is not supported",
                 Printable(type).c_str());
}

}  // namespace slm::convert
