// SPDX-License-Identifier: MIT
#include "tools/convert/file_hash.h"

#include <string_view>

#include "runtime/core/memory.h"
#include "runtime/core/sha256.h"

namespace slm::convert {

Result<std::string> HashFile(const std::string& path, uint64_t* bytes) {
  SLM_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  *bytes = file.size();
  Sha256 sha;
  // In pieces that leave memory behind them.
  constexpr size_t kPiece = size_t{16} << 20;
  for (size_t at = 0; at < file.size(); at += kPiece) {
    const std::string_view piece = file.view().substr(at, kPiece);
    sha.Add(piece);
    file.Release(piece);
  }
  return sha.Finish();
}

}  // namespace slm::convert
