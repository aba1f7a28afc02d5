// SPDX-License-Identifier: MIT
#include "tools/inspect/npy.h"

#include <bit>

#include "runtime/core/file.h"

namespace slm::inspect {

Status WriteNpy(const std::string& path, std::span<const float> values,
                size_t columns) {
  static_assert(std::endian::native == std::endian::little);
  std::string header =
      Format("{'descr': '<f4', 'fortran_order': False, 'shape': (%zu, %zu), }",
             columns ? values.size() / columns : 0, columns);
  // Magic, version and length take 10 bytes; the data starts at a multiple
  // of 64, the header ends with a newline.
  while ((10 + header.size() + 1) % 64) header += ' ';
  header += '\n';
  std::string content("\x93NUMPY\x01\x00", 8);
  content += static_cast<char>(header.size() & 0xFF);
  content += static_cast<char>(header.size() >> 8);
  content += header;
  content.append(reinterpret_cast<const char*>(values.data()),
                 values.size_bytes());
  return WriteFileAtomic(path, content);
}

}  // namespace slm::inspect
