// The environment as a source of options: --max-links is ESPALIER_MAX_LINKS there. Used by
// options.cpp, before any thread starts.
#pragma once

#include <Poco/Util/AbstractConfiguration.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace espalier::command {

// The value of a variable; none: it is not set. Tests pass their own.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;
Environment processEnvironment();

// The variable of an option: ESPALIER_MAX_LINKS of "max-links".
std::string environmentName(std::string_view option);

// One layer of the options. A key is an option's name. A variable that is set but empty counts as
// not set. Read-only.
class EnvironmentConfiguration : public Poco::Util::AbstractConfiguration {
 public:
  explicit EnvironmentConfiguration(Environment environment);

 protected:
  bool getRaw(const std::string& key, std::string& value) const override;
  void setRaw(const std::string& key, const std::string& value) override;
  // Finds nothing: which variables belong to options is known only by the options' names.
  void enumerate(const std::string& key, Keys& range) const override;

 private:
  Environment environment_;
};

}  // namespace espalier::command
