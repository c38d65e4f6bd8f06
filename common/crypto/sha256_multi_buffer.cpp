#include "common/crypto/sha256_multi_buffer.h"

#if ESPALIER_IPSEC_MB

#include <intel-ipsec-mb.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <memory>

namespace espalier::crypto::internal {
namespace {

struct ManagerFree {
  void operator()(IMB_MGR* manager) const { free_mb_mgr(manager); }
};

std::atomic<bool> avx{true};

IMB_MGR* makeManager() {
  IMB_MGR* manager = alloc_mb_mgr(0);
  if (manager == nullptr) return nullptr;
  IMB_ARCH arch = IMB_ARCH_SSE;
  if (avx) {
    init_mb_mgr_auto(manager, &arch);
  } else {
    init_mb_mgr_sse(manager);
  }
  // IMB_ARCH_NOAESNI emulates in software: slower than OpenSSL.
  if (arch == IMB_ARCH_NONE || arch == IMB_ARCH_NOAESNI) {
    free_mb_mgr(manager);
    return nullptr;
  }
  return manager;
}

// One for each thread, because a manager holds jobs in flight.
IMB_MGR* threadManager() {
  thread_local const std::unique_ptr<IMB_MGR, ManagerFree> manager(makeManager());
  return manager.get();
}

bool knownDigestComesOut() {
  if (threadManager() == nullptr) return false;
  // SHA-256 of "abc" (FIPS 180-2, B.1), once for each lane.
  constexpr std::array<std::uint8_t, 4> kStart{0xba, 0x78, 0x16, 0xbf};
  constexpr std::array<std::uint8_t, 4> kEnd{0xf2, 0x00, 0x15, 0xad};
  constexpr std::size_t kLanes = 16;
  std::array<std::byte, 3 * kLanes> data;
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>('a' + i % 3);
  std::array<Digest, kLanes> digests;
  if (!multiBufferBlocks(data, 3, digests)) return false;
  return std::ranges::all_of(digests, [&](const Digest& digest) {
    return std::equal(kStart.begin(), kStart.end(), digest.bytes.begin()) &&
           std::equal(kEnd.rbegin(), kEnd.rend(), digest.bytes.rbegin());
  });
}

}  // namespace

bool multiBufferWorks() {
  static const bool works = knownDigestComesOut();
  return works;
}

void multiBufferWithoutAvx() {
  avx = false;
}

bool multiBufferBlocks(std::span<const std::byte> data, std::size_t blockBytes,
                       std::span<Digest> out) {
  IMB_MGR* const manager = threadManager();
  if (manager == nullptr) return false;
  std::size_t completed = 0;
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t offset = i * blockBytes;
    IMB_JOB* job = IMB_GET_NEXT_JOB(manager);
    job->cipher_mode = IMB_CIPHER_NULL;
    job->cipher_direction = IMB_DIR_ENCRYPT;
    job->chain_order = IMB_ORDER_HASH_CIPHER;
    job->hash_alg = IMB_AUTH_SHA_256;
    job->src = reinterpret_cast<const std::uint8_t*>(data.data());
    job->hash_start_src_offset_in_bytes = offset;
    job->msg_len_to_hash_in_bytes = std::min(blockBytes, data.size() - offset);
    job->auth_tag_output = out[i].bytes.data();
    job->auth_tag_output_len_in_bytes = Digest::kSizeBytes;
    job = IMB_SUBMIT_JOB(manager);
    while (job != nullptr) {
      if (job->status == IMB_STATUS_COMPLETED) ++completed;
      job = IMB_GET_COMPLETED_JOB(manager);
    }
  }
  while (IMB_JOB* job = IMB_FLUSH_JOB(manager)) {
    if (job->status == IMB_STATUS_COMPLETED) ++completed;
  }
  return completed == out.size();
}

}  // namespace espalier::crypto::internal

#else

namespace espalier::crypto::internal {

bool multiBufferWorks() {
  return false;
}
void multiBufferWithoutAvx() {}
bool multiBufferBlocks(std::span<const std::byte>, std::size_t, std::span<Digest>) {
  return false;
}

}  // namespace espalier::crypto::internal

#endif
