// Runs the threads of one fetch: one a source, limits::kFetchSources at most, each with one
// FetchConversation after another, and one that searches for more holders. What they share is
// FetchWork.
//
// A source that lied, or broke off without having delivered anything, is not dialled again; its
// thread takes the next holder, if there are more than threads. Searches for more holders after
// limits::kSeekHoldersFirst, then at growing intervals, and at once when no source is left.
//
// Used once. run() is called by one thread, which waits, reserves space, reports progress, and
// joins the others.
#pragma once

#include <cstddef>
#include <stop_token>
#include <thread>
#include <vector>

#include "common/base/result.h"
#include "common/net/interrupter.h"
#include "peer/transfer/downloader.h"
#include "peer/transfer/fetch_work.h"
#include "peer/transfer/part_file.h"

namespace espalier::transfer {

class FetchJob {
 public:
  FetchJob(const FetchRequest& request, const DownloaderOptions& options, PartFile& part);
  FetchJob(const FetchJob&) = delete;
  FetchJob& operator=(const FetchJob&) = delete;

  // `ok`: every chunk is in the part.
  Result<void> run(std::stop_token stop, const ProgressCallback& progress);
  // After run().
  void report(FetchResult& result) const { work_.report(result); }

 private:
  Result<void> adoptKnownPlan();
  void watch(FetchWork::Lock& lock, const ProgressCallback& progress);
  void startThreads(const FetchWork::Lock& lock);
  void work(std::size_t first);
  void serveFrom(std::size_t index);
  void seekHolders();

  const FetchRequest& request_;
  const DownloaderOptions& options_;
  PartFile& part_;
  std::stop_token stop_;
  net::Interrupter interrupter_;
  FetchWork work_;
  bool seeking_ = false;  // another holder may still be found; guarded by the lock of work_
  std::vector<std::jthread> threads_;  // last: they use the rest
};

}  // namespace espalier::transfer
