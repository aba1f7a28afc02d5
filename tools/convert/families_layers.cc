// SPDX-License-Identifier: MIT
// What config.json says about single layers: windows and ropes.
#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "loader/json_fields.h"
#include "tools/convert/family.h"

namespace slm::convert {
namespace {

// Per layer: does it slide?
Result<std::vector<bool>> SlidingLayers(const JsonValue& root,
                                        const Family& family,
                                        const ModelConfig& config) {
  const size_t layers = static_cast<size_t>(config.decoder.num_hidden_layers);
  std::vector<bool> slides(layers, false);
  const std::vector<std::string>& types = config.decoder.layer_types;
  if (!types.empty()) {
    if (types.size() != layers) {
      return Invalid("layer_types has %zu entries, num_hidden_layers = %zu",
                     types.size(), layers);
    }
    for (size_t i = 0; i < layers; ++i) {
      slides[i] = types[i] == "sliding_attention";
      if (!slides[i] && types[i] != "full_attention") {
        return Invalid("layer_types: \"%s\" is not supported",
                       Printable(types[i]).c_str());
      }
    }
    return slides;
  }
  if (family.full_every > 0) {
    double every = static_cast<double>(family.full_every);
    for (const char* key :
         {"_sliding_window_pattern", "sliding_window_pattern"}) {
      SLM_ASSIGN_OR_RETURN(every, PositiveOr(root, key, every));
    }
    for (size_t i = 0; i < layers; ++i) {
      slides[i] = (i + 1) % static_cast<size_t>(std::max(1.0, every)) != 0;
    }
    return slides;
  }
  SLM_ASSIGN_OR_RETURN(const bool use,
                       BoolField(root, "use_sliding_window", false));
  if (!use) return slides;
  if (family.no_rope_layers) return slides;  // decided with the ropes
  SLM_ASSIGN_OR_RETURN(const double first,
                       NumberOr(root, "max_window_layers", 28));
  for (size_t i = 0; i < layers; ++i) {
    slides[i] = static_cast<double>(i) >= first;
  }
  return slides;
}

// transformers 5 keeps theta beside the scaling, for Gemma 3 one object for
// each layer type.
struct RopeFields {
  const JsonValue* scaling = nullptr;
  double theta = 0;
};

Result<RopeFields> RopeFieldsOf(const JsonValue& root, const char* layer_type,
                                double theta) {
  RopeFields fields;
  SLM_ASSIGN_OR_RETURN(fields.theta, PositiveOr(root, "rope_theta", theta));
  fields.scaling = FindField(root, "rope_scaling");
  const JsonValue* parameters = FindField(root, "rope_parameters");
  if (!parameters) return fields;
  if (const JsonValue* own = FindField(*parameters, layer_type)) {
    parameters = own;
  }
  if (!parameters->IsObject()) {
    return WrongField("rope_parameters", parameters, "object");
  }
  SLM_ASSIGN_OR_RETURN(fields.theta,
                       PositiveOr(*parameters, "rope_theta", fields.theta));
  if (FindField(*parameters, "rope_type")) fields.scaling = parameters;
  return fields;
}

// The rotated part of a head.
Result<int64_t> RotarySize(const JsonValue& root, const Family& family,
                           int64_t head_size) {
  double partial = family.partial > 0 ? family.partial : 1;
  if (const JsonValue* p = FindField(root, "rope_parameters")) {
    SLM_ASSIGN_OR_RETURN(partial,
                         PositiveOr(*p, "partial_rotary_factor", partial));
  }
  SLM_ASSIGN_OR_RETURN(partial,
                       PositiveOr(root, "partial_rotary_factor", partial));
  if (partial != 1 && family.partial == 0) {
    return Invalid("partial_rotary_factor = %g is not supported for %s",
                   partial, std::string(family.hf_class).c_str());
  }
  const auto size =
      static_cast<int64_t>(static_cast<double>(head_size) * partial);
  if (partial > 1 || size < 2 || size % 2 != 0) {
    return Invalid(
        "partial_rotary_factor = %g of a head of %lld: the rotary "
        "size must be even and at least 2",
        partial, static_cast<long long>(head_size));
  }
  return size;
}

}  // namespace

Result<double> NumberOr(const JsonValue& root, std::string_view name,
                        double fallback) {
  const JsonValue* value = FindField(root, name);
  if (!value) return fallback;
  if (!value->IsNumber() || !std::isfinite(value->Double())) {
    return WrongField(name, value, "number");
  }
  return value->Double();
}

Result<double> PositiveOr(const JsonValue& root, std::string_view name,
                          double fallback) {
  SLM_ASSIGN_OR_RETURN(const double value, NumberOr(root, name, fallback));
  if (value > 0) return value;
  return Invalid("%.*s = %g, expected more than 0",
                 static_cast<int>(name.size()), name.data(), value);
}

Status ReadWindows(const JsonValue& root, const Family& family,
                   const ModelConfig& config, DecoderSpec* spec) {
  spec->layers.resize(static_cast<size_t>(config.decoder.num_hidden_layers));
  const JsonValue* given = root.Find("sliding_window");
  if (family.windows == Windows::kNone) {
    if (given && !given->IsNull()) {
      return Invalid("sliding_window is not supported for %s",
                     spec->hf_class.c_str());
    }
    return OkStatus();
  }
  SLM_ASSIGN_OR_RETURN(
      const double window,
      NumberOr(root, "sliding_window", given ? 0 : family.sliding_window));
  if (window < 0 || window > static_cast<double>(kMaxContext) ||
      window != std::floor(window)) {
    return Invalid("sliding_window = %g, expected a whole number", window);
  }
  std::vector<bool> slides(spec->layers.size(), window > 0);
  if (family.windows == Windows::kByTypes) {
    SLM_ASSIGN_OR_RETURN(slides, SlidingLayers(root, family, config));
  }
  for (size_t i = 0; i < slides.size(); ++i) {
    if (!slides[i]) continue;
    if (window == 0) {
      return Invalid("layer %zu slides, but sliding_window is null", i);
    }
    spec->layers[i].window = static_cast<int64_t>(window);
    spec->has_windows = true;
  }
  return OkStatus();
}

Status ReadRopes(const JsonValue& root, const Family& family,
                 DecoderSpec* spec) {
  RopeRequest request;
  request.context = spec->context;
  SLM_ASSIGN_OR_RETURN(request.size, RotarySize(root, family, spec->head_size));
  // Phi-3's class alone has a default.
  SLM_ASSIGN_OR_RETURN(const double original,
                       NumberOr(root, "original_max_position_embeddings",
                                family.fused ? 4096 : 0));
  request.original_context = static_cast<int64_t>(
      std::clamp(original, 0.0, static_cast<double>(kMaxContext)));
  double theta = family.theta;
  if (family.short_conv) {  // LFM2's own key in older files
    SLM_ASSIGN_OR_RETURN(theta, PositiveOr(root, "theta", theta));
  }
  SLM_ASSIGN_OR_RETURN(RopeFields fields,
                       RopeFieldsOf(root, "full_attention", theta));
  request.scaling = fields.scaling;
  request.theta = fields.theta;
  SLM_ASSIGN_OR_RETURN(Rope rope, ReadRope(request));
  if (!rope.note.empty()) spec->notes.push_back(rope.note);
  spec->ropes.push_back(std::move(rope));
  spec->rope_names = {""};
  if (!family.local_rope) return OkStatus();
  // Gemma 3: scaling is for the global layers alone.
  SLM_ASSIGN_OR_RETURN(const double local,
                       PositiveOr(root, "rope_local_base_freq", 10000));
  fields = {};
  if (const JsonValue* p = FindField(root, "rope_parameters");
      p && FindField(*p, "sliding_attention")) {
    SLM_ASSIGN_OR_RETURN(fields,
                         RopeFieldsOf(root, "sliding_attention", local));
  } else {
    fields.theta = local;
  }
  request.scaling = fields.scaling;
  request.theta = fields.theta;
  SLM_ASSIGN_OR_RETURN(rope, ReadRope(request));
  spec->ropes.push_back(std::move(rope));
  spec->rope_names = {"_global", "_local"};
  for (LayerSpec& layer : spec->layers) layer.rope = layer.window > 0 ? 1 : 0;
  return OkStatus();
}

// SmolLM3: 1 has a rope, 0 has none.
Status ReadNoRopeLayers(const JsonValue& root, const ModelConfig& config,
                        DecoderSpec* spec) {
  const JsonValue* list = FindField(root, "no_rope_layers");
  SLM_ASSIGN_OR_RETURN(const double interval,
                       PositiveOr(root, "no_rope_layer_interval", 4));
  if (list &&
      (!list->IsArray() || list->Items().size() != spec->layers.size())) {
    return Invalid("no_rope_layers: expected a list of %zu entries",
                   spec->layers.size());
  }
  SLM_ASSIGN_OR_RETURN(const bool use,
                       BoolField(root, "use_sliding_window", false));
  SLM_ASSIGN_OR_RETURN(const double window,
                       NumberOr(root, "sliding_window", 0));
  for (size_t i = 0; i < spec->layers.size(); ++i) {
    bool rope = (i + 1) % static_cast<size_t>(std::max(1.0, interval)) != 0;
    if (list) {
      const JsonValue& item = list->Items()[i];
      if (!item.IsInt() && !item.IsBool()) {
        return WrongField("no_rope_layers", &item, "integers");
      }
      rope = item.IsBool() ? item.Bool() : item.Int() != 0;
    }
    if (rope) continue;
    spec->layers[i].rope = -1;
    if (use && window > 0 && config.decoder.layer_types.empty()) {
      spec->layers[i].window = static_cast<int64_t>(window);
      spec->has_windows = true;
    }
  }
  return OkStatus();
}

}  // namespace slm::convert
