#include "common/command/outcome.h"

#include <algorithm>
#include <string_view>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::command {
namespace {

void addError(Json& data, const Error& error) {
  data["code"] = exitCode(error.code);
  data["message"] = error.message;
}

std::string dumped(const Json& data) {
  return data.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// Collects small pieces.
class Pieces {
 public:
  using Safe = std::string (*)(std::string_view);

  // `safe` is applied to each piece.
  Pieces(const Write& write, Safe safe) : write_(write), safe_(safe) {}

  void add(std::string_view text) {
    piece_ += text;
    if (piece_.size() >= limits::kControlOutputBytes) flush();
  }
  void flush() {
    if (!piece_.empty()) write_(safe_(piece_));
    piece_.clear();
  }

 private:
  const Write& write_;
  const Safe safe_;
  std::string piece_;
};

}  // namespace

Outcome Outcome::done(std::string_view command) {
  Outcome outcome;
  outcome.command_ = command;
  return outcome;
}

Outcome Outcome::failed(std::string_view command, Error error) {
  return done(command).withError(std::move(error));
}

Outcome Outcome::withError(Error error, std::vector<NamedError> each) && {
  error_ = std::move(error);
  errors_ = std::move(each);
  return std::move(*this);
}

Outcome Outcome::withStop() && {
  stops_ = true;
  return std::move(*this);
}

Json Outcome::json() const {
  Json data = members();
  if (value_ && value_->entriesName() != nullptr && data.contains(value_->entriesName())) {
    value_->eachEntry([&](const Json& entry) { data[value_->entriesName()].push_back(entry); });
  }
  return data;
}

void Outcome::writeJson(const Write& write) const {
  const std::string_view entries =
      value_ && value_->entriesName() != nullptr ? value_->entriesName() : "";
  std::string before = "{";
  const Json data = members();
  for (const auto& [name, value] : data.items()) {
    write(before + dumped(name) + ":");
    before = ",";
    if (entries.empty() || name != entries) {
      write(dumped(value));
      continue;
    }
    std::string beforeEntry = "[";
    value_->eachEntry([&](const Json& entry) {
      write(beforeEntry + dumped(entry));
      beforeEntry = ",";
    });
    write(beforeEntry == "[" ? "[]" : "]");
  }
  write("}");
}

// All of it but the entries.
Json Outcome::members() const {
  Json data;
  data["command"] = command_;
  if (value_) value_->add(data);
  if (error_) addError(data["error"], *error_);
  for (const auto& [name, error] : errors_) {
    Json& entry = data["errors"].emplace_back();
    entry["name"] = name;
    addError(entry, error);
  }
  if (value_) value_->addBehindErrors(data);
  return data;
}

void Outcome::writeText(const Write& write) const {
  if (value_) value_->writeText(write);
}

std::vector<std::string> Outcome::sentences() const {
  std::vector<std::string> result;
  if (errors_.empty() && error_) result.push_back(error_->message);
  for (const auto& each : errors_) result.push_back(each.error.message);
  for (auto& sentence : result) std::replace(sentence.begin(), sentence.end(), '\n', ' ');
  return result;
}

void render(const Outcome& outcome, Format format, const Write& out, const Write& err) {
  if (outcome.isEmpty()) return;
  Pieces pieces(out, format == Format::json ? escapedJson : printable);
  const Write add = [&](std::string_view text) { pieces.add(text); };
  if (format == Format::json) {
    outcome.writeJson(add);
    pieces.add("\n");
    return pieces.flush();
  }
  outcome.writeText(add);
  pieces.flush();
  Pieces sentences(err, printable);
  for (const auto& sentence : outcome.sentences()) sentences.add(sentence + "\n");
  sentences.flush();
}

Rendered render(const Outcome& outcome, Format format) {
  Rendered rendered;
  render(
      outcome, format, [&](std::string_view piece) { rendered.out += piece; },
      [&](std::string_view piece) { rendered.err += piece; });
  return rendered;
}

std::string jsonLine(const Json& data) {
  return escapedJson(dumped(data)) + "\n";
}

}  // namespace espalier::command
