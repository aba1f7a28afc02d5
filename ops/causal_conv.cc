// SPDX-License-Identifier: MIT
// com.microsoft CausalConvWithState: a depthwise causal convolution over time
// with the last inputs carried as a tensor. With u = [past_state, input] along
// time and L = (taps - 1) * dilation columns of past:
//   y[t] = act(bias + sum_j w[j] * u[t + j * dilation]),  present = last L of u
#include <algorithm>

#include "ops/families.h"
#include "ops/kernels/activation.h"

namespace slm {
namespace {

struct CausalParams {
  size_t dilation = 1;
  bool channels_last = false;
  bool silu = false;
};

Result<OpParams> ParseCausal(AttributeReader& a) {
  CausalParams p;
  a.CheckArity(2, 4, 2);
  a.OnlyInt("ndim", 1);
  a.OnlyInt("state_window", 0);
  const int64_t dilation = a.Int("dilation", 1);
  a.FailUnless(dilation >= 1 && dilation <= (1 << 20),
               Format("dilation = %lld, supported: 1 to 2^20",
                      static_cast<long long>(dilation)));
  p.dilation = static_cast<size_t>(std::max<int64_t>(dilation, 1));
  const int64_t last = a.Int("channels_last", 0);
  a.FailUnless(last == 0 || last == 1,
               Format("channels_last = %lld, supported: 0, 1",
                      static_cast<long long>(last)));
  p.channels_last = last == 1;
  const std::string act = a.String("activation", "none");
  p.silu = act == "silu" || act == "swish";
  a.FailUnless(
      p.silu || act == "none",
      Format("activation \"%s\" is not supported", Printable(act).c_str()));
  SLM_RETURN_IF_ERROR(a.Finish());
  return MakeParams(p);
}

struct CausalShape {
  size_t batch = 0, channels = 0, tokens = 0, taps = 0, past = 0;
  // Floats from channel to channel and from token to token, input and state.
  size_t channel_step = 0, token_step = 0, state_channel_step = 0;
  Shape state;
};

Result<CausalShape> MakeCausalShape(const OpContext& c) {
  const auto& p = c.Params<CausalParams>();
  const Shape& x = c.In(0).shape;
  const Shape& w = c.In(1).shape;
  if (x.rank() < 3 || (x.rank() > 3 && !p.channels_last) || w.rank() != 3 ||
      w[1] != 1 || w[2] < 1) {
    return Invalid(
        "input %s and weight %s: expected [B, C, T] (or [B, T, "
        "C...]) and [C, 1, taps]",
        x.ToString().c_str(), w.ToString().c_str());
  }
  CausalShape s;
  s.batch = static_cast<size_t>(x[0]);
  s.tokens = static_cast<size_t>(x[p.channels_last ? 1 : 2]);
  s.channels =
      p.channels_last ? x.CountOf(2, x.rank()) : static_cast<size_t>(x[1]);
  s.taps = static_cast<size_t>(w[2]);
  if (w[0] != static_cast<int64_t>(s.channels)) {
    return Invalid("input %s has %zu channels, weight %s has %lld",
                   x.ToString().c_str(), s.channels, w.ToString().c_str(),
                   static_cast<long long>(w[0]));
  }
  const auto past = CheckedMul(s.taps - 1, p.dilation);
  if (!past || *past > (size_t{1} << 40)) {
    return Invalid("weight %s with dilation %zu is too large",
                   w.ToString().c_str(), p.dilation);
  }
  s.past = *past;
  s.channel_step = p.channels_last ? 1 : s.tokens;
  s.token_step = p.channels_last ? s.channels : 1;
  s.state_channel_step = p.channels_last ? 1 : s.past;
  Shape state = x;
  state[p.channels_last ? 1 : 2] = static_cast<int64_t>(s.past);
  const auto checked = Shape::Make(state.dims());
  if (!checked) {
    return Invalid("state %s is too large", state.ToString().c_str());
  }
  s.state = *checked;
  return s;
}

Status InferCausal(OpContext& c) {
  for (size_t i = 0; i < c.input_count(); ++i) {
    if (c.HasInput(i) && c.In(i).dtype != DType::kF32) {
      return Invalid("input %zu has type %s, supported: float", i,
                     Name(c.In(i).dtype));
    }
  }
  SLM_ASSIGN_OR_RETURN(const CausalShape s, MakeCausalShape(c));
  if (c.HasInput(2) && c.In(2).shape.Count() != s.channels) {
    return Invalid("bias is %s, expected [%zu]",
                   c.In(2).shape.ToString().c_str(), s.channels);
  }
  if (c.HasInput(3) && !(c.In(3).shape == s.state)) {
    return Invalid("past_state is %s, expected %s",
                   c.In(3).shape.ToString().c_str(),
                   s.state.ToString().c_str());
  }
  c.SetOutput(0, DType::kF32, c.In(0).shape);
  if (c.Wants(1)) c.SetOutput(1, DType::kF32, s.state);
  return OkStatus();
}

// What a range of channels of one sequence reads and writes.
struct CausalCall {
  const CausalShape* s;
  const float* x;     // at channel 0
  const float* past;  // nullptr: zeros
  float* y;
  float* present;  // nullptr: not wanted

