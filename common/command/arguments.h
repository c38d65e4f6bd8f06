// Parses the words behind a command's name into values and flags. Pure functions; only
// dispatcher.cpp calls them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/command/dispatcher.h"

namespace espalier::command {

const Flag* findFlag(const Command& command, std::string_view name);

// The kind of the value at that position. The last kind counts for all further values.
Kind kindOfValue(const Command& command, std::size_t position);

// `words` begin with the command's name. Errors have the code `usage`.
Result<Arguments> readArguments(const Command& command, const std::vector<std::string>& words);

// Expands a leading ~/ of each local path. No shell has done that: a prompt has none, and a line of
// -e is quoted. Errors of the code `usage`: ~name, and a relative path if the client's working
// directory was removed.
Result<void> expandPaths(const Command& command, Arguments& arguments, const Context& context);

}  // namespace espalier::command
