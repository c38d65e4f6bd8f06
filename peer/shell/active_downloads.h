// The table of downloads in progress: name, progress, and control from other threads.
//
//   running <--resume, pause--> paused
//      |                           |
//      +----------cancel-----------+--> cancelled
//
// A paused download has no connection, so it occupies no holder's slot. The received chunks are
// kept, but not served to other peers meanwhile. Resume continues from them, and so does another
// `get` after a cancel.
//
// FileDownloads makes a Handle for each download. `pause`, `resume` and `cancel` call control(),
// `status` calls list(), both through TransferMonitor.
//
// Each change is published as DownloadChanged; a paused download waits for that event. Thread-safe.
// A Handle belongs to the thread that downloads.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "common/base/guarded.h"
#include "common/base/result.h"
#include "peer/shell/events.h"
#include "peer/shell/transfer_service.h"

namespace espalier::peer::shell {

class ActiveDownloads {
  struct Entry {
    std::mutex mutex;  // guards what follows
    ActiveTransfer shown;
    bool cancelled = false;
    std::stop_source attempt;
  };

 public:
  class Handle {
   public:
    Handle(Handle&&) = default;
    Handle& operator=(Handle&&) = delete;
    ~Handle();

    // Calls `attempt` with a token that pause, cancel and `stop` trigger. After a pause it is
    // called again once the download is resumed. Returns the result of the last call.
    template <typename T>
    Result<T> attempts(const std::stop_token& stop,
                       const std::function<Result<T>(std::stop_token)>& attempt);
    void update(const std::function<void(ActiveTransfer& shown)>& change);

   private:
    friend ActiveDownloads;
    std::stop_token token() const;
    // Waits while it is paused. `ok`: try again; else why not.
    Result<void> goOn(const std::stop_token& stop);
    Handle(ActiveDownloads& table, std::uint64_t number, std::shared_ptr<Entry> entry)
        : table_(&table), number_(number), entry_(std::move(entry)) {}
    ActiveDownloads* table_;
    std::uint64_t number_;
    std::shared_ptr<Entry> entry_;
  };

  explicit ActiveDownloads(EventBus& events) : events_(events) {}

  Handle begin(std::string name, std::uint64_t bytes);
  std::vector<ActiveTransfer> list() const;

  // Bytes received by all downloads since the start.
  void received(std::uint64_t bytes) { receivedBytes_ += bytes; }
  std::uint64_t receivedBytes() const { return receivedBytes_; }

  // The downloads with these numbers, or all, as they are then. `failed` when one of the numbers is
  // unknown; then none is changed.
  Result<std::vector<ActiveTransfer>> control(TransferControl what,
                                              const std::vector<std::uint64_t>& numbers);

 private:
  using Entries = std::map<std::uint64_t, std::shared_ptr<Entry>>;
  struct Table {
    std::uint64_t last = 0;
    Entries entries;
  };
  Entries entries() const;

  EventBus& events_;
  std::atomic<std::uint64_t> receivedBytes_{0};
  Guarded<Table> table_;
};

template <typename T>
Result<T> ActiveDownloads::Handle::attempts(
    const std::stop_token& stop, const std::function<Result<T>(std::stop_token)>& attempt) {
  while (true) {
    std::stop_source ended;
    const auto end = [&] { ended.request_stop(); };
    const std::stop_callback whenStopped(stop, end);
    const std::stop_callback whenHeldUp(token(), end);
    auto result = attempt(ended.get_token());
    const bool interrupted = !result && result.error().code == ErrorCode::interrupted;
    if (!interrupted || !ended.stop_requested()) return result;
    if (auto goes = goOn(stop); !goes) return goes.error();
  }
}

}  // namespace espalier::peer::shell
