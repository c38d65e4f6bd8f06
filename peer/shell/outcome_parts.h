// Parts of JSON and text that the outcomes of several commands have in common. Pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/command/outcome.h"

namespace espalier::peer::shell {

using command::Json;

// {"name":"f3.txt","size":12,"root":"<64 hex>"}
Json fileData(const std::string& name, std::uint64_t sizeBytes, const FileRoot& root);

// As JSON an array of strings.
std::vector<std::string> textsOf(const std::vector<PeerId>& ids);

// Of milliseconds since 1970.
std::string isoTime(std::chrono::milliseconds at);    // 2026-11-30T12:02:00Z
std::string localTime(std::chrono::milliseconds at);  // 2026-11-30 12:02

std::string secondsText(double seconds);  // 3 min 20 s

}  // namespace espalier::peer::shell
