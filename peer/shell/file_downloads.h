// The download service of a peer: turns what a search found into transfers, and keeps the table of
// active downloads up to date while they run.
//
// A single file is fetched by transfer::Downloader, which also searches for further holders. Many
// files are fetched together (many_download.h). Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "peer/share/share_index.h"
#include "peer/shell/active_downloads.h"
#include "peer/shell/download_service.h"
#include "peer/shell/search_service.h"
#include "peer/transfer/downloader.h"
#include "peer/transfer/partial_files.h"

namespace espalier::peer::shell {

class FileDownloads final : public DownloadService {
 public:
  struct Folders {
    std::string downloads;
    std::string share;
  };
  // All outlive it. `search` finds further holders of a file; `partialFiles` serves what is
  // received to others when the downloads folder is the share.
  FileDownloads(Folders folders, SearchService& search, share::ShareIndex& index,
                const transfer::Downloader& downloader, transfer::PartialFiles& partialFiles,
                ActiveDownloads& active)
      : folders_(std::move(folders)),
        search_(search),
        index_(index),
        downloader_(downloader),
        partialFiles_(partialFiles),
        active_(active) {}

  Result<Fetched> fetch(const DownloadRequest& request, std::stop_token stop,
                        const OnProgress& progress) override;
  void fetchMany(const std::vector<DownloadRequest>& requests, std::stop_token stop,
                 const OnProgress& progress, const OnFetched& each) override;

 private:
  // `dials`: of the command; null: of this fetch alone.
  Result<Fetched> fetchOne(const DownloadRequest& request, std::stop_token stop,
                           const OnProgress& progress,
                           std::shared_ptr<transfer::DialTargets> dials);
  transfer::FetchRequest transferOf(const DownloadRequest& request, const std::stop_token& stop);
  std::vector<Holder> holdersOf(const FileRoot& root, std::uint64_t size, std::stop_token stop);

  const Folders folders_;
  SearchService& search_;
  share::ShareIndex& index_;
  const transfer::Downloader& downloader_;
  transfer::PartialFiles& partialFiles_;
  ActiveDownloads& active_;
};

// Which names that begin with a dot a download may write: all where the user named a destination.
transfer::DotNames dotsOf(const Destination& destination);

}  // namespace espalier::peer::shell
