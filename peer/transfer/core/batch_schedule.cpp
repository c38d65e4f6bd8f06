#include "peer/transfer/core/batch_schedule.h"

#include <cassert>

#include "common/base/limits.h"

namespace espalier::transfer {

void BatchSchedule::add(std::size_t file, std::uint64_t sizeBytes,
                        std::span<const std::size_t> holders) {
  files_[file] = {State::waiting, sizeBytes};
  for (const std::size_t holder : holders) holders_[holder].queue.push_back(file);
}

std::vector<std::size_t> BatchSchedule::next(std::size_t holder) {
  std::vector<std::size_t> files;
  auto& [queue, asked, askedBytes] = holders_[holder];
  if (asked.size() > limits::kManyAhead / 2) return files;
  while (!queue.empty() && asked.size() < limits::kManyAhead &&
         askedBytes < limits::kManyAheadBytes) {
    const std::size_t file = queue.front();
    queue.pop_front();
    if (files_[file].state != State::waiting) continue;  // another holder was asked for it
    files_[file].state = State::asked;
    asked.push_back(file);
    askedBytes += files_[file].sizeBytes;
    files.push_back(file);
  }
  return files;
}

// Holders answer in the order of asking.
void BatchSchedule::answered(std::size_t file, std::size_t holder) {
  auto& of = holders_[holder];
  assert(!of.asked.empty() && of.asked.front() == file);
  of.asked.pop_front();
  of.askedBytes -= files_[file].sizeBytes;
}

void BatchSchedule::arrived(std::size_t file, std::size_t holder) {
  answered(file, holder);
  files_[file].state = State::written;
}

void BatchSchedule::leave(std::size_t file, std::size_t holder) {
  answered(file, holder);
  files_[file].state = State::left;
}

void BatchSchedule::named(std::size_t file, bool named) {
  files_[file].state = named ? State::done : State::left;
}

void BatchSchedule::release(std::size_t holder) {
  auto& of = holders_[holder];
  for (const std::size_t file : of.asked) files_[file].state = State::waiting;
  of.asked.clear();
  of.askedBytes = 0;
}

}  // namespace espalier::transfer
