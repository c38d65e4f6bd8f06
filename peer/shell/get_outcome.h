// The outcome of `get`. Pure functions; text is escaped.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/command/outcome.h"
#include "peer/core/search_result.h"
#include "peer/shell/download_service.h"

namespace espalier::peer::shell {

using command::Json;

struct GetOutcome {
  std::optional<std::vector<Fetched>> files;  // none: nothing was fetched, and something failed
  std::vector<std::string> missing;           // peers without an answer, each once; and why
  std::vector<FoundFile> candidates;          // of names that stand for several files
};

// "files":[{"name":"f3.txt","size":12,"root":"<64 hex>","path":"…","sources":["s3"],
// "seconds":0.01}]
void addMembers(Json& data, const GetOutcome& outcome);
const char* entriesNameOf(const GetOutcome& outcome);
void eachEntryOf(const GetOutcome& outcome, const command::EachEntry& each);
// "missing":["s7"],"candidates":[…], each if it is not empty.
void addMembersBehindErrors(Json& data, const GetOutcome& outcome);
// A line for each file, or one line for more than 100; then the candidates.
std::string textOf(const GetOutcome& outcome);

}  // namespace espalier::peer::shell
