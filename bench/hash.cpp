// How fast one core hashes: independent 16 KiB blocks by each backend, few and many at once, the
// inner nodes, whole trees as the indexer builds them. Interleaved rounds, medians; JSON on
// standard output, a table on standard error.
//
//   bench/hash [ROUNDS]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include "common/crypto/file_tree.h"
#include "common/crypto/sha256.h"

using namespace espalier;
using namespace espalier::crypto;

namespace {

struct Case {
  std::string name;
  std::size_t bytes;  // hashed by one call
  std::function<void()> run;
  std::vector<double> rates;  // GB/s
};

double gigabytesPerSecond(const Case& one) {
  constexpr std::size_t kBytes = 256u << 20;
  const std::size_t calls = std::max<std::size_t>(1, kBytes / one.bytes);
  const auto start = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < calls; ++i) one.run();
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  return static_cast<double>(calls * one.bytes) / took.count() / 1e9;
}

Case blocks(HashBackend backend, const std::vector<std::byte>& data, std::size_t count,
            std::size_t blockBytes, std::vector<Digest>& out) {
  const std::size_t bytes = count * blockBytes;
  return {fmt::format("{} {} x {} B", hashBackendName(backend), count, blockBytes),
          bytes,
          [=, &data, &out] {
            sha256Blocks(backend, std::span(data).first(bytes), blockBytes,
                         std::span(out).first(count));
          },
          {}};
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::max(1, std::atoi(argv[1])) : 5;
  constexpr std::size_t kMiB = 1u << 20;
  std::vector<std::byte> data(4 * kMiB);
  for (std::size_t i = 0; i < data.size(); ++i)
    data[i] = static_cast<std::byte>(i * 2654435761u >> 13);
  std::vector<Digest> out(data.size() / 64);

  std::vector<Case> cases;
  for (const auto backend : {HashBackend::openssl, HashBackend::multiBuffer}) {
    if (!hashBackendWorks(backend)) continue;
    for (const std::size_t count : {1, 2, 4, 6, 8, 12, 16, 64, 256}) {
      cases.push_back(blocks(backend, data, count, limits::kBlockBytes, out));
    }
    for (const std::size_t count : {2, 4, 6, 8, 16, 32, 512}) {
      cases.push_back(blocks(backend, data, count, 2 * Digest::kSizeBytes, out));
    }
  }
  cases.push_back({"chunk of 1 MiB",
                   kMiB,
                   [&] { out[0] = chunkHash(std::span(data).first(kMiB), kMiB, 2 * kMiB); },
                   {}});
  for (const std::size_t piece : {64 * 1024ul, 256 * 1024ul, 1024 * 1024ul}) {
    cases.push_back({fmt::format("tree of 4 MiB, read by {} KiB", piece / 1024),
                     data.size(),
                     [&, piece] {
                       FileHasher hasher(data.size());
                       for (std::size_t at = 0; at < data.size(); at += piece) {
                         hasher.update(std::span(data).subspan(at, piece));
                       }
                       out[0] = hasher.finish().root;
                     },
                     {}});
  }
  for (int round = 0; round < rounds; ++round) {
    for (auto& one : cases) one.rates.push_back(gigabytesPerSecond(one));
  }

  std::string json;
  fmt::print(stderr, "{:<34} {:>8} {:>8} {:>8}   GB/s a core, {} rounds\n", "hash", "median", "low",
             "high", rounds);
  for (auto& one : cases) {
    std::ranges::sort(one.rates);
    const double median = one.rates[one.rates.size() / 2];
    fmt::print(stderr, "{:<34} {:>8.2f} {:>8.2f} {:>8.2f}\n", one.name, median, one.rates.front(),
               one.rates.back());
    json +=
        fmt::format("{}{{\"case\":\"{}\",\"median\":{:.3f},\"low\":{:.3f},\"high\":{:.3f}}}",
                    json.empty() ? "" : ",", one.name, median, one.rates.front(), one.rates.back());
  }
  fmt::print("{{\"bench\":\"hash\",\"unit\":\"GB/s\",\"rounds\":{},\"results\":[{}]}}\n", rounds,
             json);
}
