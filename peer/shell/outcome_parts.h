// Parts of JSON and text that the outcomes of several commands have in common. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/command/outcome.h"
#include "common/command/time_text.h"

namespace espalier::peer::shell {

using command::isoTime;
using command::Json;
using command::localTime;

// {"name":"f3.txt","size":12,"root":"<64 hex>"}
Json fileData(const std::string& name, std::uint64_t sizeBytes, const FileRoot& root);

// As JSON an array of strings.
std::vector<std::string> textsOf(const std::vector<PeerId>& ids);

std::string secondsText(double seconds);  // 3 min 20 s

}  // namespace espalier::peer::shell
