// One asker's connection, being served by the thread that calls run(): requests are answered in
// order until the asker leaves, is silent for too long, or the server stops.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/file_descriptor.h"
#include "common/base/result.h"
#include "common/wire/frame.h"
#include "common/wire/transfer.h"
#include "peer/transfer/source.h"

namespace espalier::transfer {

// What a server has done. Each counter on its own is exact.
struct UploadCounters {
  std::atomic<std::uint64_t> chunks = 0;
  std::atomic<std::uint64_t> bytes = 0;  // of files
};

class Upload {
 public:
  // `socket` is blocking and stays the caller's. `behind`: what was read behind the Hello.
  Upload(int socket, std::string_view behind, FileSource& source, UploadCounters& counters);

  // Why it ended; `ok` when the asker left between two requests.
  Result<void> run();

 private:
  using Failed = std::optional<wire::TransferFailure>;

  Result<void> answer(const wire::UnknownRequest&);
  Result<void> answer(const wire::ChunkListRequest& request);
  Result<void> answer(const wire::ChunkRequest& request);
  Result<void> answer(const wire::ListRequest& request);
  Failed openFile(const FileRoot& root);
  bool unchanged() const;
  // False: the file turned out shorter, and zeros were sent in place of the rest.
  Result<bool> sendBytes(std::uint64_t offset, std::uint64_t bytes);
  Result<void> answerSmall(std::uint64_t chunk, std::uint64_t offset, std::uint64_t bytes);
  Result<void> queue(const wire::TransferAnswer& answer);
  Result<void> flush(bool moreFollows = false);

  int socket_;
  FileSource& source_;
  UploadCounters& counters_;
  wire::FrameReader reader_;
  std::string out_;  // answers that were not sent yet, small chunks among them
  // The file that was asked for last stays open: chunks of one file come in a row.
  std::optional<FileInfo> info_;
  OpenedFile file_;
};

}  // namespace espalier::transfer
