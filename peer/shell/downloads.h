// The downloads that go on at this peer: what they are called, how far they are, and how they are
// held up.
//
//   running <--resume, pause--> paused
//      |                           |
//      +----------cancel-----------+--> cancelled
//
// One that is paused has no connection, so it takes up no holder's slot; what came is kept, is
// given on no longer, and is taken up again by resume, or by another `get` after a cancel.
//
// Thread-safe. A Download belongs to the thread that fetches.
#pragma once

#include <condition_variable>
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
#include "peer/shell/transfer_service.h"

namespace espalier::peer::shell {

class Downloads {
  struct Entry {
    std::mutex mutex;  // guards what follows
    std::condition_variable_any changed;
    ActiveTransfer shown;
    bool cancelled = false;
    std::stop_source attempt;
  };

 public:
  class Download {
   public:
    Download(Download&&) = default;
    Download& operator=(Download&&) = delete;
    ~Download();

    // Calls `attempt` with a token that pause, cancel and `stop` ask for its end by; again after a
    // pause, when it is over. What it came to.
    template <typename T>
    Result<T> attempts(const std::stop_token& stop,
                       const std::function<Result<T>(std::stop_token)>& attempt);
    void update(const std::function<void(ActiveTransfer& shown)>& change);

   private:
    friend Downloads;
    std::stop_token token() const;
    // Waits while it is paused. `ok`: try again; else why not.
    Result<void> goOn(const std::stop_token& stop);
    Download(Downloads& table, std::uint64_t number, std::shared_ptr<Entry> entry)
        : table_(&table), number_(number), entry_(std::move(entry)) {}
    Downloads* table_;
    std::uint64_t number_;
    std::shared_ptr<Entry> entry_;
  };

  Download begin(std::string name, std::uint64_t bytes);
  std::vector<ActiveTransfer> list() const;

  // Those of these numbers, or all, as they are then. `failed` when there is none of a number, and
  // none is touched.
  Result<std::vector<ActiveTransfer>> control(TransferControl what,
                                              const std::vector<std::uint64_t>& numbers);

 private:
  using Entries = std::map<std::uint64_t, std::shared_ptr<Entry>>;
  struct Table {
    std::uint64_t last = 0;
    Entries entries;
  };
  Entries entries() const;

  Guarded<Table> table_;
};

template <typename T>
Result<T> Downloads::Download::attempts(const std::stop_token& stop,
                                        const std::function<Result<T>(std::stop_token)>& attempt) {
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
