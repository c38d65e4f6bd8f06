// The words behind a command's name as its values and flags. Pure functions, for
// dispatcher.cpp only.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/command/dispatcher.h"

namespace espalier::command {

const Flag* findFlag(const Command& command, std::string_view name);

// What the value at that position is; the last kind stands for all that follow.
Kind kindOfValue(const Command& command, std::size_t position);

// `words` begin with the command's name. Errors have the code `usage`.
Result<Arguments> readArguments(const Command& command, const std::vector<std::string>& words);

// A leading ~/ of each local path, which nobody else expands: a prompt has no shell before it, and
// a line of -e stands in quotes. Errors of the code `usage`: ~name, and a relative path of an asker
// whose folder is gone.
Result<void> expandPaths(const Command& command, Arguments& arguments, const Context& context);

}  // namespace espalier::command
