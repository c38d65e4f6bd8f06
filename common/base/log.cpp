#include "common/base/log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "common/base/file.h"
#include "common/base/guarded.h"
#include "common/base/limits.h"
#include "common/base/log_history.h"
#include "common/base/text.h"

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

// The budget of lines that others cause, and those that were left out since the last that told it.
struct Allowance {
  std::shared_ptr<Budget> budget = std::make_shared<Budget>();
  std::uint64_t leftOut = 0;
  Level level = Level::debug;  // the highest among them
  std::string about;           // the last of them
};

Guarded<Allowance>& allowance() {
  static Guarded<Allowance> instance;
  return instance;
}

std::atomic<TimePoint> leftOutDue{kNever};

// At level debug lines cost less.
constexpr double kDebugCost = 0.125;
// Of the process's bucket so much is kept for warnings: peers that come and go must not hide them.
constexpr double kForWarnings =
    limits::kRateBounds[static_cast<std::size_t>(limits::Rate::logLines)].processBurst / 5;

// Whether standard error is systemd's journal, which adds the time and knows levels by their
// number: JOURNAL_STREAM=DEVICE:INODE (systemd.exec(5)).
bool isJournal() {
  static const bool is = [] {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status {};
    return stream != nullptr && ::fstat(STDERR_FILENO, &status) == 0 &&
           stream == fmt::format("{}:{}", status.st_dev, status.st_ino);
  }();
  return is;
}

// Of sd-daemon(3).
int journalLevel(Level level) {
  if (level == Level::debug) return 7;
  if (level == Level::info) return 6;
  return level == Level::warning ? 4 : 3;
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

void useBudget(std::shared_ptr<Budget> budget) {
  if (!budget) budget = std::make_shared<Budget>();
  leftOutDue = kNever;
  allowance().with([&](Allowance& all) { all = {std::move(budget), 0, Level::debug, {}}; });
}

bool mayTell(Level level, const Payer& about) {
  if (!enabled(level)) return false;
  const double cost = enabled(Level::debug) ? kDebugCost : 1;
  const TimePoint now = Clock::now();
  return allowance().with([&](Allowance& all) {
    const bool isAllowed =
        level >= Level::warning || all.budget->account(Payer()).affordableAt(
                                       limits::Rate::logLines, now, cost + kForWarnings) <= now;
    if (isAllowed && all.budget->account(about).spend(limits::Rate::logLines, now, cost)) {
      return true;
    }
    if (all.leftOut++ == 0) leftOutDue = now + limits::kLeftOutLines;
    all.level = std::max(all.level, level);
    all.about = about.text();
    return false;
  });
}

TimePoint tellDue() {
  return leftOutDue.load(std::memory_order_relaxed);
}

void tellLeftOut(TimePoint now) {
  if (now < tellDue()) return;
  leftOutDue = kNever;
  Allowance told;
  allowance().with([&](Allowance& all) {
    told.leftOut = std::exchange(all.leftOut, 0);
    told.level = std::exchange(all.level, Level::debug);
    told.about = std::exchange(all.about, {});
  });
  if (told.leftOut == 0) return;
  write(told.level, fmt::format("{} like these left out, the last about {}",
                                counted(told.leftOut, "line"), escaped(told.about)));
}

void write(Level level, std::string_view text) {
  if (!enabled(level)) return;
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  ::localtime_r(&now, &parts);
  std::string line = fmt::format("{:02}:{:02}:{:02} {}{}\n", parts.tm_hour, parts.tm_min,
                                 parts.tm_sec, name(level), text);
  addToHistory(line);
  if (isJournal()) line = fmt::format("<{}>{}\n", journalLevel(level), text);
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
