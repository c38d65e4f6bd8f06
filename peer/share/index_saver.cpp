#include "peer/share/index_saver.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "peer/share/index_file.h"

namespace espalier::share {
namespace {

using namespace std::chrono_literals;

constexpr auto kSaveWhileBusy = 2s;
constexpr auto kSaveWhileIdle = 5s;
constexpr int kSaveShare = 50;  // at most a fiftieth of the time

// One level only: where the share is absent, it must not come into being as an empty folder.
void makeFolder(const fs::path& folder) {
  ::mkdir(folder.c_str(), S_IRWXU);
}

}  // namespace

void IndexSaver::load() {
  makeFolder(stateFolder_);
  const auto index = loadIndex(indexIn(stateFolder_));
  if (!index) {
    notify_({log::Level::warning, index.error().message + ": every file is hashed again"});
    return;
  }
  for (const auto& version : *index) catalogue_.remember(version);
}

void IndexSaver::saveSoon() {
  unsaved_ = true;
  due_ = TimePoint{};
}

void IndexSaver::saveIfDue(bool busy, bool shareThere) {
  if (Clock::now() >= due()) save(busy, shareThere);
}

void IndexSaver::saveAtEnd(bool shareThere) {
  if (unsaved_ || catalogue_.changed()) save(false, shareThere);
}

void IndexSaver::save(bool busy, bool shareThere) {
  const auto start = Clock::now();
  makeFolder(stateFolder_);
  if (!shareThere && ::access(stateFolder_.c_str(), W_OK) != 0) {
    due_ = start + kSaveWhileIdle;
    return;
  }
  const auto saved = saveIndex(indexIn(stateFolder_), catalogue_.everything());
  if (!saved && !std::exchange(failed_, true)) {
    notify_({log::Level::warning, saved.error().message +
                                      ": after a restart, files would be hashed again; "
                                      "trying again"});
  }
  if (saved) failed_ = false;
  unsaved_ = !saved;
  const auto end = Clock::now();
  due_ =
      end + std::max<Duration>(busy ? kSaveWhileBusy : kSaveWhileIdle, (end - start) * kSaveShare);
}

}  // namespace espalier::share
