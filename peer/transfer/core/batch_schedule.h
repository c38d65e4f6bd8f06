// The schedule of a batch of small files (many_files.h): which files to ask which holder for.
//
//   left --add--> waiting --next--> asked --arrived--> written --named--> done
//    ^               ^                |                   |
//    |               +--- release ----+                   |
//    +---------------- leave ---------+-------------------+
//
// A file that is `left` at the end is for Downloader: it was never added, no holder that was asked
// for it had it, or its name was taken. Each file is asked for at one holder at a time.
//
// Invariant: no holder is asked for more than limits::kManyAhead files, nor for another one while
// limits::kManyAheadBytes are on their way from it.
//
// Does no I/O. Not thread-safe: fetchMany() calls it under a mutex. O(1) amortised a file and
// holder.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

namespace espalier::transfer {

class BatchSchedule {
 public:
  enum class State : std::uint8_t { left, waiting, asked, written, done };

  // All files begin as `left`.
  BatchSchedule(std::size_t files, std::size_t holders) : files_(files), holders_(holders) {}

  // The file may be asked for at these holders.
  void add(std::size_t file, std::uint64_t sizeBytes, std::span<const std::size_t> holders);
  bool isNeeded(std::size_t holder) const { return !holders_[holder].queue.empty(); }

  // The files to ask the holder for now, in this order. Refilled when half of what was asked for
  // has arrived, so that requests travel together.
  std::vector<std::size_t> next(std::size_t holder);
  // The holder answered: the file is written, or left. `holder` is the one that was asked for it.
  void arrived(std::size_t file, std::size_t holder);
  void leave(std::size_t file, std::size_t holder);
  // A written file got its name; false: another file has the name.
  void named(std::size_t file, bool named);
  // The holder left: what it was asked for waits for other holders.
  void release(std::size_t holder);

  State state(std::size_t file) const { return files_[file].state; }

 private:
  struct File {
    State state = State::left;
    std::uint64_t sizeBytes = 0;
  };
  struct HolderQueue {
    std::deque<std::size_t> queue;  // files that it may be asked for; they may stand in several
    std::deque<std::size_t> asked;  // in order
    std::uint64_t askedBytes = 0;
  };
  void answered(std::size_t file, std::size_t holder);

  std::vector<File> files_;
  std::vector<HolderQueue> holders_;
};

}  // namespace espalier::transfer
