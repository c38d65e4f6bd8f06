// How fast one core hashes: independent blocks of 16 KiB by each backend, few and many at once;
// inner nodes; whole trees as the indexer builds them, also relative to one lane of OpenSSL.
// Medians of interleaved rounds. JSON on standard output, a table on standard error.
//
//   bench/hash [ROUNDS] [--without-avx]
//
// --without-avx: as on a processor with SHA-NI but without AVX.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/report.h"
#include "common/crypto/file_tree.h"
#include "common/crypto/sha256.h"
#include "common/crypto/sha256_multi_buffer.h"

using namespace espalier;
using namespace espalier::crypto;

namespace {

constexpr std::string_view kAsIndexed = "tree of 4 MiB, read by 256 KiB";
// The rates that the hash lanes need, relative to one lane of OpenSSL.
constexpr double kWantedWithAvx512 = 2.5;
constexpr double kWantedWithShaAlone = 1.3;

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

bool hasAvx512() {
  std::ifstream stream("/proc/cpuinfo");
  std::string word;
  while (stream >> word && word != "avx512f") {
  }
  return word == "avx512f";
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string_view> words(argv + 1, argv + argc);
  const bool withoutAvx = std::erase(words, "--without-avx") > 0;
  if (withoutAvx) internal::multiBufferWithoutAvx();
  const int rounds = words.empty() ? 5 : std::max(1, std::atoi(words[0].data()));
  bench::Report report("hash");
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

  report.note("unit", "GB/s");
  report.note("rounds", rounds);
  const auto medianOf = [&](std::string_view name) {
    return bench::median(std::ranges::find(cases, name, &Case::name)->rates);
  };
  for (const auto& one : cases) {
    const auto [low, high] = std::ranges::minmax(one.rates);
    report.row({{"case", one.name},
                {"median", bench::rounded(bench::median(one.rates))},
                {"low", bench::rounded(low)},
                {"high", bench::rounded(high)}});
  }
  const bool avx512 = hasAvx512() && !withoutAvx;
  report.atLeast(fmt::format("{} against one lane of OpenSSL's, {} AVX-512", kAsIndexed,
                             avx512 ? "with" : "without"),
                 medianOf(kAsIndexed) / medianOf("openssl 1 x 16384 B"),
                 avx512 ? kWantedWithAvx512 : kWantedWithShaAlone);
  report.print();
}
