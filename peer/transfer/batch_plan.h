// Which files of a batch (many_files.h) are ordinary: those are fetched by the batch, all others by
// Downloader. A file is not ordinary when its name exists already or cannot be used, its root is
// earlier in the list, an earlier run left a part of it, or it is empty or has several chunks.
//
// Called by fetchMany(). Creates no file and no folder in the user's folder. Blocks on the disk.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/file_descriptor.h"
#include "common/base/result.h"
#include "peer/transfer/many_files.h"
#include "peer/transfer/safe_path.h"
#include "peer/transfer/target.h"

namespace espalier::transfer {

struct BatchPlan {
  FileDescriptor base;  // the user's folder
  // Of any file, because the parts of all lie in one folder. Nothing when no file is ordinary.
  std::optional<Target> target;
  std::vector<bool> ordinary;  // whether a file is, by its place in the batch
};

// `stateFolder`: see DownloaderOptions.
Result<BatchPlan> planBatch(const ManyRequest& request, const std::string& stateFolder);

}  // namespace espalier::transfer
