// The lists of hashes that are being sent to askers. Askers of one file share its list, which may
// have 32 MiB. Thread-safe. Used by Upload.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "common/base/guarded.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "peer/transfer/source.h"

namespace espalier::transfer {

class SentLists {
 public:
  using List = std::shared_ptr<const std::vector<Digest>>;
  // Blocks on the disk, if nobody is sent the list now.
  Result<List> of(FileSource& source, const FileRoot& root);

 private:
  Guarded<std::map<FileRoot, std::weak_ptr<const std::vector<Digest>>>> lists_;
};

}  // namespace espalier::transfer
