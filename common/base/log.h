// The program's log: a line an event on standard error, `HH:MM:SS level text`. Thread-safe; a line
// is written with one write(2), so lines never mix. The caller escapes what came from the network.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/result.h"

namespace espalier::log {

enum class Level { debug, info, warning, error, none };

Result<Level> parseLevel(std::string_view text);
void setLevel(Level level);
bool enabled(Level level);

// The sink gets each line in place of standard error. A prompt prints it above the line being
// typed. The sink is called from any thread; nullptr restores standard error.
using Sink = void (*)(std::string_view line, void* context);
void setSink(Sink sink, void* context);

void write(Level level, std::string_view text);

// Lines that could not be written since the start, and the reason of the last failure. `status`
// shows them, because the log cannot. A program does not end because its log fails.
struct Lost {
  std::uint64_t lines = 0;
  std::string why;
};
Lost lost();
void addLost(std::uint64_t lines, std::string_view why);

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::debug)) write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::info)) write(Level::info, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::warning)) {
    write(Level::warning, fmt::format(format, std::forward<Args>(args)...));
  }
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::error)) write(Level::error, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace espalier::log