  // u at time t of channel c; t < past lies in the state.
  float Virtual(size_t c, size_t t) const {
    if (t >= s->past) {
      return x[c * s->channel_step + (t - s->past) * s->token_step];
    }
    return past ? past[c * s->state_channel_step + t * s->token_step] : 0.0f;
  }
};

void ConvolveChannels(const CausalCall& call, const CausalParams& p,
                      const float* weights, const float* bias, size_t begin,
                      size_t end) {
  const CausalShape& s = *call.s;
  for (size_t c = begin; c < end; ++c) {
    const float* w = weights + c * s.taps;
    float* y = call.y + c * s.channel_step;
    const float start = bias ? bias[c] : 0.0f;
    const size_t from_past = std::min(s.past, s.tokens);
    for (size_t t = 0; t < from_past; ++t) {
      float sum = start;
      for (size_t j = 0; j < s.taps; ++j) {
        sum += w[j] * call.Virtual(c, t + j * p.dilation);
      }
      y[t * s.token_step] = sum;
    }
    // From here on no tap reaches back into the state.
    const float* x = call.x + c * s.channel_step;
    const size_t tap_step = p.dilation * s.token_step;
    for (size_t t = from_past; t < s.tokens; ++t) {
      const float* u = x + (t - s.past) * s.token_step;
      float sum = start;
      for (size_t j = 0; j < s.taps; ++j) sum += w[j] * u[j * tap_step];
      y[t * s.token_step] = sum;
    }
    if (!call.present) continue;
    for (size_t t = 0; t < s.past; ++t) {
      call.present[c * s.state_channel_step + t * s.token_step] =
          call.Virtual(c, t + s.tokens);
    }
  }
}

// Contiguous pieces of the outputs of channels [begin, end).
void ActivateChannels(const CausalCall& call, const CausalParams& p,
                      size_t begin, size_t end) {
  const CausalShape& s = *call.s;
  if (!p.channels_last) {
    float* y = call.y + begin * s.tokens;
    Activate(Activation::kSwish, 1, y, y, (end - begin) * s.tokens);
    return;
  }
  for (size_t t = 0; t < s.tokens; ++t) {
    float* y = call.y + t * s.channels + begin;
    Activate(Activation::kSwish, 1, y, y, end - begin);
  }
}

void RunCausal(OpContext& c) {
  const auto& p = c.Params<CausalParams>();
  const auto made = MakeCausalShape(c);  // cannot fail: infer has made it
  const CausalShape& s = *made;
  const float* bias = c.HasInput(2) ? c.In(2).As<float>() : nullptr;
  const size_t state_size = s.channels * s.past;
  // About 2 ns a tap: 4 Ki of them are worth a thread.
  const size_t grain = 4096 / (s.tokens * s.taps + 1) + 1;
  for (size_t b = 0; b < s.batch; ++b) {
    const size_t at = b * s.channels * s.tokens;
    const CausalCall call{
        &s, c.In(0).As<float>() + at,
        c.HasInput(3) ? c.In(3).As<float>() + b * state_size : nullptr,
        c.Out(0).Mutable<float>() + at,
        c.Wants(1) ? c.Out(1).Mutable<float>() + b * state_size : nullptr};
    ParallelFor(
        *c.pool, s.channels, grain, [&](size_t begin, size_t end, size_t) {
          ConvolveChannels(call, p, c.In(1).As<float>(), bias, begin, end);
          if (p.silu) ActivateChannels(call, p, begin, end);
        });
  }
}

constexpr OpDef kOps[] = {
    {"com.microsoft", "CausalConvWithState", 1, kLatestOpset, ParseCausal,
     InferCausal, RunCausal, kNoTraits, 0},
};

}  // namespace

std::span<const OpDef> CausalConvOps() { return kOps; }

}  // namespace slm
