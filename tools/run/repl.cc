// SPDX-License-Identifier: MIT
#include "tools/run/repl.h"

#include <cstdio>

namespace slm {
namespace {

// One line without its newline; false at the end of the input.
bool ReadLine(std::string* line) {
  line->clear();
  for (int c; (c = std::getc(stdin)) != EOF;) {
    if (c == '\n') return true;
    *line += static_cast<char>(c);
  }
  return !line->empty();
}

class Repl {
 public:
  Repl(slm_chat* chat, const Sampling& sampling, const std::string& model,
       const RunOptions& options, bool color)
      : chat_(chat), sampling_(sampling), model_(model), options_(options),
        color_(color) {}

  Status Run() {
    if (!options_.quiet) {
      std::fprintf(stderr, "%s; /help lists commands, Ctrl-D ends\n",
                   model_.c_str());
    }
    std::string turn;
    while (ReadTurn(&turn)) {
      if (turn.empty()) continue;
      if (turn[0] == '/' && turn.compare(0, 2, "//") != 0) {
        if (!Command(turn)) return OkStatus();
        continue;
      }
      if (turn[0] == '/') turn.erase(0, 1);
      SLM_RETURN_IF_ERROR(StatusOf(api::AddTurn(chat_, "user", turn)));
      turns_ += 2;
      Say();
    }
    std::fprintf(stderr, "\n");
    return OkStatus();
  }

 private:
  // A line, or several between lines that begin and end with """.
  bool ReadTurn(std::string* turn) {
    std::fprintf(stderr, "> ");
    if (!ReadLine(turn)) return false;
    if (turn->compare(0, 3, "\"\"\"") != 0) return true;
    std::string text = turn->substr(3), line;
    while (text.size() < 3 || text.compare(text.size() - 3, 3, "\"\"\"") != 0) {
      std::fprintf(stderr, ". ");
      if (!ReadLine(&line)) break;
      text += "\n" + line;
    }
    if (text.size() >= 3) text.resize(text.size() - 3);
    const size_t begin = text.find_first_not_of('\n');
    *turn = begin == std::string::npos ? "" : text.substr(begin);
    return true;
  }

  void Say() {
    const Result<Answered> answered =
        Answer(chat_, sampling_, model_, options_);
    if (!answered.ok()) {
      std::fprintf(stderr, "slm-run: error: %s\n",
                   answered.status().message().c_str());
      slm_chat_undo(chat_, 1);  // the question that had no answer
      turns_ -= 2;
      return;
    }
    if (stats_) {
      std::fprintf(stderr, color_ ? "\033[2m%s\033[0m\n" : "%s\n",
                   StatsLine(chat_).c_str());
    }
  }

  void Help() {
    std::fprintf(stderr,
                 "  /exit, /bye      end\n"
                 "  /clear           forget the conversation\n"
                 "  /undo            forget the last question and answer\n"
                 "  /regen           answer the last question again\n"
                 "  /show prompt     the prompt as the model gets it\n"
                 "  /stats on|off    speed and memory after each answer\n"
                 "  /think on|off    the template's enable_thinking\n"
                 "  \"\"\"              begins and ends several lines\n"
                 "  //               a text that begins with a slash\n");
  }

  // False: end.
  bool Command(const std::string& line) {
    if (line == "/exit" || line == "/bye") return false;
    if (line == "/help" || line == "/?") {
      Help();
    } else if (line == "/clear") {
      slm_chat_clear(chat_);
      turns_ = 0;
      if (options_.system) {
        std::fprintf(stderr, "the system message is gone, too\n");
      }
    } else if (line == "/undo" && turns_ > 0) {
      slm_chat_undo(chat_, 2);
      turns_ -= 2;
    } else if (line == "/regen" && turns_ > 0) {
      slm_chat_undo(chat_, 1);
      Say();
    } else if (line == "/undo" || line == "/regen") {
      std::fprintf(stderr, "nothing was said yet\n");
    } else if (line == "/show prompt") {
      std::string prompt;
      const Status status = StatusOf(api::Prompt(chat_, &prompt));
      std::fprintf(stderr, "%s\n",
                   status.ok() ? prompt.c_str() : status.message().c_str());
    } else if (line == "/stats on" || line == "/stats off") {
      stats_ = line == "/stats on";
    } else if (line == "/think on" || line == "/think off") {
      slm_error error;
      (void)slm_chat_set(chat_, "enable_thinking",
                         line == "/think on" ? "true" : "false", &error);
    } else {
      std::fprintf(stderr, "unknown command %s; /help lists all\n",
                   Printable(line).c_str());
    }
    return true;
  }

  slm_chat* chat_;
  const Sampling& sampling_;
  const std::string& model_;
  const RunOptions& options_;
  const bool color_;
  bool stats_ = options_.stats != Switch::kOff;
  size_t turns_ = 0;  // that /undo may take back
};

}  // namespace

Status Chat(slm_chat* chat, const Sampling& sampling, const std::string& model,
            const RunOptions& options, bool color) {
  return Repl(chat, sampling, model, options, color).Run();
}

}  // namespace slm
