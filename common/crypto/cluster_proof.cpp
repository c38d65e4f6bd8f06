#include "common/crypto/cluster_proof.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cassert>
#include <string>

namespace espalier::crypto {
namespace {

void append(std::string_view part, std::string& text) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    text += static_cast<char>(part.size() >> shift & 0xff);
  }
  text += part;
}

std::string_view viewOf(const ClusterNonce& nonce) {
  return {reinterpret_cast<const char*>(nonce.data()), nonce.size()};
}

}  // namespace

ClusterProof clusterProof(std::string_view secret, const ClusterNonce& diallers,
                          const ClusterNonce& dialleds, bool isDialler, const ServerName& name) {
  std::string text;
  append("espalier cluster proof 1", text);
  append(isDialler ? "dialler" : "dialled", text);
  append(viewOf(diallers), text);
  append(viewOf(dialleds), text);
  append(name.text(), text);
  ClusterProof proof;
  unsigned size = 0;
  [[maybe_unused]] const auto* made =
      ::HMAC(::EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
             reinterpret_cast<const unsigned char*>(text.data()), text.size(), proof.data(), &size);
  assert(made && size == proof.size());
  return proof;
}

bool isSameProof(const ClusterProof& one, const ClusterProof& other) {
  return ::CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

}  // namespace espalier::crypto
