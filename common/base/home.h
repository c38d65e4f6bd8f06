// A leading ~/ of a path that no shell has expanded.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace espalier {

// HOME in this process's environment.
std::optional<std::string> homeFolder();

// `path` with `home` in place of a leading `~` that stands alone or before a slash. Errors of the
// code `usage`: `~name`, which nobody looks up here, and a home that is not known or no absolute
// path. Every other path is returned as it is.
Result<std::string> expandHome(std::string_view path, const std::optional<std::string>& home);

}  // namespace espalier
