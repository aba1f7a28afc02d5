// SPDX-License-Identifier: MIT
// Reads a message, of one line or several, from a person at a terminal.
#ifndef SLM_TOOLS_LINE_EDITOR_H_
#define SLM_TOOLS_LINE_EDITOR_H_

#include <functional>
#include <string>

#include "runtime/core/terminal.h"
#include "tools/line/history.h"
#include "tools/line/key.h"
#include "tools/line/line_buffer.h"

namespace slm {

struct EditorOptions {
  std::string prompt = "> ";
  std::string next_prompt = ". ";  // before further lines
  // Whether Enter ends the message (true) or begins another line.
  std::function<bool(const std::string&)> is_complete;
  // Words that Tab completes at the beginning of a message.
  std::vector<std::string> words;
};

class Editor {
 public:
  // Both outlive the editor.
  Editor(Terminal* terminal, History* history, EditorOptions options);

  enum class End {
    kMessage,
    kInterrupt,  // Ctrl-C
    kClosed,     // Ctrl-D on nothing, or the terminal is gone
  };
  // `text` is what stands there to begin with, and the message.
  End Read(std::string* text);

 private:
  // False: goes on.
  bool Handle(const Key& key, End* end);
  void HandleControl(char letter, bool* done, End* end);
  void HandleAlt(const std::string& text);
  void Recall(bool older);
  void Complete();
  void Paint();
  void LeavePainted();

  Terminal* terminal_;
  History* history_;
  const EditorOptions options_;
  LineBuffer line_;
  std::string draft_;       // what was typed before the history was looked at
  size_t recalled_ = 0;     // index into the history; its size: the draft
  size_t painted_row_ = 0;  // of the cursor, from the first painted row
};

}  // namespace slm

#endif  // SLM_TOOLS_LINE_EDITOR_H_
