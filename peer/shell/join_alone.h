// Joins without a dialogue: for -e and for a service.
#pragma once

#include <stop_token>
#include <string>

#include "common/base/result.h"
#include "peer/shell/join_service.h"

namespace espalier::peer::shell {

// What to do if the metaserver is out of reach.
enum class WithoutMetaserver {
  fail,   // with `unavailable`, at once
  retry,  // with exponential backoff until it answers; the log says so once
};

// Blocks. A refused word or id is an error, since no user can be asked for another one.
Result<Joined> joinAlone(JoinService& joiner, const PeerId& id, const std::string& word,
                         WithoutMetaserver without, std::stop_token stop);

}  // namespace espalier::peer::shell
