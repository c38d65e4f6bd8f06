// Parses options of both programs in tests: with variables and a configuration file of their own.
#pragma once

#include <stdlib.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "common/base/fs.h"
#include "common/command/environment.h"
#include "metaserver/shell/options.h"

namespace espalier::test {

using Words = std::vector<std::string>;
using Variables = std::map<std::string, std::string>;

inline command::Environment environmentOf(const Variables& variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

// A configuration file in a folder of its own.
class ConfigFile {
 public:
  explicit ConfigFile(const std::string& text) {
    char name[] = "/tmp/espalier-options-XXXXXX";
    folder_ = ::mkdtemp(name);
    std::ofstream(path()) << text;
  }
  ~ConfigFile() { fs::remove_all(folder_); }
  std::string path() const { return folder_ + "/config"; }

 private:
  std::string folder_;
};

inline Result<metaserver::shell::MetaserverOptions> metaserverOf(const Words& words,
                                                                 const Variables& variables = {}) {
  metaserver::shell::MetaserverOptions options;
  const auto parsed =
      metaserver::shell::parseMetaserverOptions(words, environmentOf(variables), options);
  if (!parsed) return parsed.error();
  return options;
}

}  // namespace espalier::test
