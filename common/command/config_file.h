// A configuration file: a line an option.
//
//   # a peer that runs as a service
//   id = s2
//   share = ~/Music          # expanded by options.h, where a path is meant
//   join-word = "two words # and a sign"
//
// A value is taken whole, without the white space around it, or stands in double quotes, in which
// \" and \\ stand for " and \. A # at the beginning of a line, or behind white space outside of
// quotes, begins a comment. A byte-order mark and the carriage returns of CRLF are passed over.
#pragma once

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

// The same of a file of at most limits::kConfigBytes. Waits for a pipe to be written.
Result<std::vector<Setting>> readConfig(const std::string& path);

// "FILE:LINE: what is wrong"
Error configError(const std::string& path, int line, std::string_view why);

}  // namespace espalier::command
