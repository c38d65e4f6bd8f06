// What this peer shares, and lists of what others share. Thread rule: see search_service.h.
#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "peer/core/search_result.h"

namespace espalier::peer::shell {

struct ListedFile {
  std::string name;
  std::uint64_t sizeBytes = 0;
  FileRoot root;
};

struct ShareReport {
  PeerId peer;
  std::vector<ListedFile> files;  // by name
  bool indexing = false;          // there may be more
  std::uint64_t more = 0;         // further files, at least, which the answer does not list
  Endpoint endpoint = {};         // where another peer listens
};

// Files below a path that are not shared, for one reason.
struct Unshared {
  std::string why;  // "cannot be read", after a name
  std::uint64_t count = 0;
  std::string example;
};

struct ShareChange {
  std::string path;
  std::uint64_t files = 0;     // `share`: that are shared now; `unshare`: that are no longer
  bool indexing = false;       // there may be more
  std::vector<Unshared> left;  // `share`: what is not shared, by reason
};

class ShareService {
 public:
  virtual ~ShareService() = default;

  // What this peer shares, or that one (`unavailable` when it is not in the network).
  virtual Result<ShareReport> list(const std::optional<PeerId>& peer, std::stop_token stop) = 0;
  // What the holder shares under names that begin with `prefix`. If the holder has no endpoint, the
  // topology says where it listens.
  virtual Result<ShareReport> filesBelow(const Holder& holder, const std::string& prefix,
                                         std::stop_token stop) = 0;

  // `path` is one of the file system; `typed` is what the user typed, perhaps a name as `list`
  // shows it.
  virtual Result<ShareChange> share(const std::string& path, const std::string& typed,
                                    std::stop_token stop) = 0;
  virtual Result<ShareChange> unshare(const std::string& path, const std::string& typed,
                                      std::stop_token stop) = 0;
};

}  // namespace espalier::peer::shell
