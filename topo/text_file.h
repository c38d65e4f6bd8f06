// Small text files that somebody else may be reading: topo.txt, NumberOfServers.txt. The one part
// of topo/ that touches the disk. Thread-safe as far as no two write the same path.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"

namespace espalier::topo {

// Replaces `path` by a file with that text, readable by everybody: a reader sees the old text or
// the new, never half of one. Written to `path`.new first and renamed; what was left there by a
// crash is replaced, and a symbolic link, there or at `path`, is replaced rather than followed.
// After an error (code `io`) the old file is as it was and `path`.new is gone. Does not wait for
// the disk: after a power failure the old text may be back.
Result<void> writeAtomically(const std::string& path, std::string_view text);

// At most limits::kTopoFileBytes of a regular file. Errors have the code `io`.
Result<std::string> readFile(const std::string& path);

}  // namespace espalier::topo
