// SPDX-License-Identifier: MIT
// Activation functions over rows of floats.
#ifndef SLM_OPS_KERNELS_ACTIVATION_H_
#define SLM_OPS_KERNELS_ACTIVATION_H_

#include <cstddef>

namespace slm {

// Errors against the exact function, in units in the last place of the result
// (for the gelus and swish: of x, as their results vanish for x < 0), for
// results above 2^-126; bounds that tests/kernels/activation_test.cc checks.
enum class Activation {
  kExp,       // e^x                                          1.5 ulp
  kSigmoid,   // 1 / (1 + e^-x)                               3 ulp
  kTanh,      // tanh x                                       3 ulp
  kErf,       // 2 / sqrt(pi) integral 0..x of e^-t^2         2 ulp
  kGelu,      // x Phi(x) = x / 2 (1 + erf(x / sqrt 2))       3 ulp of x
  kGeluTanh,  // x / 2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))  3 ulp of x
  kSwish,     // x sigmoid(alpha x)                           3 ulp of x
};

// out[i] = f(x[i]) for i in [0, n); alpha is kSwish's. out may be x.
void Activate(Activation f, float alpha, const float* x, float* out, size_t n);

// Rows of floats, by strides in floats. out may be x or up.
struct ActivationTile {
  const float* x = nullptr;
  const float* up = nullptr;  // or null
  size_t stride = 0;          // of x and up
  float* out = nullptr;
  size_t out_stride = 0;
  size_t rows = 0, columns = 0;
};

// out [rows, columns] = f(x) * up, without `up` f(x); the bits of Activate
// followed by a product.
void ActivateTile(Activation f, float alpha, const ActivationTile& tile);

// One value in double: the oracle of the above, and the path of float64.
double ActivateScalar(Activation f, double alpha, double x);

}  // namespace slm

#endif  // SLM_OPS_KERNELS_ACTIVATION_H_
