#include "common/base/log_history.h"

#include <atomic>
#include <deque>
#include <utility>

#include "common/base/guarded.h"
#include "common/base/limits.h"

namespace espalier::log {
namespace {

std::atomic<bool> isKept = false;

struct History {
  std::uint64_t last = 0;
  std::deque<std::string> lines;  // the newest has the number `last`
};

// Never destroyed: other threads may log while the program ends.
Guarded<History>& kept() {
  static auto* const history = new Guarded<History>();
  return *history;
}

}  // namespace

void keepHistory() {
  isKept = true;
}

void addToHistory(std::string_view line) {
  if (!isKept) return;
  if (line.ends_with('\n')) line.remove_suffix(1);
  std::string text(line.substr(0, limits::kLogLineKeptBytes));
  kept().with([&](History& history) {
    ++history.last;
    history.lines.push_back(std::move(text));
    if (history.lines.size() > limits::kLogLinesKept) history.lines.pop_front();
  });
}

std::vector<KeptLine> history(std::uint64_t after) {
  return kept().with([&](const History& history) {
    std::vector<KeptLine> lines;
    std::uint64_t number = history.last - history.lines.size();
    for (const auto& text : history.lines) {
      if (++number > after) lines.push_back({number, text});
    }
    return lines;
  });
}

}  // namespace espalier::log
