// Makes download requests of the files that a search found. If a name stands for several files, or
// a file has several names, the user chooses. Hits are not trusted. Called by GetCommand.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/command/dispatcher.h"
#include "peer/shell/download_service.h"

namespace espalier::peer::shell {

// Hits of one root, under one name or several, become one request to all of their holders. Hits of
// that root with other sizes are its `others`; at most one size is right. In the order of `files`.
std::vector<DownloadRequest> byRoot(std::vector<FoundFile> files);

// The names under which a file with hits of one root can be saved. The holders chose them, so only
// the last component counts, and hidden names are left out. In the order of `files`, each once.
std::vector<std::string> plainNames(const std::vector<FoundFile>& files);

// The question which of these names is used.
std::string whichName(const std::string& root, const std::vector<std::string>& names);

// Asks `question` until the answer is a number from 1 to `count`. Returns the number less one.
// `name` stands in the error that nothing was chosen.
Result<std::size_t> askWhich(std::string question, std::size_t count, const std::string& name,
                             command::Context& context);

}  // namespace espalier::peer::shell
