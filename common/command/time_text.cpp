#include "common/command/time_text.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

namespace espalier::command {

std::string isoTime(std::chrono::milliseconds at) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(at).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::string localTime(std::chrono::milliseconds at) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(at).count();
  return fmt::format("{:%Y-%m-%d %H:%M}", fmt::localtime(static_cast<std::time_t>(seconds)));
}

}  // namespace espalier::command
