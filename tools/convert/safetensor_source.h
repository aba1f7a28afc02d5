// SPDX-License-Identifier: MIT
// Tensors of safetensors files as they stand there, but those that are no
// matrices: taps of convolutions and gpt-oss's experts become some.
#ifndef SLM_TOOLS_CONVERT_SAFETENSOR_SOURCE_H_
#define SLM_TOOLS_CONVERT_SAFETENSOR_SOURCE_H_

#include "loader/safetensors.h"
#include "tools/convert/experts.h"
#include "tools/convert/tensors.h"

namespace slm::convert {

class SafeTensorSource : public TensorSource {
 public:
  explicit SafeTensorSource(SafeTensors file);

  void ReadRows(std::string_view name, int64_t first, int64_t rows,
                float* out) const override;
  void Release(std::string_view name, int64_t first,
               int64_t rows) const override;
  bool SameBytes(std::string_view a, std::string_view b) const override;

 protected:
  const SafeTensors& file() const { return file_; }

 private:
  SafeTensors file_;
  ExpertViews experts_;
};

}  // namespace slm::convert

#endif  // SLM_TOOLS_CONVERT_SAFETENSOR_SOURCE_H_
