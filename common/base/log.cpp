#include "common/base/log.h"

#include <unistd.h>

#include <atomic>
#include <ctime>
#include <string>
#include <system_error>

#include "common/base/file.h"
#include "common/base/guarded.h"

namespace espalier::log {
namespace {

struct Target {
  Sink sink = nullptr;
  void* context = nullptr;
};

std::atomic<Level> threshold{Level::info};

Guarded<Target>& target() {
  static Guarded<Target> instance;
  return instance;
}

Guarded<Lost>& lostLines() {
  static Guarded<Lost> instance;
  return instance;
}

std::string_view name(Level level) {
  switch (level) {
    case Level::debug:
      return "debug ";
    case Level::warning:
      return "warning ";
    case Level::error:
      return "error ";
    default:
      return "";
  }
}

}  // namespace

Result<Level> parseLevel(std::string_view text) {
  if (text == "debug") return Level::debug;
  if (text == "info") return Level::info;
  if (text == "warning") return Level::warning;
  if (text == "error") return Level::error;
  if (text == "none") return Level::none;
  return Error{
      ErrorCode::usage,
      fmt::format("the log level \"{}\" is none of debug, info, warning, error, none", text)};
}

void setLevel(Level level) {
  threshold = level;
}

bool enabled(Level level) {
  return level >= threshold.load(std::memory_order_relaxed);
}

void setSink(Sink sink, void* context) {
  target().with([&](Target& t) { t = {sink, context}; });
}

Lost lost() {
  return lostLines().with([](const Lost& lost) { return lost; });
}

void addLost(std::uint64_t lines, std::string_view why) {
  lostLines().with([&](Lost& lost) {
    lost.lines += lines;
    lost.why = why;
  });
}

void write(Level level, std::string_view text) {
  if (!enabled(level)) return;
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  const std::string line = fmt::format("{:02}:{:02}:{:02} {}{}\n", parts.tm_hour, parts.tm_min,
                                       parts.tm_sec, name(level), text);
  // The lock keeps the sink alive while it is called; a sink only queues the line.
  target().with([&](Target& t) {
    if (t.sink != nullptr) {
      t.sink(line, t.context);
    } else {
      const int reason = writeAll(STDERR_FILENO, line, {});
      if (reason != 0) addLost(1, std::generic_category().message(reason));
    }
  });
}

}  // namespace espalier::log
