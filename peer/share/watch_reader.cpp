#include "peer/share/watch_reader.h"

#include "common/base/state_folder.h"
#include "peer/share/share_name.h"

namespace espalier::share {
namespace {

using namespace std::chrono_literals;

constexpr auto kRetryAfterClose = 1s;

}  // namespace

WatchReader::WatchReader(TreeWatch& watch, const FolderTable& folders, ScanQueue& queue,
                         HashSchedule& schedule, FileTracker& files, FolderCheck& check,
                         Scanner& scanner)
    : watch_(watch),
      folders_(folders),
      queue_(queue),
      schedule_(schedule),
      files_(files),
      check_(check),
      scanner_(scanner) {}

void WatchReader::read(TimePoint now) {
  watch_.read(now, [this](const WatchEvent& event) { onEvent(event); });
}

void WatchReader::onEvent(const WatchEvent& event) {
  if (event.overflow) return queue_.rescanBy(Clock::now());
  if (event.watchEnded) return onWatchEnded(event.watch);
  for (const auto& name : watch_.namesOf(event.watch)) {
    if (!event.name.empty()) {
      onChildEvent(name, event);
    } else if (folders_.isLabel(name) && (event.folderMoved || event.attributes)) {
      queue_.checkFoldersBy(Clock::now());
    } else if (event.folderMoved) {
      queue_.look(name);  // If its disk was unmounted, another folder is there now, unwatched.
    }
  }
}

// The folder was removed, or its disk unmounted. A disk that is mounted in its place may have the
// same device and inode numbers, so the files of the old one are forgotten first.
void WatchReader::onWatchEnded(int watch) {
  for (const auto& name : watch_.dropEnded(watch)) {
    if (folders_.isLabel(name)) {
      check_.lose(folders_.indexOf(name), 0);
    } else {
      queue_.look(name);
    }
  }
}

void WatchReader::onChildEvent(const std::string& folderName, const WatchEvent& event) {
  const std::uint32_t folder = folders_.indexOf(folderName);
  if (folders_.at(folder).single) {
    if (event.name == folderName) queue_.look(folderName);
    return;
  }
  // The folder becomes a state folder, or is one no longer.
  if (event.name == kStateMarker) queue_.scan(folderName);
  const std::string name = childName(folderName, event.name);
  if (folders_.indexOf(name) != folder || !scanner_.wants(name, event.name)) return;
  if (event.isFolder && event.left) return files_.forgetTree(name);
  // The file may be at rest now that its writer has closed it.
  if (!event.isFolder && event.closed) schedule_.retryBy(name, Clock::now() + kRetryAfterClose);
  // A folder, too, is looked at before it is scanned: it may be a link, or our own state folder.
  queue_.look(name);
}

}  // namespace espalier::share
