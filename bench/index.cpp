// How fast a share is indexed: many small files, then one large file, both from the page cache; a
// restart with nothing new; the memory for each file. For the large file, indexing takes turns with
// bare threads that only read and hash it, and with libtorrent, which makes a v2 torrent of it
// (bench/libtorrent_peer; left out if libtorrent is missing). JSON on standard output, a table on
// standard error.
//
//   bench/index [FOLDER [SMALL_FILES [LARGE_MEBIBYTES [ROUNDS]]]]
//
// FOLDER: where a temporary folder is made.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "bench/report.h"
#include "common/base/file_descriptor.h"
#include "common/base/limits.h"
#include "common/crypto/sha256.h"
#include "peer/share/share_index.h"

using namespace espalier;
using namespace espalier::share;

namespace {

using Seconds = std::chrono::duration<double>;

struct Figures {
  double startSeconds = 0;
  double firstSeconds = 0;  // until the first file was there
  double readySeconds = 0;
  IndexingProgress progress;
  double anonymousMiB = 0;
};

double anonymousMiB() {
  std::ifstream status("/proc/self/status");
  std::string word;
  while (status >> word) {
    if (word == "RssAnon:") {
      double kibibytes = 0;
      status >> kibibytes;
      return kibibytes / 1024;
    }
  }
  return 0;
}

Figures index(const fs::path& folder) {
  Figures figures;
  const auto start = Clock::now();
  ShareOptions options;
  options.root = folder;
  options.stateFolder = folder / ".espalier";
  options.onNotice = [](const ShareNotice& notice) { fmt::print(stderr, "{}\n", notice.text); };
  ShareIndex index(std::move(options));
  figures.startSeconds = Seconds(Clock::now() - start).count();
  index.wait(std::chrono::hours(1), [](const Snapshot& now, auto&) { return !now.empty(); });
  figures.firstSeconds = Seconds(Clock::now() - start).count();
  index.wait(std::chrono::hours(1), [](auto&, const IndexingProgress& now) { return now.ready; });
  figures.readySeconds = Seconds(Clock::now() - start).count();
  figures.progress = index.progress();
  figures.anonymousMiB = anonymousMiB();
  return figures;
}

void tell(const std::string& name, const Figures& figures, bench::Report& report) {
  const auto& progress = figures.progress;
  const double rate = static_cast<double>(progress.totalBytes) / figures.readySeconds / 1e9;
  report.row({{"case", name},
              {"files", progress.totalFiles},
              {"start ms", bench::rounded(figures.startSeconds * 1e3)},
              {"first s", bench::rounded(figures.firstSeconds)},
              {"ready s", bench::rounded(figures.readySeconds)},
              {"GB/s", bench::rounded(rate)},
              {"read bytes", progress.readBytes},
              {"anonymous MiB", bench::rounded(figures.anonymousMiB)}});
}

// --- the large file, and what it is compared with

constexpr int kNiceness = 5;  // as the lanes, so that other processes disturb all three equally
constexpr double kOfLanes = 0.85;
constexpr double kOfLibtorrent = 2;

// The upper bound for the lanes: one thread a core reads pieces of the file and hashes their
// blocks.
double bareSeconds(const fs::path& path) {
  const auto start = Clock::now();
  std::atomic<std::uint64_t> next{0};
  {
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
      threads.emplace_back([&] {
        ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), kNiceness);
        const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        std::vector<std::byte> buffer(limits::kHashReadBytes);
        std::vector<Digest> out(limits::kHashReadBytes / limits::kBlockBytes);
        while (true) {
          const auto at = static_cast<off_t>(next.fetch_add(buffer.size()));
          const auto got = ::pread(file.get(), buffer.data(), buffer.size(), at);
          if (got <= 0) return;
          const auto data = std::span(buffer).first(static_cast<std::size_t>(got));
          const auto blocks = (data.size() + limits::kBlockBytes - 1) / limits::kBlockBytes;
          crypto::sha256Blocks(data, limits::kBlockBytes, std::span(out).first(blocks));
        }
      });
    }
  }
  return Seconds(Clock::now() - start).count();
}

// As libtorrent_peer measures it, without the start of the program; 0: libtorrent is missing.
double libtorrentSeconds(const fs::path& program, const fs::path& path) {
  const auto command = fmt::format("nice -n {} '{}' make '{}' /dev/null 2>/dev/null", kNiceness,
                                   program.string(), path.string());
  double seconds = 0;
  if (FILE* output = ::popen(command.c_str(), "r"); output != nullptr) {
    if (std::fscanf(output, "%lf", &seconds) != 1) seconds = 0;
    ::pclose(output);
  }
  return seconds;
}

void largeFile(const fs::path& folder, const fs::path& libtorrent, int rounds,
               bench::Report& report) {
  std::vector<Figures> ours;
  std::map<std::string, std::vector<double>> seconds;
  for (int round = 0; round <= rounds; ++round) {
    fs::remove_all(folder / ".espalier");
    const auto indexed = index(folder);
    const double bare = bareSeconds(folder / "file");
    const double theirs = libtorrentSeconds(libtorrent, folder / "file");
    if (round == 0) continue;  // warms up
    ours.push_back(indexed);
    seconds["indexed"].push_back(indexed.readySeconds);
    seconds["threads that only read and hash it"].push_back(bare);
    if (theirs > 0) seconds["libtorrent, a v2 torrent of it"].push_back(theirs);
  }
  std::ranges::sort(ours, {}, &Figures::readySeconds);
  const auto& middle = ours[ours.size() / 2];
  tell("large file", middle, report);
  report.note("rounds of the large file", rounds);
  report.note("seconds of the large file", seconds);
  for (const auto& [name, wanted] : {std::pair("threads that only read and hash it", kOfLanes),
                                     std::pair("libtorrent, a v2 torrent of it", kOfLibtorrent)}) {
    if (seconds[name].empty()) continue;
    report.atLeast(fmt::format("rate of indexing a large file, of {}", name),
                   bench::median(seconds[name]) / middle.readySeconds, wanted);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const fs::path base = argc > 1 ? fs::path(argv[1]) : fs::temp_directory_path();
  const int small = argc > 2 ? std::atoi(argv[2]) : 100'000;
  const int large = argc > 3 ? std::atoi(argv[3]) : 2048;
  const int rounds = argc > 4 ? std::max(1, std::atoi(argv[4])) : 5;
  // Relative to BUILD/bench/index.
  const fs::path libtorrent =
      fs::canonical("/proc/self/exe").parent_path() / "../../bench/libtorrent_peer";
  const fs::path folder = base / fs::unique_path("index_bench_%%%%%%%%");
  bench::Report report("index");
  fs::create_directories(folder / "none");
  std::ofstream((folder / "none/f").string()) << "f";
  tell("nothing", index(folder / "none"), report);
  for (int i = 0; i < small; ++i) {
    const fs::path of = folder / "small" / std::to_string(i / 1000);
    if (i % 1000 == 0) fs::create_directories(of);
    std::ofstream((of / std::to_string(i)).string()) << std::string(4000, 'x') << i;
  }
  tell("small files", index(folder / "small"), report);
  tell("small files, restart", index(folder / "small"), report);
  fs::create_directories(folder / "large");
  {
    std::ofstream stream((folder / "large/file").string(), std::ios::binary);
    std::string block(1 << 20, 'y');
    for (int i = 0; i < large; ++i) stream << block << i;
  }
  largeFile(folder / "large", libtorrent, rounds, report);
  boost::system::error_code ignored;
  fs::remove_all(folder, ignored);
  report.print();
}
