// The program's log: a line an event on standard error, `HH:MM:SS level text`; for systemd's
// journal, which adds the time, `<N>text` with the number of its level. Thread-safe; a line is
// written with one write(2), so lines never mix. The caller escapes what came from the network.
//
// A line that others can cause names the payer that it is about:
//
//   log::warning(Payer::host(remote.host), "{} sent what is no request", remote.text());
//
// Such lines are bounded (limits::Rate::logLines): a payer that causes more leaves those about
// other payers alone, and all together are fewer than 100 a minute, of which a part is kept for
// warnings. At level debug eight times as many are allowed. Lines above a bound are left out and
// counted; one line tells later how many there were.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/budget.h"
#include "common/base/clock.h"
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

// --- lines that others can cause

// The budget of these lines, the process's; nullptr: a new one. Forgets what was left out.
void useBudget(std::shared_ptr<Budget> budget);
// Whether a line about this payer may be written now. Counts it, or counts it as left out.
bool mayTell(Level level, const Payer& about);
// Tells how many lines were left out, if tellDue() has passed. The event loop calls it.
void tellLeftOut(TimePoint now);
TimePoint tellDue();  // kNever: no line was left out

template <typename... Args>
void debug(const Payer& about, fmt::format_string<Args...> format, Args&&... args) {
  if (mayTell(Level::debug, about)) {
    write(Level::debug, fmt::format(format, std::forward<Args>(args)...));
  }
}
template <typename... Args>
void info(const Payer& about, fmt::format_string<Args...> format, Args&&... args) {
  if (mayTell(Level::info, about)) {
    write(Level::info, fmt::format(format, std::forward<Args>(args)...));
  }
}
template <typename... Args>
void warning(const Payer& about, fmt::format_string<Args...> format, Args&&... args) {
  if (mayTell(Level::warning, about)) {
    write(Level::warning, fmt::format(format, std::forward<Args>(args)...));
  }
}

// --- lines about this program itself

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
