#include "metaserver/shell/files_writer.h"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "common/base/log.h"
#include "common/base/thread.h"
#include "common/base/write_pace.h"

namespace espalier::metaserver::shell {
namespace {

using namespace std::chrono_literals;

constexpr auto kRetry = 1s;  // of a file that could not be written

}  // namespace

FilesWriter::FilesWriter(Paths paths, TakeSnapshot takeSnapshot, TakeServers takeServers)
    : paths_(std::move(paths)),
      takeSnapshot_(std::move(takeSnapshot)),
      takeServers_(std::move(takeServers)) {}

Result<void> FilesWriter::start() {
  return startThread(thread_, [this] { run(); });
}

FilesWriter::~FilesWriter() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  woken_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void FilesWriter::wake() {
  {
    const std::lock_guard lock(mutex_);
    if (wanted_) return;
    wanted_ = true;
  }
  woken_.notify_one();
}

void FilesWriter::writeAgain() {
  {
    const std::lock_guard lock(mutex_);
    again_ = wanted_ = true;
  }
  woken_.notify_one();
}

void FilesWriter::run() {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    const auto woken = [&] { return wanted_ || ending_; };
    if (failing_.empty()) {
      woken_.wait(lock, woken);
    } else {
      woken_.wait_for(lock, kRetry, woken);
    }
    wanted_ = false;
    const bool again = std::exchange(again_, false);
    if (again) written_ = 0;
    lock.unlock();
    const WritePace pace;
    writeServers(again);
    writeNewest();
    const Duration rest = pace.rest();
    lock.lock();
    woken_.wait_for(lock, rest, [&] { return ending_; });
  }
  lock.unlock();
  writeServers(false);
  writeNewest();
}

void FilesWriter::writeServers(bool again) {
  if (!takeServers_) return;
  const auto text = takeServers_(again || failing_.contains(paths_.servers));
  if (!text) return;
  told(paths_.servers, replaceFile(paths_.servers, *text, Durability::soft, kPrivate));
}

void FilesWriter::writeNewest() {
  const auto snapshot = takeSnapshot_(failing_.empty() ? written_ : 0);
  if (!snapshot) return;
  written_ = snapshot->version;
  const auto forReaders = [&](const std::string& path, const std::string& text) {
    told(path, writeOutputFile(path, text, kPublic));
  };
  forReaders(paths_.topo, topo::format(snapshot->lines));
  forReaders(paths_.count, fmt::format("{}\n", snapshot->lines.size()));
  // Durable, because a metaserver does not start on an empty state file.
  told(paths_.state,
       replaceFile(paths_.state, formatState(snapshot->state), Durability::durable, kPrivate));
}

void FilesWriter::told(const std::string& path, const Result<void>& result) {
  if (!result) {
    if (failing_.insert(path).second) {
      log::error("{}; the network goes on, and the file is written as soon as it can be",
                 result.error().message);
    }
  } else if (failing_.erase(path) > 0) {
    log::info("{} can be written again", path);
  }
}

}  // namespace espalier::metaserver::shell
