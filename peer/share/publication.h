// The snapshot and the progress that other threads see, and how often a new snapshot is made.
//
// The indexer's thread changes its catalogue all the time; a new snapshot follows after 10 ms, or
// after 100 ms while files are scanned or hashed, but publishing takes at most a twentieth of the
// time: a snapshot of 100,000 files costs about a millisecond.
//
// Tickets: nextTicket() numbers the present moment. Once nothing is left to be scanned, hashed or
// published, update() says that all tickets given so far are published.
//
// Thread rule: the first group of functions is thread-safe, wait() blocks; the second is of the
// indexer's thread only.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>

#include "common/base/clock.h"
#include "peer/share/catalogue.h"
#include "peer/share/indexing_progress.h"
#include "peer/share/snapshot.h"

namespace espalier::share {

class Publication {
 public:
  using Enough = std::function<bool(const Snapshot&, const IndexingProgress&)>;

  std::shared_ptr<const Snapshot> snapshot() const;
  IndexingProgress progress() const;
  // Blocks until `enough` holds for what is published, or the timeout; true in the first case.
  // `enough` runs on the caller's thread, without a lock.
  bool wait(std::chrono::milliseconds timeout, const Enough& enough) const;

  std::uint64_t nextTicket() { return ++tickets_; }
  // When the next snapshot may be published. `busy`: files are being scanned or hashed.
  TimePoint due(bool busy) const;
  // Makes a snapshot of the catalogue's changes and shows it.
  void publish(Catalogue& catalogue, std::shared_ptr<const SharedFolders> folders);
  // `progress.publishedTicket` is filled in. `atRest`: nothing is left to be published.
  void update(IndexingProgress progress, bool atRest);

 private:
  struct Published {
    std::shared_ptr<const Snapshot> snapshot = std::make_shared<const Snapshot>();
    IndexingProgress progress;
  };

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  Published published_;

  // The indexer's thread only.
  std::uint64_t tickets_ = 0;
  TimePoint publishedAt_{};
  Duration publishCost_{};
};

}  // namespace espalier::share
