// SPDX-License-Identifier: MIT
// The proof that lets a graph run ragged batches: every activation is a row of
// equal blocks, one a token, and no operator looks across blocks except those
// that read the batch's list of sequences.
#ifndef SLM_RUNTIME_PLAN_ROWS_H_
#define SLM_RUNTIME_PLAN_ROWS_H_

#include <string>
#include <vector>

#include "runtime/core/result.h"
#include "runtime/plan/plan.h"

namespace slm {

// Shapes of all values of a plan whose token inputs are [1, tokens]; dry.
// `token_inputs` are fed with that shape, `row_selection` (if any) with
// [tokens].
Result<std::vector<Shape>> ShapesFor(const Plan& plan,
                                     const std::vector<ValueId>& token_inputs,
                                     int64_t tokens);

// Peak bytes of activations and scratch for that many new tokens with logits
// of the last one; dry.
Result<size_t> ActivationBytesFor(const Plan& plan,
                                  const std::vector<ValueId>& token_inputs,
                                  int64_t tokens);

// Empty if the plan is row-wise, else the reason why it is not. Works on the
// shapes for two numbers of tokens: the axis that differs is the token axis.
Result<std::string> WhyNotRowwise(const Plan& plan,
                                  const std::vector<ValueId>& token_inputs);

}  // namespace slm

#endif  // SLM_RUNTIME_PLAN_ROWS_H_
