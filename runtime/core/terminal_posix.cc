// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "runtime/core/terminal.h"

namespace slm {
namespace {

constexpr int kSigTermExit = 128 + SIGTERM;
constexpr int kSigHupExit = 128 + SIGHUP;
constexpr std::string_view kPasteOn = "\033[?2004h";
constexpr std::string_view kPasteOff = "\033[?2004l";

// What a signal handler, which can be given nothing, has to bring back.
termios found_mode;
volatile std::sig_atomic_t must_restore = 0;
volatile std::sig_atomic_t paste_is_on = 0;

void WriteAll(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(STDERR_FILENO, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// Only what signal-safety(7) allows.
void Restore() {
  if (!must_restore) return;
  if (paste_is_on) WriteAll(kPasteOff);
  paste_is_on = 0;
  tcsetattr(STDIN_FILENO, TCSANOW, &found_mode);
}

void OnEnd(int signal) {
  ExitFromSignal(signal == SIGTERM ? kSigTermExit : kSigHupExit);
}

}  // namespace

bool IsTerminal(std::FILE* stream) { return isatty(fileno(stream)) == 1; }

void ExitFromSignal(int code) {
  Restore();
  _exit(code);
}

Terminal::Terminal() {
  if (tcgetattr(STDIN_FILENO, &found_mode) != 0) return;
  must_restore = 1;
  std::signal(SIGTERM, OnEnd);
  std::signal(SIGHUP, OnEnd);
}

Terminal::~Terminal() {
  Restore();
  must_restore = 0;
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGHUP, SIG_DFL);
}

void Terminal::Set(KeyMode mode) {
  if (!must_restore) return;
  termios t = found_mode;
  if (mode != KeyMode::kShell) {
    t.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | IEXTEN);
    t.c_cc[VMIN] = 1;
    t.c_cc[VTIME] = 0;
    // Enter is CR and Ctrl-J is LF, whatever the mode when they were typed.
    t.c_iflag &= ~static_cast<tcflag_t>(ICRNL | INLCR | IGNCR);
  }
  if (mode == KeyMode::kKeys) {
    t.c_lflag &= ~static_cast<tcflag_t>(ISIG);
    t.c_iflag &= ~static_cast<tcflag_t>(IXON | BRKINT | ISTRIP);
  }
  // Keys that wait stay; output on its way is shown under the old mode.
  tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
  const bool paste = mode == KeyMode::kKeys;
  if (paste != (paste_is_on != 0)) {
    paste_is_on = 1;  // before it is: a signal may come between
    WriteAll(paste ? kPasteOn : kPasteOff);
    paste_is_on = paste ? 1 : 0;
  }
  mode_ = mode;
}

bool Terminal::Fill(int timeout_ms) {
  if (used_ < input_.size()) return true;
  if (end_) return false;
  for (;;) {
    pollfd p{STDIN_FILENO, POLLIN, 0};
    const int ready = poll(&p, 1, timeout_ms);
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) return false;
    char chunk[4096];
    const ssize_t n = read(STDIN_FILENO, chunk, sizeof chunk);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      end_ = true;
      return false;
    }
    input_.assign(chunk, static_cast<size_t>(n));
    used_ = 0;
    return true;
  }
}

int Terminal::ReadByte(int timeout_ms) {
  if (!Fill(timeout_ms)) return end_ ? kEnd : kNothing;
  return static_cast<unsigned char>(input_[used_++]);
}

bool Terminal::HasInput() { return Fill(0); }

TerminalSize Terminal::Size() const {
  winsize size{};
  TerminalSize result;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 &&
      size.ws_row > 0) {
    result = {size.ws_col, size.ws_row};
  }
  return result;
}

void Terminal::Write(std::string_view text) { WriteAll(text); }

void Terminal::Suspend() {
  const KeyMode mode = mode_;
  Set(KeyMode::kShell);
  std::raise(SIGTSTP);
  Set(mode);
}

}  // namespace slm
