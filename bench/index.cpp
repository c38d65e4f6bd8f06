// How fast a share is indexed: many small files, then one large file, from the page cache; a
// restart with nothing new; what a file costs in memory. JSON on standard output, a table on
// standard error.
//
//   bench/index [FOLDER [SMALL_FILES [LARGE_MEBIBYTES]]]       FOLDER: where to make a temporary
//   one
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>

#include "peer/share/share_index.h"

using namespace espalier;
using namespace espalier::share;

namespace {

using Seconds = std::chrono::duration<double>;

struct Figures {
  double startSeconds = 0;
  double firstSeconds = 0;  // until the first file was there
  double readySeconds = 0;
  Progress progress;
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
  options.onNotice = [](const Notice& notice) { fmt::print(stderr, "{}\n", notice.text); };
  ShareIndex index(std::move(options));
  figures.startSeconds = Seconds(Clock::now() - start).count();
  index.wait(std::chrono::hours(1), [](const Snapshot& now, auto&) { return !now.empty(); });
  figures.firstSeconds = Seconds(Clock::now() - start).count();
  index.wait(std::chrono::hours(1), [](auto&, const Progress& now) { return now.ready; });
  figures.readySeconds = Seconds(Clock::now() - start).count();
  figures.progress = index.progress();
  figures.anonymousMiB = anonymousMiB();
  return figures;
}

void report(const std::string& name, const Figures& figures, std::string& json) {
  const auto& progress = figures.progress;
  const double rate = static_cast<double>(progress.totalBytes) / figures.readySeconds / 1e9;
  fmt::print(stderr, "{:<24} {:>8} {:>9.3f} {:>9.3f} {:>9.2f} {:>10.2f} {:>8.1f}\n", name,
             progress.totalFiles, figures.startSeconds * 1e3, figures.firstSeconds,
             figures.readySeconds, rate, figures.anonymousMiB);
  json += fmt::format(
      "{}{{\"case\":\"{}\",\"files\":{},\"startSeconds\":{:.6f},\"firstSeconds\":{:.3f},"
      "\"readySeconds\":{:.3f},\"gigabytesPerSecond\":{:.3f},\"readBytes\":{},"
      "\"anonymousMiB\":{:.1f}}}",
      json.empty() ? "" : ",", name, progress.totalFiles, figures.startSeconds,
      figures.firstSeconds, figures.readySeconds, rate, progress.readBytes, figures.anonymousMiB);
}

}  // namespace

int main(int argc, char** argv) {
  const fs::path base = argc > 1 ? fs::path(argv[1]) : fs::temp_directory_path();
  const int small = argc > 2 ? std::atoi(argv[2]) : 100'000;
  const int large = argc > 3 ? std::atoi(argv[3]) : 2048;
  const fs::path folder = base / fs::unique_path("index_bench_%%%%%%%%");
  std::string json;
  fmt::print(stderr, "{:<24} {:>8} {:>9} {:>9} {:>9} {:>10} {:>8}\n", "index", "files", "start ms",
             "first s", "ready s", "GB/s", "MiB");
  report(
      "nothing",
      [&] {
        fs::create_directories(folder / "none");
        std::ofstream((folder / "none/f").string()) << "f";
        return index(folder / "none");
      }(),
      json);
  for (int i = 0; i < small; ++i) {
    const fs::path of = folder / "small" / std::to_string(i / 1000);
    if (i % 1000 == 0) fs::create_directories(of);
    std::ofstream((of / std::to_string(i)).string()) << std::string(4000, 'x') << i;
  }
  report("small files", index(folder / "small"), json);
  report("small files, restart", index(folder / "small"), json);
  fs::create_directories(folder / "large");
  {
    std::ofstream stream((folder / "large/file").string(), std::ios::binary);
    std::string block(1 << 20, 'y');
    for (int i = 0; i < large; ++i) stream << block << i;
  }
  report("large file", index(folder / "large"), json);
  boost::system::error_code ignored;
  fs::remove_all(folder, ignored);
  fmt::print("{{\"bench\":\"index\",\"results\":[{}]}}\n", json);
}
