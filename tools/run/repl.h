// SPDX-License-Identifier: MIT
// The conversation at a terminal.
#ifndef SLM_TOOLS_RUN_REPL_H_
#define SLM_TOOLS_RUN_REPL_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/core/terminal.h"
#include "tools/line/editor.h"
#include "tools/run/answer.h"
#include "tools/run/transcript.h"

namespace slm {

// Replaces all turns of the chat.
Status SetTurns(slm_chat* chat, const Transcript& turns);

// Switches the template's reasoning; kUsage if it has no switch for it.
Status SetThinking(const slm_model* model, slm_chat* chat, bool on);

// kUsage if --think-budget wants a limit of a model that does not think.
Status CheckThinkBudget(const slm_model* model, const RunOptions& options);

// A message without the """ around it and the newlines beside them.
std::string Unblocked(std::string text);

class Repl {
 public:
  // `turns` are those that the chat has. Model and chat outlive this.
  Repl(const slm_model* model, slm_chat* chat, const RunOptions& options,
       Transcript turns);

  // Takes messages and commands until the input ends, /exit, or two Ctrl-C.
  // The exit code. A failed answer is told and the chat goes on.
  int Run();

 private:
  struct Command {
    const char* name;       // without its slash
    const char* arguments;  // "" where it takes none
    const char* help;       // "" where another line tells it
    void (Repl::*run)(const std::string& argument);
  };
  static const Command kCommands[];

  enum class Input { kMessage, kInterrupt, kClosed };
  Input Read(std::string* text);
  Input ReadPlain(std::string* text);
  void Obey(const std::string& line);
  // Puts a question (with what /read holds) and says the answer.
  // False: there is no answer, and nothing changed.
  bool Ask(std::string question);
  // False: there is no new answer.
  bool Say(const RunOptions& options);
  void AfterAnswer(const Answered& answered);
  // The turns as they were before an answer that failed.
  void Restore(Transcript turns);
  // The chat and the session file get the turns of the transcript.
  void Renew();
  void SaveSession();
  bool PopExchange(std::string* question);
  void Note(const std::string& text) const;

  void Help(const std::string&);
  void Exit(const std::string&);
  void Clear(const std::string&);
  void Undo(const std::string&);
  void Regenerate(const std::string& temperature);
  void Edit(const std::string&);
  void System(const std::string& text);
  void SetOption(const std::string& words);
  void Show(const std::string& what);
  void Stats(const std::string& on);
  void Think(const std::string& on);
  void FormatAs(const std::string& format);
  void Save(const std::string& path);
  void Load(const std::string& path);
  void ReadText(const std::string& path);
  void Tokens(const std::string& text);
  void Copy(const std::string&);

  void ShowInfo() const;
  void ShowParams() const;

  const slm_model* model_;
  slm_chat* chat_;
  RunOptions options_;  // with what /set changed
  const bool color_;
  Transcript turns_;
  std::string pending_;  // text of /read, for the next message
  std::string prefill_;  // stands in the next line to begin with
  bool stats_;
  bool done_ = false;
  bool warned_ = false;     // of a context that is nearly full
  double interrupted_ = 0;  // when Ctrl-C was last pressed

  // Where a person types at a terminal that can move its cursor.
  std::unique_ptr<Terminal> terminal_;
  History history_;
  std::unique_ptr<Editor> editor_;
};

}  // namespace slm

#endif  // SLM_TOOLS_RUN_REPL_H_
