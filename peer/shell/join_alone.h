// Joining where nobody can be asked: for commands, and for a service.
#pragma once

#include <stop_token>
#include <string>

#include "common/base/result.h"
#include "peer/shell/join_service.h"

namespace espalier::peer::shell {

// What to do without a metaserver, where nobody can be asked.
enum class WithoutMetaserver {
  fail,   // with `unavailable`, at once
  retry,  // until there is one: with exponential backoff, told in the log once
};

// Joins without anybody who could be asked.
Result<Joined> joinAlone(JoinService& joiner, const PeerId& id, const std::string& word,
                         WithoutMetaserver without, std::stop_token stop);

}  // namespace espalier::peer::shell
