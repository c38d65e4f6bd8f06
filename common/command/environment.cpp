#include "common/command/environment.h"

#include <Poco/Exception.h>

#include <cstdlib>
#include <utility>

namespace espalier::command {

Environment processEnvironment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  };
}

std::string environmentName(std::string_view option) {
  std::string name = "ESPALIER_";
  for (const char c : option) {
    name += c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return name;
}

EnvironmentConfiguration::EnvironmentConfiguration(Environment environment)
    : environment_(std::move(environment)) {}

bool EnvironmentConfiguration::getRaw(const std::string& key, std::string& value) const {
  auto found = environment_(environmentName(key));
  if (!found || found->empty()) return false;
  value = *std::move(found);
  return true;
}

void EnvironmentConfiguration::setRaw(const std::string& key, const std::string&) {
  throw Poco::InvalidAccessException("the environment is read-only", key);
}

void EnvironmentConfiguration::enumerate(const std::string&, Keys& range) const {
  range.clear();
}

}  // namespace espalier::command
