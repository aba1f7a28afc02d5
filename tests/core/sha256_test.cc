// SPDX-License-Identifier: MIT
#include "runtime/core/sha256.h"

#include "gtest/gtest.h"

namespace slm {
namespace {

std::string Hash(std::string_view text, bool allow_instructions = true) {
  Sha256 sha(allow_instructions);
  sha.Add(text);
  return sha.Finish();
}

// From FIPS 180-4's examples.
TEST(Sha256Test, KnownAnswersWithInstructionsAndWithout) {
  for (const bool allow : {true, false}) {
    EXPECT_EQ(
        Hash("", allow),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    EXPECT_EQ(
        Hash("abc", allow),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    EXPECT_EQ(
        Hash("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", allow),
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    EXPECT_EQ(
        Hash(std::string(1000000, 'a'), allow),
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  }
}

TEST(Sha256Test, PiecesGiveTheHashOfTheWhole) {
  const std::string text(1000, 'x');
  for (const size_t piece : {1, 63, 64, 65, 200}) {
    Sha256 sha;
    for (size_t i = 0; i < text.size(); i += piece) {
      sha.Add(std::string_view(text).substr(i, piece));
    }
    EXPECT_EQ(sha.Finish(), Hash(text)) << piece;
  }
}

}  // namespace
}  // namespace slm
