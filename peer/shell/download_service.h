// Downloads of files that a search has found. Thread rule: see search_service.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/command/progress.h"
#include "peer/core/search_result.h"

namespace espalier::peer::shell {

struct Destination {
  enum class Form { downloads, file, folder };
  Form form = Form::downloads;
  std::string path;  // the file; or the folder below which the file's own name is created
  // What the user asked for. In the downloads folder a component of a name that begins with a dot
  // is written only if it is part of this text.
  std::string typed = {};
};

struct DownloadRequest {
  FoundFile file;  // with the holders to begin with; one of them may be this peer itself
  Destination destination;
  bool force = false;  // replace an existing file that differs
  // The same root with other sizes. At most one size is right; all of them are tried.
  std::vector<FoundFile> others = {};
};

struct Fetched {
  std::string name;
  std::uint64_t sizeBytes = 0;
  FileRoot root;
  std::string path;             // of the saved file, as a user would type it: ./s2/f3.txt
  std::vector<PeerId> sources;  // empty: the file existed already
  double seconds = 0;
};

class DownloadService {
 public:
  virtual ~DownloadService() = default;

  // Fetches, verifies and saves one file. An existing file with that root is a success without
  // sources. `progress` may be empty.
  using OnProgress = std::function<void(const command::Progress&)>;
  virtual Result<Fetched> fetch(const DownloadRequest& request, std::stop_token stop,
                                const OnProgress& progress) = 0;

  // Fetches many files, small ones over few connections. All requests have the same destination,
  // which is not a file. `each` is called once a request, in any order.
  using OnFetched = std::function<void(std::size_t request, Result<Fetched> fetched)>;
  virtual void fetchMany(const std::vector<DownloadRequest>& requests, std::stop_token stop,
                         const OnProgress& progress, const OnFetched& each) = 0;
};

}  // namespace espalier::peer::shell
