// The result of an operation that can fail: a value, or an Error that says what failed, with which
// values, and what happens next. A broken invariant of this program asserts instead. Input from a
// peer never asserts.
//
//   Result<int> parsePort(std::string_view text);
//   auto port = parsePort("80x");
//   if (!port) return port.error();
//   use(*port);
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace espalier {

// Why something failed. One table (result.cpp) maps each code to the exit code of the program. The
// number on the wire (protocol.md) is the enumerator's value, so these values never change.
enum class ErrorCode : int {
  failed = 1,          // not found, several files of that name
  partial = 3,         // partly done
  usage = 64,          // the command is malformed
  unavailable = 69,    // the metaserver cannot be reached
  io = 74,             // I/O error of a disk or a socket
  timeout = 75,        // timed out, or not found while answers are missing
  protocol = 76,       // a hash or the protocol did not match
  refused = 77,        // join word, id in use
  configuration = 78,  // an option or a configuration file
  interrupted = 130,   // Ctrl-C
};

// The process's exit code for an error: 0 to 255.
int exitCode(ErrorCode code);

// The code that a peer sent. A number that this version does not know is `failed`.
ErrorCode errorCodeFromWire(unsigned number);

struct Error {
  ErrorCode code = ErrorCode::failed;
  std::string message;

  bool operator==(const Error&) const = default;
};

// The errno of a failed system call as an Error: "cannot open ./x: Permission denied".
Error systemError(std::string_view what, int errnoValue);

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return state_.index() == 0; }
  bool ok() const { return state_.index() == 0; }

  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(value()); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  T& value() {
    assert(ok());
    return std::get<0>(state_);
  }
  const T& value() const {
    assert(ok());
    return std::get<0>(state_);
  }
  T valueOr(T other) const { return ok() ? std::get<0>(state_) : std::move(other); }

  const Error& error() const {
    assert(!ok());
    return std::get<1>(state_);
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  explicit operator bool() const { return !error_; }
  bool ok() const { return !error_; }
  const Error& error() const {
    assert(error_);
    return *error_;
  }

 private:
  std::optional<Error> error_;
};

}  // namespace espalier
