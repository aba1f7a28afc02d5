// SPDX-License-Identifier: MIT
// Rows of AttentionOps() that files of their own define.
#ifndef SLM_OPS_ATTENTION_TABLES_H_
#define SLM_OPS_ATTENTION_TABLES_H_

#include "ops/op.h"

namespace slm {

extern const OpDef kBoundGroupQueryAttention;  // attention_paged.cc
extern const OpDef kGroupQueryAttention;       // attention_gqa.cc
extern const OpDef kMultiHeadAttention;        // attention_mha.cc
extern const OpDef kAttention;                 // attention.cc

}  // namespace slm

#endif  // SLM_OPS_ATTENTION_TABLES_H_
