// SPDX-License-Identifier: MIT
#include "tools/line/editor.h"

#include <algorithm>
#include <utility>

namespace slm {
namespace {

// Within this time a terminal has sent the rest of a key, over ssh, too.
constexpr int kKeyMilliseconds = 100;

}  // namespace

Editor::Editor(Terminal* terminal, History* history, EditorOptions options)
    : terminal_(terminal), history_(history), options_(std::move(options)) {}

Editor::End Editor::Read(std::string* text) {
  terminal_->Set(KeyMode::kKeys);
  line_.Set(std::move(*text));
  draft_.clear();
  recalled_ = history_->entries().size();
  painted_row_ = 0;
  const NextByte next = [this](bool within_key) {
    return terminal_->ReadByte(within_key ? kKeyMilliseconds : -1);
  };
  End end = End::kMessage;
  Paint();
  for (;;) {
    const Key key = ReadKey(next);
    if (Handle(key, &end)) break;
    // Text that comes faster than it can be painted is painted once.
    if (!terminal_->HasInput()) Paint();
  }
  LeavePainted();
  terminal_->Set(KeyMode::kTalk);
  *text = line_.text();
  return end;
}

bool Editor::Handle(const Key& key, End* end) {
  bool done = false;
  switch (key.kind) {
    case Key::kText:
    case Key::kPaste:
      line_.Insert(key.text);
      break;
    case Key::kEnter:
      done = !options_.is_complete || options_.is_complete(line_.text());
      if (!done) line_.Insert("\n");
      break;
    case Key::kNewline:
      line_.Insert("\n");
      break;
    case Key::kBackspace:
      line_.Backspace();
      break;
    case Key::kDelete:
      line_.Delete();
      break;
    case Key::kTab:
      Complete();
      break;
    case Key::kLeft:
      line_.Left();
      break;
    case Key::kRight:
      line_.Right();
      break;
    case Key::kWordLeft:
      line_.WordLeft();
      break;
    case Key::kWordRight:
      line_.WordRight();
      break;
    case Key::kHome:
      line_.LineBegin();
      break;
    case Key::kEnd:
      line_.LineEnd();
      break;
    case Key::kUp:
      if (!line_.Up()) Recall(true);
      break;
    case Key::kDown:
      if (!line_.Down()) Recall(false);
      break;
    case Key::kControl:
      HandleControl(key.text[0], &done, end);
      break;
    case Key::kAlt:
      HandleAlt(key.text);
      break;
    case Key::kClosed:
      *end = End::kClosed;
      done = true;
      break;
    case Key::kUnknown:
      break;
  }
  return done;
}

void Editor::HandleControl(char letter, bool* done, End* end) {
  switch (letter) {
    case 'A':
      line_.LineBegin();
      break;
    case 'B':
      line_.Left();
      break;
    case 'C':
      *end = End::kInterrupt;
      *done = true;
      break;
    case 'D':
      if (line_.text().empty()) {
        *end = End::kClosed;
        *done = true;
      } else {
        line_.Delete();
      }
      break;
    case 'E':
      line_.LineEnd();
      break;
    case 'F':
      line_.Right();
      break;
    case 'K':
      line_.KillToEnd();
      break;
    case 'L':
      terminal_->Write("\033[H\033[2J");
      painted_row_ = 0;
      break;
    case 'N':
      Recall(false);
      break;
    case 'P':
      Recall(true);
      break;
    case 'U':
      line_.KillToBegin();
      break;
    case 'W':
      line_.KillBlanksAndWord();
      break;
    case 'Y':
      line_.Yank();
      break;
    case 'Z':
      LeavePainted();
      terminal_->Suspend();
      break;
    default:
      break;
  }
}

void Editor::HandleAlt(const std::string& text) {
  switch (text[0]) {
    case 'b':
      line_.WordLeft();
      break;
    case 'f':
      line_.WordRight();
      break;
    case 'd':
      line_.KillWordAfter();
      break;
    case '\b':
      line_.KillWordBefore();
      break;
    default:
      break;
  }
}

void Editor::Recall(bool older) {
  const std::vector<std::string>& entries = history_->entries();
  if (older ? recalled_ == 0 : recalled_ >= entries.size()) return;
  if (recalled_ == entries.size()) draft_ = line_.text();
  older ? --recalled_ : ++recalled_;
  line_.Set(recalled_ < entries.size() ? entries[recalled_] : draft_);
}

void Editor::Complete() {
  const std::string& text = line_.text();
  if (text.empty() || !line_.AtEnd()) return;
  const std::string* only = nullptr;
  for (const std::string& word : options_.words) {
    if (word.compare(0, text.size(), text) != 0) continue;
    if (only) return;
    only = &word;
  }
  if (only) line_.Set(*only);
}

// Everything again at each key: what is typed is short, and a terminal that
// disagrees about a width is put right at once.
void Editor::Paint() {
  const TerminalSize size = terminal_->Size();
  const LineLayout layout =
      LayOut(line_, options_.prompt, options_.next_prompt, size.columns);
  // More rows than the screen has: those around the cursor.
  const size_t most = std::max<size_t>(size.rows, 2) - 1;
  const size_t first =
      layout.cursor_row >= most ? layout.cursor_row - most + 1 : 0;
  const size_t last = std::min(layout.rows.size(), first + most);
  std::string out = "\r";
  if (painted_row_ > 0) out += "\033[" + std::to_string(painted_row_) + "A";
  out += "\033[J";
  for (size_t row = first; row < last; ++row) {
    if (row > first) out += "\r\n";
    out += layout.rows[row];
  }
  painted_row_ = layout.cursor_row - first;
  const size_t below = last - 1 - layout.cursor_row;
  if (below > 0) out += "\033[" + std::to_string(below) + "A";
  out += "\r";
  if (layout.cursor_column > 0) {
    out += "\033[" + std::to_string(layout.cursor_column) + "C";
  }
  terminal_->Write(out);
}

void Editor::LeavePainted() {
  line_.Set(line_.text());
  Paint();
  terminal_->Write("\r\n");
  painted_row_ = 0;
}

}  // namespace slm
