// SPDX-License-Identifier: MIT
// The terminal: who is at the other end, its size, and its keys.
#ifndef SLM_RUNTIME_CORE_TERMINAL_H_
#define SLM_RUNTIME_CORE_TERMINAL_H_

#include <cstddef>
#include <cstdio>
#include <string>
#include <string_view>

namespace slm {

// Is a person at the other end?
bool IsTerminal(std::FILE* stream);

struct TerminalSize {
  size_t columns = 80, rows = 24;
};

// How the keys of standard input reach the program.
enum class KeyMode {
  kShell,  // as the program found it: whole lines, Ctrl-C is a signal
  kKeys,   // each key at once, Ctrl-C too; pasted text comes marked
  kTalk,   // the program talks: keys wait unseen, Ctrl-C is a signal
};

// Standard input as a keyboard and standard error as its screen. At most one
// at a time. The mode of before comes back with the destructor, with SIGTERM
// and SIGHUP (which end the program) and with ExitFromSignal.
class Terminal {
 public:
  Terminal();
  ~Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void Set(KeyMode mode);

  static constexpr int kEnd = -1;
  static constexpr int kNothing = -2;
  // The next byte of input, kEnd, or kNothing after so many milliseconds;
  // below 0: waits.
  int ReadByte(int timeout_ms);
  // Is there input that ReadByte would give at once?
  bool HasInput();

  TerminalSize Size() const;
  void Write(std::string_view text);
  // Ctrl-Z: the shell has the terminal until it continues this program.
  void Suspend();

 private:
  bool Fill(int timeout_ms);

  KeyMode mode_ = KeyMode::kShell;
  std::string input_;
  size_t used_ = 0;  // bytes of input_ that were given
  bool end_ = false;
};

// Ends the program from a signal handler, with the terminal as it was.
[[noreturn]] void ExitFromSignal(int code);

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_TERMINAL_H_
