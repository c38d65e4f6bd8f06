// The last lines of the log, for who shows them later: the page in the browser. Nothing is kept
// before keepHistory() was called.
//
// Thread-safe. At most limits::kLogLinesKept lines of limits::kLogLineKeptBytes; a longer one is
// cut. A line costs one copy under a mutex of its own, which no I/O is done under.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace espalier::log {

struct KeptLine {
  std::uint64_t number = 0;  // from 1, without gaps
  std::string text;          // without the line feed; others' text is escaped in it
};

// From now on lines are kept. Called by main(), if there is a page.
void keepHistory();
// The lines with numbers above `after` that are still kept, the oldest first.
std::vector<KeptLine> history(std::uint64_t after);

// Called by write().
void addToHistory(std::string_view line);

}  // namespace espalier::log
