#include "peer/share/indexer.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>
#include <future>
#include <unordered_set>

#include "common/base/text.h"
#include "common/base/thread.h"

namespace espalier::share {
namespace {

using namespace std::chrono_literals;

constexpr auto kPublishWhileBusy = 100ms;
constexpr auto kPublishWhileIdle = 10ms;
constexpr auto kSaveWhileBusy = 2s;
constexpr auto kSaveWhileIdle = 5s;
constexpr int kPublishShare = 20;  // at most a twentieth of the time
constexpr int kSaveShare = 50;

}  // namespace

Indexer::Indexer(ShareOptions options)
    : options_(std::move(options)),
      indexFile_(indexIn(options_.stateFolder)),
      listFile_(shareListIn(options_.stateFolder)),
      lists_(options_.stateFolder / "chunks"),
      wake_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      watch_(options_.watches),
      lanes_(options_.lanes, lists_, [this] { wake(); }),
      started_(lanes_.started()) {
  if (started_) started_ = startThread(thread_, [this](std::stop_token stop) { run(stop); });
}

Indexer::~Indexer() {
  thread_.request_stop();
  wake();
}

std::shared_ptr<const Snapshot> Indexer::snapshot() const {
  const std::lock_guard lock(publishedMutex_);
  return published_.snapshot;
}

Progress Indexer::progress() const {
  const std::lock_guard lock(publishedMutex_);
  Progress progress = published_.progress;
  progress.readBytes = lanes_.hashedBytes();
  return progress;
}

bool Indexer::wait(std::chrono::milliseconds timeout,
                   const std::function<bool(const Snapshot&, const Progress&)>& enough) const {
  const auto end = Clock::now() + timeout;
  std::unique_lock lock(publishedMutex_);
  while (true) {
    const Published now = published_;
    lock.unlock();
    if (enough(*now.snapshot, now.progress)) return true;
    lock.lock();
    const bool isNew = published_.snapshot != now.snapshot ||
                       published_.progress.ready != now.progress.ready ||
                       published_.progress.publishedTicket != now.progress.publishedTicket;
    if (!isNew && publishedChange_.wait_until(lock, end) == std::cv_status::timeout) return false;
  }
}

bool Indexer::awaitPublished(std::chrono::milliseconds timeout, const std::stop_token& stop) {
  const auto end = Clock::now() + timeout;
  std::promise<std::uint64_t> given;
  if (!post([&] { given.set_value(++tickets_); })) return false;
  const std::uint64_t mine = given.get_future().get();
  const auto isPublished = [&](auto&, const Progress& now) { return now.publishedTicket >= mine; };
  while (!stop.stop_requested() && Clock::now() < end) {
    if (wait(100ms, isPublished)) return true;  // between two looks at the stop token
  }
  return false;
}

void Indexer::wake() {
  const std::uint64_t one = 1;
  (void)!::write(wake_.get(), &one, sizeof one);  // Full means that it is awake anyway.
}

// False: too many wait already.
bool Indexer::post(Command command) {
  const bool posted = posted_.with([&](Posted& waiting) {
    if (waiting.commands.size() >= limits::kShareCommands) return false;
    waiting.commands.push_back(std::move(command));
    return true;
  });
  wake();
  return posted;
}

void Indexer::lookAgain(std::string name) {
  posted_.with([&](Posted& waiting) {
    if (waiting.names.size() < limits::kPostedNames) {
      waiting.names.insert(std::move(name));
    } else {
      waiting.everything = true;
    }
  });
  wake();
}

// What there is no room for is hashed again.
void Indexer::learn(const Remembered& version) {
  posted_.with([&](Posted& waiting) {
    if (waiting.versions.size() < limits::kPostedVersions) waiting.versions.push_back(version);
  });
  wake();
}

// Where too many commands wait, the next look at the state folder asks again.
void Indexer::saveAgain() {
  (void)post([this] {
    boost::system::error_code error;
    const bool lost = !fs::exists(listFile_, error);
    if (lost && list_ != ShareList{}) (void)changeList(list_);
    unsaved_ = true;
    nextSave_ = TimePoint{};
  });
}

void Indexer::recheck(const FileRoot& root) {
  posted_.with([&](Posted& waiting) {
    const bool known = std::ranges::find(waiting.rechecks, root) != waiting.rechecks.end();
    if (!known && waiting.rechecks.size() < limits::kRechecks) waiting.rechecks.push_back(root);
  });
  wake();
}

void Indexer::takePosted() {
  auto waiting = posted_.with([](Posted& posted) { return std::exchange(posted, {}); });
  for (const auto& version : waiting.versions) catalogue_.remember(version);
  touched_.merge(waiting.names);
  if (waiting.everything) nextRescan_ = Clock::now();
  for (const auto& root : waiting.rechecks) queueRecheck(root);
  for (auto& command : waiting.commands) command();
}

void Indexer::notice(log::Level level, const std::string& text) {
  options_.onNotice({level, text});
}

void Indexer::run(std::stop_token stop) {
  loadState();
  while (!stop.stop_requested()) {
    poll();
    const auto now = Clock::now();
    if (now >= nextFolderCheck_) checkFolders();
    if (now >= watchPausedUntil_) readWatch();
    takePosted();  // After the events: a file is renamed once we were told to learn it.
    if (now >= nextRescan_ && scans_.empty()) rescan();
    for (const auto& name : std::exchange(touched_, {})) look(name);
    scanSome(stop);
    lookAtDue();
    takeResults();
    recheckIfDue();
    publishIfDue();
    updateProgress();
    saveIfDue(false);
  }
  saveIfDue(true);
}

void Indexer::loadState() {
  // One level only: a share that is not there must not come into being as an empty one.
  ::mkdir(options_.stateFolder.c_str(), S_IRWXU);
  struct stat status {};
  if (::stat(options_.stateFolder.c_str(), &status) == 0) {
    stateFolderId_ = {status.st_dev, status.st_ino};
  }
  auto index = loadIndex(indexFile_);
  if (!index) {
    notice(log::Level::warning, index.error().message + ": every file is hashed again");
  } else {
    for (const auto& version : *index) catalogue_.remember(version);
  }
  loadShareFolders();
}

TimePoint Indexer::nextDue() const {
  if (!scans_.empty() || !touched_.empty()) return TimePoint{};
  TimePoint due = std::min(nextFolderCheck_, nextRescan_);
  if (!due_.empty()) due = std::min(due, due_.begin()->first);
  if (catalogue_.changed()) due = std::min(due, publishDue());
  // The lanes wake us only when all is done; in between, results are collected at this pace.
  if (!jobs_.empty()) due = std::min(due, Clock::now() + kPublishWhileBusy);
  if (unsaved_) due = std::min(due, nextSave_);
  if (!rechecks_.empty() && !recheck_) due = std::min(due, recheckDue_);
  if (watchPausedUntil_ > Clock::now()) due = std::min(due, watchPausedUntil_);
  return due;
}

void Indexer::poll() {
  const auto now = Clock::now();
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(nextDue() - now);
  const bool paused = watchPausedUntil_ > now;
  std::array<pollfd, 2> sources{
      {{wake_.get(), POLLIN, 0}, {paused ? -1 : watch_.descriptor(), POLLIN, 0}}};
  ::poll(sources.data(), sources.size(),
         static_cast<int>(std::clamp<std::int64_t>(wait.count(), 0, 60'000)));
  std::uint64_t count = 0;
  (void)!::read(wake_.get(), &count, sizeof count);
}

// All that was found is hashed, but for what changes all the time.
bool Indexer::isHashed() const {
  return scannedOnce_ && firstTries_ == 0 && touched_.empty() && !catalogue_.changed();
}

// The same, and nothing waits to be scanned: not even a folder that was just added.
bool Indexer::atRest() const {
  return isHashed() && scans_.empty() && nextFolderCheck_ != TimePoint{};
}

TimePoint Indexer::publishDue() const {
  const bool busy = !jobs_.empty() || !scans_.empty();
  return publishedAt_ + std::max<Duration>(busy ? kPublishWhileBusy : kPublishWhileIdle,
                                           publishCost_ * kPublishShare);
}

void Indexer::publishIfDue() {
  if (catalogue_.changed() && Clock::now() >= publishDue()) publish();
}

void Indexer::publish() {
  const auto start = Clock::now();
  unsaved_ = true;
  auto snapshot = catalogue_.publish(folders_);
  {
    const std::lock_guard lock(publishedMutex_);
    std::swap(published_.snapshot, snapshot);
  }
  publishedChange_.notify_all();
  publishedAt_ = Clock::now();
  publishCost_ = publishedAt_ - start;
}

void Indexer::updateProgress() {
  if (scans_.empty() && jobs_.empty()) problems_.tell(options_.onNotice);
  Progress progress;
  progress.ready = isHashed();
  progress.scanning = !scannedOnce_;
  progress.hashedFiles = catalogue_.files();
  progress.totalFiles = catalogue_.files() + jobs_.size();
  progress.totalBytes = catalogue_.bytes() + jobBytes_;
  progress.hashedBytes = std::min(progress.totalBytes, catalogue_.bytes() + lanes_.openBytes());
  progress.readBytes = lanes_.hashedBytes();
  bool news = false;
  {
    const std::lock_guard lock(publishedMutex_);
    progress.publishedTicket = atRest() ? tickets_ : published_.progress.publishedTicket;
    news = published_.progress.ready != progress.ready ||
           published_.progress.publishedTicket != progress.publishedTicket;
    published_.progress = progress;
  }
  if (news) publishedChange_.notify_all();
  if (progress.ready && !tidied_) {
    tidied_ = true;
    std::unordered_set<FileRoot> roots;
    for (const auto& entry : catalogue_.published().entries()) {
      if (entry->stat.sizeBytes > limits::kChunkBytesMin) roots.insert(entry->root);
    }
    lists_.keepOnly([&](const FileRoot& root) { return roots.contains(root); });
  }
}

void Indexer::saveIfDue(bool ending) {
  const auto start = Clock::now();
  const bool unsaved = unsaved_ || (ending && catalogue_.changed());
  if (!unsaved || (start < nextSave_ && !ending)) return;
  ::mkdir(options_.stateFolder.c_str(), S_IRWXU);
  if (!folderStates_[0].present && ::access(options_.stateFolder.c_str(), W_OK) != 0) {
    nextSave_ = start + kSaveWhileIdle;  // It went with the share, of which the user was told.
    return;
  }
  const auto saved = saveIndex(indexFile_, catalogue_.everything());
  if (!saved && !std::exchange(saveFailed_, true)) {
    notice(log::Level::warning, saved.error().message +
                                    ": after a restart, files would be hashed again; "
                                    "trying again");
  }
  if (saved) saveFailed_ = false;
  unsaved_ = !saved;
  const auto end = Clock::now();
  nextSave_ = end + std::max<Duration>(jobs_.empty() ? kSaveWhileIdle : kSaveWhileBusy,
                                       (end - start) * kSaveShare);
}

}  // namespace espalier::share
