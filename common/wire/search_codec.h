// Search messages (search.h) as protobuf and back. A link's message embeds the bytes, or the
// message `proto::Search` itself.
//
// decodeSearch() checks forms: lengths of ids, roots, names and patterns, peer ids, ranges that
// ascend, counts. What fails is an error of code `protocol` with a reason. Whether a message makes
// sense (was that query ever asked?) is the core's business. Stateless; linear in the size.
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

// For whoever embeds the protobuf message in one of its own.
void toProto(const SearchMessage& message, proto::Search& out);
Result<SearchMessage> fromProto(const proto::Search& in);

}  // namespace espalier::wire
