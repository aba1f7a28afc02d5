// SPDX-License-Identifier: MIT
// The instructions of AMX in software, for machines without them: what raises
// an invalid opcode there is decoded and done by a handler of SIGILL.
#ifndef SLM_TESTS_QUANT_AMX_EMULATOR_H_
#define SLM_TESTS_QUANT_AMX_EMULATOR_H_

namespace slm {

// Whether kernels for tiles can run here that way: x86-64 Linux, and AVX3_DL
// for what they do beside the tiles.
bool CanEmulateAmx();

// While one lives, "AMX" is a usable target: by the CPU if it has it, or else
// emulated. A use that the architecture forbids ends the program and says why.
class AmxForTest {
 public:
  AmxForTest();
  ~AmxForTest();
  AmxForTest(const AmxForTest&) = delete;
  AmxForTest& operator=(const AmxForTest&) = delete;

 private:
  bool was_there_, emulated_;
};

}  // namespace slm

#endif  // SLM_TESTS_QUANT_AMX_EMULATOR_H_
