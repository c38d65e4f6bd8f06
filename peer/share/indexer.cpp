#include "peer/share/indexer.h"

#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <memory>
#include <unordered_set>

#include "common/base/thread.h"
#include "peer/share/share_name.h"

namespace espalier::share {
namespace {

using namespace std::chrono_literals;

// While files are hashed, results are collected at this pace: the lanes wake the indexer only when
// all of them are done.
constexpr auto kCollectInterval = 100ms;
// A caller waits so long for the indexer's thread, which may wait for a disk.
constexpr auto kCommandPatience = 30s;

}  // namespace

Indexer::Indexer(ShareOptions options)
    : options_(std::move(options)),
      chunkLists_(options_.stateFolder / "chunks"),
      rules_(folders_, shareListIn(options_.stateFolder), options_.shareHidden),
      watch_(options_.watches, options_.rescanInterval, queue_, options_.onNotice),
      lanes_(options_.lanes, chunkLists_, [this] { inbox_.wake(); }),
      schedule_(lanes_),
      files_(folders_, catalogue_, schedule_, problems_, watch_, queue_),
      check_(folders_, files_, queue_, options_.onNotice),
      scanner_(
          {folders_, rules_, catalogue_, files_, check_, schedule_, problems_, watch_, queue_}),
      watchReader_(watch_, folders_, queue_, schedule_, files_, check_, scanner_),
      rechecker_(catalogue_, lanes_, files_, scanner_, queue_, options_.onNotice),
      editor_({folders_, rules_, catalogue_, schedule_, watch_, files_, queue_, options_.onNotice},
              options_.root),
      saver_(options_.stateFolder, catalogue_, options_.onNotice),
      started_(lanes_.started()) {
  if (started_) started_ = startThread(thread_, [this](std::stop_token stop) { run(stop); });
}

Indexer::~Indexer() {
  thread_.request_stop();
  inbox_.wake();
}

IndexingProgress Indexer::progress() const {
  IndexingProgress progress = publication_.progress();
  progress.readBytes = lanes_.hashedBytes();
  return progress;
}

bool Indexer::wait(std::chrono::milliseconds timeout, const Publication::Enough& enough) const {
  return publication_.wait(timeout, enough);
}

bool Indexer::awaitPublished(std::chrono::milliseconds timeout, const std::stop_token& stop) {
  const auto end = Clock::now() + timeout;
  const auto ticket = std::make_shared<std::uint64_t>(0);
  const auto given = onThread(
      [this, ticket]() -> Result<void> {
        *ticket = publication_.nextTicket();
        return {};
      },
      std::min<Duration>(timeout, kCommandPatience), stop);
  if (!given) return false;
  const auto isPublished = [&](auto&, const IndexingProgress& now) {
    return now.publishedTicket >= *ticket;
  };
  while (!stop.stop_requested() && Clock::now() < end) {
    if (wait(100ms, isPublished)) return true;  // Then the stop token is asked again.
  }
  return false;
}

Result<void> Indexer::onThread(PendingCommand::Command command, Duration patience,
                               const std::stop_token& stop) {
  const auto pending = std::make_shared<PendingCommand>(std::move(command));
  if (!inbox_.post([pending] { pending->run(); })) {
    return Error{ErrorCode::failed, "too many paths are being shared or unshared: try again"};
  }
  return pending->wait(patience, stop);
}

Result<void> Indexer::add(const fs::path& path, const std::string& name,
                          const std::stop_token& stop) {
  return onThread([this, path, name] { return published(editor_.add(path, name)); },
                  kCommandPatience, stop);
}

Result<void> Indexer::remove(const fs::path& path, const std::string& name,
                             const std::stop_token& stop) {
  return onThread([this, path, name] { return published(editor_.remove(path, name)); },
                  kCommandPatience, stop);
}

// Publishes at once what a command has removed.
Result<void> Indexer::published(Result<void> result) {
  if (catalogue_.changed()) publish();
  return result;
}

bool Indexer::wouldShare(const std::string& name, const std::stop_token& stop) {
  const auto shared = onThread(
      [this, name]() -> Result<void> {
        if (nameFault(name) == NameFault::none && rules_.isShared(name)) return {};
        return Error{ErrorCode::failed, "not shared"};
      },
      kCommandPatience, stop);
  return shared.ok();
}

void Indexer::saveAgain() {
  // If too many commands wait, the caller's next check of the state folder asks again.
  (void)inbox_.post([this] {
    rules_.saveIfLost();
    saver_.saveSoon();
  });
}

void Indexer::run(const std::stop_token& stop) {
  load();
  while (!stop.stop_requested()) {
    poll();
    const auto now = Clock::now();
    if (now >= queue_.folderCheck()) check_.check();
    watchReader_.read(now);
    // After the events: a download is renamed into the share after learn() tells of it.
    takeRequests();
    if (now >= queue_.rescan() && !queue_.hasFolders()) scanner_.rescan();
    scanner_.lookAtNames();
    scanner_.scanSome(stop);
    scanner_.lookAtDue();
    takeResults();
    rechecker_.startIfDue();
    publishIfDue();
    updateProgress();
    saver_.saveIfDue(!schedule_.jobs().empty(), folders_.isPresent(0));
  }
  saver_.saveAtEnd(folders_.isPresent(0));
}

void Indexer::load() {
  saver_.load();
  struct stat status {};
  if (::stat(options_.stateFolder.c_str(), &status) == 0) {
    scanner_.setStateFolder({status.st_dev, status.st_ino});
  }
  editor_.load();
}

TimePoint Indexer::nextDue() const {
  if (queue_.hasFolders() || queue_.hasNames()) return TimePoint{};
  const auto now = Clock::now();
  TimePoint due = std::min(
      {queue_.folderCheck(), queue_.rescan(), schedule_.nextDue(), saver_.due(), rechecker_.due()});
  if (catalogue_.changed()) due = std::min(due, publication_.due(isBusy()));
  if (!schedule_.jobs().empty()) due = std::min<TimePoint>(due, now + kCollectInterval);
  if (watch_.pausedUntil() > now) due = std::min(due, watch_.pausedUntil());
  return due;
}

void Indexer::poll() {
  const auto now = Clock::now();
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(nextDue() - now);
  std::array<pollfd, 2> sources{
      {{inbox_.descriptor(), POLLIN, 0}, {watch_.descriptor(now), POLLIN, 0}}};
  ::poll(sources.data(), sources.size(),
         static_cast<int>(std::clamp<std::int64_t>(wait.count(), 0, 60'000)));
  inbox_.clearWake();
}

void Indexer::takeRequests() {
  auto requests = inbox_.take();
  for (const auto& version : requests.versions) catalogue_.remember(version);
  queue_.look(std::move(requests.names));
  if (requests.everything) queue_.rescanBy(Clock::now());
  for (const auto& root : requests.rechecks) rechecker_.add(root);
  for (auto& command : requests.commands) command();
}

void Indexer::takeResults() {
  for (const auto& job : lanes_.takeResults()) {
    if (rechecker_.owns(job)) {
      rechecker_.onResult(job);
    } else {
      files_.onResult(job);
    }
  }
}

bool Indexer::isHashed() const {
  return !scanner_.isFirstScan() && schedule_.firstTries() == 0 && !queue_.hasNames() &&
         !catalogue_.changed();
}

bool Indexer::isAtRest() const {
  return isHashed() && !queue_.hasFolders() && queue_.folderCheck() != TimePoint{};
}

void Indexer::publishIfDue() {
  if (catalogue_.changed() && Clock::now() >= publication_.due(isBusy())) publish();
}

void Indexer::publish() {
  publication_.publish(catalogue_, folders_.all());
  saver_.changed();
}

void Indexer::updateProgress() {
  if (!isBusy()) problems_.tell(options_.onNotice);
  IndexingProgress progress;
  progress.ready = isHashed();
  progress.scanning = scanner_.isFirstScan();
  progress.hashedFiles = catalogue_.files();
  progress.totalFiles = catalogue_.files() + schedule_.jobs().size();
  progress.totalBytes = catalogue_.bytes() + schedule_.jobBytes();
  progress.hashedBytes = std::min(progress.totalBytes, catalogue_.bytes() + lanes_.openBytes());
  progress.readBytes = lanes_.hashedBytes();
  publication_.update(progress, isAtRest());
  if (progress.ready && !std::exchange(chunkListsTidied_, true)) tidyChunkLists();
}

void Indexer::tidyChunkLists() {
  std::unordered_set<FileRoot> roots;
  for (const auto& entry : catalogue_.published().entries()) {
    if (entry->stat.sizeBytes > limits::kChunkBytesMin) roots.insert(entry->root);
  }
  chunkLists_.keepOnly([&](const FileRoot& root) { return roots.contains(root); });
}

}  // namespace espalier::share
