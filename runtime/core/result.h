// SPDX-License-Identifier: MIT
// Failures are values: Status and Result<T>. Library code throws nothing and
// never aborts on data. A message is one line, lower case, in the form
//   what failed: the fact with both values; where; what to do
#ifndef SLM_RUNTIME_CORE_RESULT_H_
#define SLM_RUNTIME_CORE_RESULT_H_

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "runtime/core/check.h"

namespace slm {

// The kinds are the exit codes of the programs (spec: README, "Exit codes").
enum class ErrorKind : int {
  kOk = 0,
  kRuntime = 1,      // anything else that went wrong
  kUsage = 2,        // wrong flag or API misuse
  kNotFound = 3,     // model or file not found or unreadable
  kInvalid = 4,      // model invalid or unsupported (op, attribute, template)
  kMemory = 5,       // not enough memory
  kCpu = 6,          // CPU lacks what is needed
  kOverflow = 7,     // context overflow
  kVerify = 10,      // a result was checked and found wrong
};

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(ErrorKind kind, std::string message)
      : kind_(kind), message_(std::move(message)) {}

  bool ok() const { return kind_ == ErrorKind::kOk; }
  ErrorKind kind() const { return kind_; }
  const std::string& message() const { return message_; }

  // The same failure with "context: " in front of its message.
  Status In(std::string_view context) const;

 private:
  ErrorKind kind_ = ErrorKind::kOk;
  std::string message_;
};

inline Status OkStatus() { return Status(); }

#if defined(__GNUC__)
#define SLM_PRINTF(format_index, args_index) \
  __attribute__((format(printf, format_index, args_index)))
#else
#define SLM_PRINTF(format_index, args_index)
#endif

// printf into a std::string.
std::string Format(const char* format, ...) SLM_PRINTF(1, 2);
// A failure with a printf-formatted message.
Status Error(ErrorKind kind, const char* format, ...) SLM_PRINTF(2, 3);
// The two most frequent kinds.
Status Invalid(const char* format, ...) SLM_PRINTF(1, 2);
Status Usage(const char* format, ...) SLM_PRINTF(1, 2);

// Text from a file made safe for a one-line message: control characters and
// invalid UTF-8 are replaced, long text is cut.
std::string Printable(std::string_view text, size_t max_bytes = 120);

// A value or the Status that tells why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::move(value)) {}  // NOLINT: implicit by design
  Result(Status status) : state_(std::move(status)) {  // NOLINT
    SLM_CHECK(!std::get<Status>(state_).ok());
  }

  bool ok() const { return state_.index() == 0; }
  T& value() & {
    SLM_CHECK(ok());
    return std::get<0>(state_);
  }
  const T& value() const& {
    SLM_CHECK(ok());
    return std::get<0>(state_);
  }
  T&& value() && {
    SLM_CHECK(ok());
    return std::get<0>(std::move(state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Status status() const { return ok() ? Status() : std::get<1>(state_); }

 private:
  std::variant<T, Status> state_;
};

#define SLM_CONCAT_INNER(a, b) a##b
#define SLM_CONCAT(a, b) SLM_CONCAT_INNER(a, b)

// Returns the failure of `expression` from this function.
#define SLM_RETURN_IF_ERROR(expression)                         \
  do {                                                          \
    if (::slm::Status slm_status_ = (expression); !slm_status_.ok()) \
      return slm_status_;                                       \
  } while (false)

// SLM_ASSIGN_OR_RETURN(auto x, F()): x is the value, or this function fails.
#define SLM_ASSIGN_OR_RETURN(lhs, expression) \
  SLM_ASSIGN_OR_RETURN_(SLM_CONCAT(slm_result_, __LINE__), lhs, expression)
#define SLM_ASSIGN_OR_RETURN_(result, lhs, expression) \
  auto result = (expression);                          \
  if (!result.ok()) return result.status();            \
  lhs = std::move(result).value()

}  // namespace slm

#endif  // SLM_RUNTIME_CORE_RESULT_H_
