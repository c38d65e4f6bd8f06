// The progress of a command, and a bar that shows it at a terminal:
//
//   film.mkv   42 %  1.2 GB of 2.9 GB  310.4 MB/s  5.48 s left
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "common/base/clock.h"

namespace espalier::command {

enum class Unit {
  bytes,
  items,
  none  // no figures, only the name
};

struct Progress {
  std::string name;  // empty: the end, which removes the bar
  std::uint64_t done = 0;
  std::uint64_t total = 0;  // 0: not known
  Unit unit = Unit::bytes;
  std::string detail = {};  // shown at the end of the line, cut to its width

  bool operator==(const Progress&) const = default;
};

// Draws at most once in limits::kProgressInterval, and nothing for a command that ends within
// limits::kProgressDelay. The rate is that of the last three seconds. Does no I/O: `show` gets the
// line that replaces the previous one, at most `columns` wide; an empty line removes it. Not
// thread-safe. Used by the prompt and by standaloneContext().
class ProgressBar {
 public:
  using Show = std::function<void(const std::string& line)>;
  ProgressBar(Show show, std::size_t columns);

  void update(const Progress& progress, TimePoint now);
  void finish();

 private:
  struct Sample {
    TimePoint time;
    std::uint64_t done;
  };

  double rate() const;
  std::string line(const Progress& progress) const;

  Show show_;
  std::size_t columns_;
  std::string name_;
  std::deque<Sample> samples_;
  std::optional<TimePoint> begun_;
  TimePoint drawn_{};
  bool shown_ = false;
};

std::size_t terminalColumns(int descriptor);

}  // namespace espalier::command
