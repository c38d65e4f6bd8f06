#include "common/crypto/instance.h"

#include <algorithm>
#include <span>

#include "common/crypto/sha256.h"

namespace espalier::crypto {

InstanceHash instanceOf(const InstanceKey& key) {
  const Digest digest = sha256(std::as_bytes(std::span(key.bytes)));
  InstanceHash hash;
  std::copy_n(digest.bytes.begin(), hash.bytes.size(), hash.bytes.begin());
  return hash;
}

}  // namespace espalier::crypto
