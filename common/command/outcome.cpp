#include "common/command/outcome.h"

#include <algorithm>

#include "common/base/text.h"
#include "common/command/printing.h"

namespace espalier::command {
namespace {

void addError(Json& data, const Error& error) {
  data["code"] = exitCode(error.code);
  data["message"] = error.message;
}

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

std::string Outcome::text() const {
  return value_ ? value_->text() : std::string();
}

std::vector<std::string> Outcome::sentences() const {
  std::vector<std::string> result;
  if (errors_.empty() && error_) result.push_back(error_->message);
  for (const auto& each : errors_) result.push_back(each.error.message);
  for (auto& sentence : result) std::replace(sentence.begin(), sentence.end(), '\n', ' ');
  return result;
}

Rendered render(const Outcome& outcome, Format format) {
  Rendered rendered;
  if (outcome.isEmpty()) return rendered;
  if (format == Format::json) {
    rendered.out = jsonLine(outcome.json());
    return rendered;
  }
  rendered.out = printable(outcome.text());
  for (const auto& sentence : outcome.sentences()) rendered.err += printable(sentence) + "\n";
  return rendered;
}

std::string jsonLine(const Json& data) {
  return escapedJson(data.dump(-1, ' ', false, Json::error_handler_t::replace)) + "\n";
}

}  // namespace espalier::command
