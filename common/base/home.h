// Expands a leading ~/ in options and in arguments of commands. Stateless; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace espalier {

// HOME in this process's environment.
std::optional<std::string> homeFolder();

// `path` with `home` in place of a leading `~` that stands alone or before a slash. Errors of the
// code `usage`: `~name`, because home folders of other users are not looked up; and a home that is
// unknown or not an absolute path. Every other path is returned unchanged.
Result<std::string> expandHome(std::string_view path, const std::optional<std::string>& home);

}  // namespace espalier
