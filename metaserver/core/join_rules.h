// What is wrong with a Join, whoever is in the network. Pure functions, used by the registry.
#pragma once

#include <optional>
#include <string>

#include "common/base/endpoint.h"
#include "common/base/ids.h"

namespace espalier::metaserver {

// The sentence of the refusal. The registry admits only ids in the form NFC of Unicode: otherwise
// two members could have ids that look the same.
std::optional<std::string> whyIdIsRefused(const PeerId& id);
// A peer that connects from `source` is to be reached at `host`: not if nobody, or more than one
// machine, is reached there, or if `host` is loopback and the peer is on another machine.
std::optional<std::string> whyHostIsRefused(const std::string& host, const std::string& source);

// The id that a peer had before it became ID~NUMBER (peer/core/membership.h); nothing: it has none
// of that form.
std::optional<PeerId> formerId(const PeerId& id);

}  // namespace espalier::metaserver
