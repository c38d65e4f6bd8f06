// How a metaserver proves to another one that it knows the secret of their cluster: an HMAC over
// the fresh random bytes of both (wire::Introduction), its end of the connection, and its name. So
// a proof is good for one connection, one end and one name: it cannot be repeated, nor sent back
// to who made it. The secret is not sent. What follows on the connection is neither encrypted nor
// authenticated.
//
// Values and pure functions; thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "common/base/ids.h"

namespace espalier::crypto {

using ClusterNonce = std::array<std::uint8_t, 16>;
using ClusterProof = std::array<std::uint8_t, 32>;

// HMAC-SHA-256 (RFC 2104) with `secret` as its key. The text: "espalier cluster proof 1", "dialler"
// or "dialled", the nonce of the dialler, that of the other end, and `name`; before each its length
// in four bytes, big-endian. `isDialler` and `name` are of the metaserver that proves.
ClusterProof clusterProof(std::string_view secret, const ClusterNonce& diallers,
                          const ClusterNonce& dialleds, bool isDialler, const ServerName& name);

// In a time that does not depend on the first byte that differs.
bool isSameProof(const ClusterProof& one, const ClusterProof& other);

}  // namespace espalier::crypto
