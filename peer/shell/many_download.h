// One download of many files: builds the request for transfer::fetchMany, and reports the outcome
// of each file once.
//
// A pause ends the attempt; the next one asks for the files that are still missing. Blocks its
// caller; used by one thread, once.
#pragma once

#include <cstddef>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "peer/shell/active_downloads.h"
#include "peer/shell/download_service.h"
#include "peer/transfer/downloader.h"
#include "peer/transfer/many_files.h"

namespace espalier::peer::shell {

class ManyDownload {
 public:
  struct Task {
    const std::vector<DownloadRequest>& requests;
    std::string folder;  // where all of them go
    transfer::DotNames dots;
    PeerId self;
    std::shared_ptr<transfer::DialTargets> dials;
    const DownloadService::OnProgress& progress;
    const DownloadService::OnFetched& each;
  };
  // What the task refers to outlives it.
  explicit ManyDownload(Task task);

  // Tells `each` of the files that were fetched or failed. Returns the requests for which each file
  // must be fetched by itself.
  std::vector<std::size_t> run(const transfer::DownloaderOptions& options, ActiveDownloads& active,
                               const std::stop_token& stop);

 private:
  void select();
  void fetched(std::size_t place, std::size_t holder, ActiveDownloads& active,
               ActiveDownloads::Handle& download);

  const Task task_;
  const TimePoint begun_ = Clock::now();
  const std::string what_;  // "12 files"
  std::uint64_t totalBytes_ = 0;
  std::uint64_t doneBytes_ = 0;
  transfer::ManyRequest wanted_;    // `files`: those of this attempt
  std::vector<std::size_t> asked_;  // the requests that wanted_.files are
  std::vector<bool> told_;          // by request
};

}  // namespace espalier::peer::shell
