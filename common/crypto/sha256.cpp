#include "common/crypto/sha256.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cassert>
#include <memory>

#include "common/crypto/sha256_multi_buffer.h"

namespace espalier::crypto {
namespace {

// Fetched once, because each fetch takes locks and allocates. Never freed, because threads may
// still use it after main() returns.
const EVP_MD* sha256Method() {
  static const EVP_MD* const method = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  assert(method != nullptr);
  return method;
}

struct ContextFree {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

void opensslDigest(std::span<const std::byte> data, Digest& out) {
  thread_local const std::unique_ptr<EVP_MD_CTX, ContextFree> context(EVP_MD_CTX_new());
  const bool done = EVP_DigestInit_ex2(context.get(), sha256Method(), nullptr) == 1 &&
                    EVP_DigestUpdate(context.get(), data.data(), data.size()) == 1 &&
                    EVP_DigestFinal_ex(context.get(), out.bytes.data(), nullptr) == 1;
  assert(done);
  if (!done) std::abort();  // Otherwise the caller would use zeros as a digest.
}

}  // namespace

HashBackend hashBackend() {
  return internal::multiBufferWorks() ? HashBackend::multiBuffer : HashBackend::openssl;
}

bool hashBackendWorks(HashBackend backend) {
  return backend == HashBackend::openssl || internal::multiBufferWorks();
}

std::string_view hashBackendName(HashBackend backend) {
  return backend == HashBackend::openssl ? "openssl" : "ipsec-mb";
}

Digest sha256(std::span<const std::byte> data) {
  Digest digest;
  opensslDigest(data, digest);
  return digest;
}

void sha256Blocks(HashBackend backend, std::span<const std::byte> data, std::size_t blockBytes,
                  std::span<Digest> out) {
  assert(blockBytes > 0);
  assert(out.size() == data.size() / blockBytes + (data.size() % blockBytes != 0));
  if (backend == HashBackend::multiBuffer && internal::multiBufferBlocks(data, blockBytes, out)) {
    return;
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t offset = i * blockBytes;
    opensslDigest(data.subspan(offset, std::min(blockBytes, data.size() - offset)), out[i]);
  }
}

void sha256Blocks(std::span<const std::byte> data, std::size_t blockBytes, std::span<Digest> out) {
  const bool many = out.size() >= internal::kMultiBufferFewest;
  sha256Blocks(many ? hashBackend() : HashBackend::openssl, data, blockBytes, out);
}

void sha256Pairs(std::span<const Digest> nodes, std::span<Digest> out) {
  static_assert(sizeof(Digest) == Digest::kSizeBytes, "digests lie side by side");
  assert(nodes.size() == 2 * out.size());
  if (nodes.data() != out.data()) {
    sha256Blocks(std::as_bytes(nodes), 2 * Digest::kSizeBytes, out);
    return;
  }
  // In place, in batches: the backend may write a digest before it has read an earlier pair.
  constexpr std::size_t kBatch = 64;
  std::array<Digest, kBatch> batch;
  for (std::size_t done = 0; done < out.size(); done += kBatch) {
    const std::size_t count = std::min(kBatch, out.size() - done);
    const std::span<Digest> parents = std::span(batch).first(count);
    sha256Blocks(std::as_bytes(nodes.subspan(2 * done, 2 * count)), 2 * Digest::kSizeBytes,
                 parents);
    std::copy(parents.begin(), parents.end(), out.begin() + static_cast<std::ptrdiff_t>(done));
  }
}

}  // namespace espalier::crypto
