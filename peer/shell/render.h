// The typed outcomes of a peer's commands: as data, in the shapes that --json prints, and from that
// data the text that a person reads. Pure functions; names from the network are escaped here.
#pragma once

#include <string>
#include <vector>

#include "common/command/dispatcher.h"
#include "peer/shell/services.h"

namespace espalier::peer::shell {

using command::Json;

// {"name":"f3.txt","size":12,"root":"<64 hex>","holders":["s3"]}; also "partial":["s4"] where some
// have a part only.
Json hitData(const FoundFile& file);
// {"command":"find","hits":[…],"searched":5,"peers":5,"missing":[]}; also "indexing":["s4"] and
// "more":12 where there is something to say.
Json findData(const SearchResult& result);
// {"name":"f3.txt","size":12,"root":"<64 hex>","path":"…","sources":["s3"],"seconds":0.01}
Json fetchedData(const Fetched& fetched);
Json listData(const ShareReport& report);
Json linksData(const std::vector<LinkedPeer>& links);
Json statusData(const PeerStatus& status);
Json shareChangeData(std::string_view command, const ShareChange& change);

std::string findText(const Json& data);
std::string getText(const Json& data);
std::string listText(const Json& data);
std::string linksText(const Json& data);
std::string statusText(const Json& data);
std::string shareChangeText(const Json& data);

// One numbered line for each of several files of one name.
std::string candidatesText(const Json& candidates);

// `searched 3 of 5 peers; no answer from s7 and 3 below it; s4 is still indexing`
std::string coverage(const Json& findData);

}  // namespace espalier::peer::shell
