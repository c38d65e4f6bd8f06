// Asks a peer for the list of what it shares, page after page. Called by the commands `list` and
// `get DIR/` (peer/shell). Blocks; any thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/net/interrupter.h"
#include "common/wire/transfer.h"
#include "peer/transfer/holder_connection.h"

namespace espalier::transfer {

struct SharedList {
  std::vector<wire::FileEntry> files;
  // At least so many files are there beyond those.
  std::uint64_t more = 0;
  bool indexing = false;  // the holder has not read all of its share yet
};

// All that the peer shares whose name begins with `prefix`, at most limits::kListFiles. Names are
// as the peer has them: not safe to print or to write to.
Result<SharedList> listShared(const Holder& holder, Timeouts timeouts,
                              net::Interrupter& interrupter, std::string_view prefix = {});

}  // namespace espalier::transfer
