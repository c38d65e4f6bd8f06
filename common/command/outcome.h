// The outcome of a command: a struct of the command's own, from which both its text and its JSON
// are made.
//
// The struct may be of any type T that has, in its namespace, two functions:
//
//   void addMembers(Json& data, const T& value);   what --json prints of it, after "command"
//   std::string textOf(const T& value);            what a person reads; lines end in a line feed
//
// and, if some members follow the errors, addMembersBehindErrors(Json&, const T&). Neither prints
// the errors: every Outcome has them, and shows them in the same way. A T that may be long is
// written piece by piece. It has:
//
//   void writeTextOf(const T& value, const Write& write);      in place of textOf()
//   const char* entriesNameOf(const T& value);                 a member that is a long array;
//                                                              addMembers() adds it without entries
//   void eachEntryOf(const T& value, const EachEntry& each);   its entries
//
//   JSON  {"command":"get","files":[…],"error":{"code":3,"message":"partly done"},
//          "errors":[{"name":"f9.txt","code":1,"message":"f9.txt: not found"}]}
//   text  the struct's text on standard output, a sentence for each error on standard error
//
// A value: copies share the struct, which does not change. Made by the handlers of commands,
// rendered by the prompt, the runner and the control server.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "common/command/printing.h"

namespace espalier::command {

using Json = nlohmann::ordered_json;

enum class Format { text, json };

using EachEntry = std::function<void(const Json& entry)>;

// The error of one of several things that a command was to do.
struct NamedError {
  std::string name;
  Error error;
};

class Outcome {
 public:
  Outcome() = default;  // of an empty line: it shows nothing

  static Outcome done(std::string_view command);
  template <typename T>
  static Outcome done(std::string_view command, T value) {
    Outcome outcome = done(command);
    outcome.value_ = std::make_shared<const ValueOf<T>>(std::move(value));
    return outcome;
  }
  static Outcome failed(std::string_view command, Error error);

  // The struct is shown as well. With `each`, text shows those errors in place of `error`.
  Outcome withError(Error error, std::vector<NamedError> each = {}) &&;
  // The program was asked to end.
  Outcome withStop() &&;

  bool isEmpty() const { return command_.empty() && !error_; }
  bool stops() const { return stops_; }
  // 0, or that of the error.
  int exitCode() const { return error_ ? espalier::exitCode(error_->code) : 0; }

  Json json() const;
  // The same as compact JSON, with malformed UTF-8 as U+FFFD.
  void writeJson(const Write& write) const;
  void writeText(const Write& write) const;  // of the struct
  // Of the errors. A sentence of several lines becomes one line.
  std::vector<std::string> sentences() const;

 private:
  // The struct, behind the functions that are needed of it.
  class Value {
   public:
    virtual ~Value() = default;
    virtual void add(Json& data) const = 0;
    virtual void addBehindErrors(Json& data) const = 0;
    virtual const char* entriesName() const = 0;  // null: there are none
    virtual void eachEntry(const EachEntry& each) const = 0;
    virtual void writeText(const Write& write) const = 0;
  };
  template <typename T>
  class ValueOf final : public Value {
   public:
    explicit ValueOf(T value) : value_(std::move(value)) {}
    void add(Json& data) const override { addMembers(data, value_); }
    void addBehindErrors(Json& data) const override {
      if constexpr (requires { addMembersBehindErrors(data, value_); }) {
        addMembersBehindErrors(data, value_);
      }
    }
    const char* entriesName() const override {
      if constexpr (kHasEntries) {
        return entriesNameOf(value_);
      } else {
        return nullptr;
      }
    }
    void eachEntry(const EachEntry& each) const override {
      if constexpr (kHasEntries) eachEntryOf(value_, each);
    }
    void writeText(const Write& write) const override {
      if constexpr (requires { writeTextOf(value_, write); }) {
        writeTextOf(value_, write);
      } else {
        write(textOf(value_));
      }
    }

   private:
    static constexpr bool kHasEntries = requires(const T& value, const EachEntry& each) {
      eachEntryOf(value, each);
    };

    const T value_;
  };

  Json members() const;

  std::string command_;
  std::shared_ptr<const Value> value_;  // null: the command failed before it had one, or has none
  std::optional<Error> error_;
  std::vector<NamedError> errors_;
  bool stops_ = false;
};

// The answer of a service as the outcome of a command.
template <typename T>
Outcome outcomeOf(std::string_view command, Result<T> result) {
  if (!result) return Outcome::failed(command, result.error());
  return Outcome::done(command, *std::move(result));
}

// JSON: one line and nothing else on `out`; malformed UTF-8 becomes U+FFFD. Text: without control
// characters, the sentences about errors on `err`. Both are safe for a terminal. Long output comes
// in pieces, which end behind a line or between two values.
void render(const Outcome& outcome, Format format, const Write& out, const Write& err);

struct Rendered {
  std::string out;
  std::string err;
};
Rendered render(const Outcome& outcome, Format format);

// One line of compact JSON, safe to print: escapedJson().
std::string jsonLine(const Json& data);

}  // namespace espalier::command
