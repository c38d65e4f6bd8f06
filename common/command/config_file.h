// A configuration file: one option a line.
//
//   # a peer that runs as a service
//   id = s2
//   share = ~/Music          # expanded by options.h, where a path is meant
//   join-word = "two words # and a sign"
//
// A value is the rest of the line without the white space around it, or it stands in double quotes,
// in which \" and \\ stand for " and \. A # at the beginning of a line, or behind white space
// outside of quotes, begins a comment. A byte-order mark and the carriage returns of CRLF are
// ignored.
//
// The reader is this project's own: Poco::Util::PropertyFileConfiguration has no line numbers for
// messages, and treats \ in a value as an escape. Called by options.cpp.
#pragma once

#include <Poco/Util/AbstractConfiguration.h>

#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"

namespace espalier::command {

struct Setting {
  int line = 0;  // from 1
  std::string name;
  std::string value;
};

// Errors of the code `configuration`, "FILE:LINE: what is wrong". Linear in the text.
Result<std::vector<Setting>> parseConfig(std::string_view text, const std::string& path);

// The same of a file of at most limits::kConfigBytes. Blocks on a pipe until its writer closes it.
Result<std::vector<Setting>> readConfig(const std::string& path);

// "FILE:LINE: what is wrong"
Error configError(const std::string& path, int line, std::string_view why);

// One layer of the options. A key is an option's name. If a name stands several times, the last
// line counts. Read-only.
class FileConfiguration : public Poco::Util::AbstractConfiguration {
 public:
  explicit FileConfiguration(std::vector<Setting> settings);

  // All lines, in their order.
  const std::vector<Setting>& settings() const { return settings_; }

 protected:
  bool getRaw(const std::string& key, std::string& value) const override;
  void setRaw(const std::string& key, const std::string& value) override;
  void enumerate(const std::string& key, Keys& range) const override;

 private:
  std::vector<Setting> settings_;
};

}  // namespace espalier::command
