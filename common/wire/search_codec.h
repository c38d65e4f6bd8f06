// Search messages (search.h) as protobuf and back, for link_codec.cpp, which embeds
// `proto::Search`.
//
// Decoding checks the form: lengths of ids, roots, names and patterns, peer ids, ascending ranges,
// counts. A message that fails is an error of code `protocol` with a reason. The core checks
// whether a message makes sense (does it know the query?). Stateless; linear in the size.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/wire/search.h"

namespace espalier::proto {
class Search;
}

namespace espalier::wire {

std::string encodeSearch(const SearchMessage& message);
Result<SearchMessage> decodeSearch(std::string_view payload);

// For a codec that embeds the protobuf message in its own.
void toProto(const SearchMessage& message, proto::Search& out);
Result<SearchMessage> fromProto(const proto::Search& in);

}  // namespace espalier::wire
