// The outcome of `find`: hits, and how complete the answer is. `get` shows the same where a name
// stands for several files, or where answers are missing. Pure functions; text is escaped.
#pragma once

#include <string>
#include <vector>

#include "common/command/outcome.h"
#include "peer/core/search_result.h"

namespace espalier::peer::shell {

using command::Json;

struct FindOutcome {
  SearchResult result;
  bool failed = false;  // then its text is empty: the error's sentence says how far the search came
};

// "hits":[…],"searched":5,"peers":5,"missing":[]; also "indexing":["s4"] and "more":12 where there
// is something to say.
void addMembers(Json& data, const FindOutcome& outcome);
const char* entriesNameOf(const FindOutcome& outcome);
void eachEntryOf(const FindOutcome& outcome, const command::EachEntry& each);
void writeTextOf(const FindOutcome& outcome, const command::Write& write);

// {"name":"f3.txt","size":12,"root":"<64 hex>","holders":["s3"]}; also "partial":["s4"] if a holder
// has a part only.
Json hitData(const FoundFile& file);

// Several files of one name, as numbered lines.
std::string candidatesText(const std::vector<FoundFile>& files);

// The peers that did not answer: `s7`, `s7 and 3 below it`, `3 below s7`, `2 more`.
std::vector<std::string> missingNames(const SearchResult& result);

// `searched 3 of 5 peers; no answer from s7 and 3 below it; s4 is still indexing`
std::string coverage(const SearchResult& result);

}  // namespace espalier::peer::shell
