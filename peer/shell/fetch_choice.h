// What is to be fetched of the files that a search found: hits become requests, and where they
// stand for several files or names the user chooses. Nothing that was found is trusted.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/command/dispatcher.h"
#include "peer/shell/download_service.h"

namespace espalier::peer::shell {

// The same content under one name or several becomes one request to all of its holders, with what
// is said of it in other sizes beside it: of those one at most is right. In the order of `files`.
std::vector<DownloadRequest> byRoot(std::vector<FoundFile> files);

// What hits of one root can be saved as. Whoever says to hold it chose the names, so of each only
// the last part counts, and none that would be hidden. In the order of `files`, each once.
std::vector<std::string> plainNames(const std::vector<FoundFile>& files);

// The question which of these names it is to be.
std::string whichName(const std::string& root, const std::vector<std::string>& names);

// Asks with `question` until the answer is a number from 1 to `count`, which is returned less one.
// `name`: what it is about, for the error when nothing is chosen.
Result<std::size_t> askWhich(std::string question, std::size_t count, const std::string& name,
                             command::Context& context);

}  // namespace espalier::peer::shell
