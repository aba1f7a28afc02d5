// SPDX-License-Identifier: MIT
// Semantics: Intel SDM vol. 2, LDTILECFG, STTILECFG, TILELOADD, TILERELEASE,
// TILESTORED, TILEZERO, TDPBSSD to TDPBUUD; encodings likewise.
#include "tests/quant/amx_emulator.h"

#include <algorithm>
#include <vector>

#include "runtime/core/amx.h"
#include "runtime/core/check.h"
#include "runtime/core/cpu.h"

#if SLM_HAVE_AMX
#include <signal.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstring>
#endif

namespace slm {

bool CanEmulateAmx() {
  const std::vector<std::string> usable = UsableTargets();
  return SLM_HAVE_AMX &&
         std::count(usable.begin(), usable.end(), "AVX3_DL") != 0;
}

#if SLM_HAVE_AMX

namespace {

constexpr size_t kTiles = 8;

// Of a thread, as the registers are.
struct TileState {
  AmxConfig config = {.palette = 0};
  uint8_t data[kTiles][kAmxRows][kAmxRowBytes] = {};
};
thread_local TileState state;

[[noreturn]] void Refuse(const char* why) {
  constexpr char kPrefix[] = "AMX emulator: ";
  (void)!write(2, kPrefix, sizeof kPrefix - 1);
  (void)!write(2, why, std::strlen(why));
  (void)!write(2, "\n", 1);
  _exit(1);
}

void Check(bool right, const char* what) {
  if (!right) Refuse(what);
}

// A VEX prefix of three bytes, opcode and ModRM.
struct Instruction {
  const uint8_t* code;
  bool Matches() const {
    // 0F38, W0, 128 bits; B, X and R, inverted, are read where they count.
    return code[0] == 0xC4 && (code[1] & 0x1F) == 2 && (code[2] & 0x84) == 0;
  }
  // R is bit 7, X 6, B 5.
  bool Extends(int bit) const { return !(code[1] >> bit & 1); }
  int prefix() const { return code[2] & 3; }  // of enum Prefix
  int vvvv() const { return ~code[2] >> 3 & 15; }
  int opcode() const { return code[3]; }
  int mod() const { return code[4] >> 6; }
  int reg() const { return code[4] >> 3 & 7; }
  int rm() const { return code[4] & 7; }
};

enum Prefix { kNone, k66, kF3, kF2 };

// Its operand in memory and its length.
struct Operand {
  uint8_t* base;
  int64_t stride;
  size_t length;
};

int64_t Register(const ucontext_t& context, int number) {
  constexpr int kPlaces[] = {
      REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
      REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return context.uc_mcontext.gregs[kPlaces[number]];
}

Operand Address(const Instruction& i, const ucontext_t& context) {
  Operand o = {nullptr, 0, 5};
  int64_t base = 0;
  bool based = true;
  int number = i.rm();
  if (i.rm() == 4) {
    const uint8_t sib = i.code[o.length++];
    const int index = (sib >> 3 & 7) + (i.Extends(6) ? 8 : 0);
    if (index != 4) o.stride = Register(context, index) << (sib >> 6);
    number = sib & 7;
    based = number != 5 || i.mod() != 0;
  } else {
    Check(i.rm() != 5 || i.mod() != 0 || i.opcode() == 0x49,
          "a tile is addressed without a SIB byte");
  }
  int32_t displacement = 0;
  if (i.mod() == 1) {
    displacement = static_cast<int8_t>(i.code[o.length++]);
  } else if (i.mod() == 2 || !based || (i.rm() == 5 && i.mod() == 0)) {
    std::memcpy(&displacement, i.code + o.length, sizeof displacement);
    o.length += sizeof displacement;
  }
  if (i.rm() == 5 && i.mod() == 0) {  // relative to the next instruction
    base = reinterpret_cast<int64_t>(i.code + o.length);
  } else if (based) {
    base = Register(context, number + (i.Extends(5) ? 8 : 0));
  }
  o.base = reinterpret_cast<uint8_t*>(base + displacement);
  return o;
}

void LoadConfig(const uint8_t* from) {
  AmxConfig c;
  std::memcpy(&c, from, sizeof c);
  if (c.palette != 0) {
    Check(c.palette == 1 && c.start_row == 0, "palette or start row");
    for (uint8_t byte : c.reserved) Check(byte == 0, "reserved bytes are set");
    for (size_t t = 0; t < 16; ++t) {
      const bool empty = c.rows[t] == 0 && c.row_bytes[t] == 0;
      Check(empty || t < kTiles, "more tiles than there are");
      Check(empty || (c.rows[t] != 0 && c.row_bytes[t] != 0),
            "a tile has rows or bytes only");
      Check(c.rows[t] <= kAmxRows && c.row_bytes[t] <= kAmxRowBytes,
            "a tile is too large");
    }
  }
  state = {.config = c};
}

size_t RowsOf(int tile) {
  Check(state.config.palette == 1 && state.config.rows[tile] != 0,
        "a tile is used that is not configured");
  return state.config.rows[tile];
}

void Load(int tile, const Operand& from) {
  const size_t rows = RowsOf(tile);
  std::memset(state.data[tile], 0, sizeof state.data[tile]);
  for (size_t r = 0; r < rows; ++r) {
    std::memcpy(state.data[tile][r],
                from.base + static_cast<int64_t>(r) * from.stride,
                state.config.row_bytes[tile]);
  }
}

void Store(int tile, const Operand& to) {
  const size_t rows = RowsOf(tile);
  for (size_t r = 0; r < rows; ++r) {
    std::memcpy(to.base + static_cast<int64_t>(r) * to.stride,
                state.data[tile][r], state.config.row_bytes[tile]);
  }
}

int Widen(uint8_t byte, bool is_signed) {
  return is_signed ? static_cast<int8_t>(byte) : byte;
}

void Multiply(int to, int a, int b, bool a_signed, bool b_signed) {
  Check(to != a && to != b && a != b, "a tile is two operands of a product");
  const AmxConfig& c = state.config;
  const size_t rows = RowsOf(to), words = c.row_bytes[a] / 4;
  Check(RowsOf(a) == rows && RowsOf(b) == words &&
            c.row_bytes[b] == c.row_bytes[to] && c.row_bytes[a] % 4 == 0 &&
            c.row_bytes[to] % 4 == 0,
        "shapes of a product do not fit");
  uint8_t result[kAmxRows][kAmxRowBytes] = {};
  for (size_t m = 0; m < rows; ++m) {
    for (size_t n = 0; n < c.row_bytes[to]; n += 4) {
      uint32_t sum;
      std::memcpy(&sum, state.data[to][m] + n, sizeof sum);
      for (size_t k = 0; k < 4 * words; ++k) {
        const int product = Widen(state.data[a][m][k], a_signed) *
                            Widen(state.data[b][k / 4][n + k % 4], b_signed);
        sum += static_cast<uint32_t>(product);
      }
      std::memcpy(result[m] + n, &sum, sizeof sum);
    }
  }
  std::memcpy(state.data[to], result, sizeof result);
}

// Bytes of the instruction at `code`, which is done; 0 if it is none of AMX.
size_t Execute(const uint8_t* code, const ucontext_t& context) {
  const Instruction i = {code};
  if (!i.Matches()) return 0;
  const int prefix = i.prefix();
  const bool in_memory = i.mod() != 3;
  if (i.opcode() == 0x5E && !in_memory) {
    Check(!i.Extends(7) && !i.Extends(5) && i.vvvv() < 8, "no such tile");
    Multiply(i.reg(), i.rm(), i.vvvv(), prefix == kF2 || prefix == kF3,
             prefix == kF2 || prefix == k66);
    return 5;
  }
  if (i.opcode() != 0x49 && i.opcode() != 0x4B) return 0;
  Check(!i.Extends(7) && i.vvvv() == 0, "a register that must not be");
  if (i.opcode() == 0x49 && !in_memory) {
    if (prefix == kNone && i.reg() == 0 && i.rm() == 0) {
      state = {};
    } else if (prefix == kF2 && i.rm() == 0) {
      RowsOf(i.reg());
      std::memset(state.data[i.reg()], 0, sizeof state.data[0]);
    } else {
      return 0;
    }
    return 5;
  }
  if (!in_memory) return 0;
  const Operand o = Address(i, context);
  if (i.opcode() == 0x49 && i.reg() == 0 && prefix == kNone) {
    LoadConfig(o.base + o.stride);
  } else if (i.opcode() == 0x49 && i.reg() == 0 && prefix == k66) {
    std::memcpy(o.base + o.stride, &state.config, sizeof state.config);
  } else if (i.opcode() == 0x4B && (prefix == kF2 || prefix == k66)) {
    Load(i.reg(), o);
  } else if (i.opcode() == 0x4B && prefix == kF3) {
    Store(i.reg(), o);
  } else {
    return 0;
  }
  return o.length;
}

void Handle(int, siginfo_t*, void* context) {
  auto& c = *static_cast<ucontext_t*>(context);
  auto& rip = c.uc_mcontext.gregs[REG_RIP];
  const size_t length = Execute(reinterpret_cast<const uint8_t*>(rip), c);
  Check(length != 0, "an invalid opcode that is not of AMX");
  rip += static_cast<int64_t>(length);
}

}  // namespace

AmxForTest::AmxForTest() : was_there_(UseAmx()), emulated_(!CpuHasAmx()) {
  if (emulated_) {
    struct sigaction action = {};
    action.sa_sigaction = Handle;
    action.sa_flags = SA_SIGINFO;
    SLM_CHECK(sigaction(SIGILL, &action, nullptr) == 0);
  }
  SetAmxForTest(true);
}

AmxForTest::~AmxForTest() {
  SetAmxForTest(was_there_);
  if (emulated_) signal(SIGILL, SIG_DFL);
}

#else

AmxForTest::AmxForTest() : was_there_(false), emulated_(false) {}
AmxForTest::~AmxForTest() = default;

#endif  // SLM_HAVE_AMX

}  // namespace slm
