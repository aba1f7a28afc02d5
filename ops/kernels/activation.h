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

// out [rows, columns] = f(gate) * up, with row strides in floats; the bits of
// Activate followed by a product.
void ActivateGate(Activation f, float alpha, const float* gate, const float* up,
                  size_t stride, size_t rows, size_t columns, float* out,
                  size_t out_stride);

// One value in double: the oracle of the above, and the path of float64.
double ActivateScalar(Activation f, double alpha, double x);

}  // namespace slm

#endif  // SLM_OPS_KERNELS_ACTIVATION_H_
