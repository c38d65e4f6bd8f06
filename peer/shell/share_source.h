// The file source of this peer's transfer server: the share's index, then the downloads in progress
// that will be shared.
//
// Thread-safe, as are the index and the partial files. Called by the threads of upload slots.
#pragma once

#include "peer/share/share_index.h"
#include "peer/transfer/partial_files.h"
#include "peer/transfer/source.h"

namespace espalier::peer::shell {

class ShareSource final : public transfer::FileSource {
 public:
  // `index` and `partialFiles` outlive it.
  ShareSource(share::ShareIndex& index, transfer::PartialFiles& partialFiles)
      : index_(index), partialFiles_(partialFiles) {}

  std::optional<wire::FileEntry> find(const FileRoot& root) override;
  std::shared_ptr<const transfer::PartialFile> partialFile(const FileRoot& root) override;
  Result<transfer::ServedFile> open(const FileRoot& root) override;
  void rejected(const FileRoot& root) override { index_.recheck(root); }
  Result<std::vector<Digest>> chunkHashes(const FileRoot& root) override;
  Extent extent() override;
  std::vector<wire::FileEntry> list(std::string_view after, std::size_t limit) override;

 private:
  share::ShareIndex& index_;
  transfer::PartialFiles& partialFiles_;
};

}  // namespace espalier::peer::shell
