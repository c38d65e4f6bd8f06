// The inside of ShareIndex: its thread, and what belongs to it alone. See share_index.h for what it
// promises. In six files: indexer.cpp (the loop, publishing, saving), indexer_scan.cpp (folders),
// indexer_watch.cpp (their changes), indexer_file.cpp (one file at a time), indexer_list.cpp (share
// and unshare), indexer_recheck.cpp (files that somebody calls damaged).
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/base/file_descriptor.h"
#include "common/base/guarded.h"
#include "peer/share/catalogue.h"
#include "peer/share/chunk_lists.h"
#include "peer/share/folder_watch.h"
#include "peer/share/hash_lanes.h"
#include "peer/share/problems.h"
#include "peer/share/share_index.h"
#include "peer/share/share_list.h"
#include "peer/share/watch_table.h"

namespace espalier::share {

// The name of a child of a folder, which may be the share itself ("").
inline std::string joined(const std::string& folder, std::string_view child) {
  return folder.empty() ? std::string(child) : folder + '/' + std::string(child);
}

// Of files, descriptors or memory: an error that says nothing of the file that was looked at.
bool isShortage(int error);

class Indexer {
 public:
  explicit Indexer(ShareOptions options);
  ~Indexer();
  const Result<void>& started() const { return started_; }

  std::shared_ptr<const Snapshot> snapshot() const;
  Progress progress() const;
  bool wait(std::chrono::milliseconds timeout,
            const std::function<bool(const Snapshot&, const Progress&)>& enough) const;
  bool awaitPublished(std::chrono::milliseconds timeout, const std::stop_token& stop);
  ChunkLists& chunkLists() { return lists_; }
  Result<void> add(const fs::path& path, const std::string& name);
  Result<void> remove(const fs::path& path, const std::string& name);
  void lookAgain(std::string name);
  void learn(const Remembered& version);
  void saveAgain();
  void recheck(const FileRoot& root);
  bool wouldShare(const std::string& name);

 private:
  struct FolderState {
    bool active = true;    // false: unshared again; its number is not used for another
    bool present = false;  // as of the last check
    bool toldGone = false;
    unsigned failures = 0;  // of scans, one after the other
    TimePoint notBefore{};  // the next check, after a failure
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::string real;  // its path without symbolic links, as of the last check that found it
  };
  struct Retry {
    TimePoint due;
    unsigned attempts = 0;
  };
  struct Published {
    std::shared_ptr<const Snapshot> snapshot = std::make_shared<const Snapshot>();
    Progress progress;
  };
  using Command = std::function<void()>;
  // What other threads have for this one. Each part has a bound: see post() and its neighbours.
  struct Posted {
    std::deque<Command> commands;
    std::set<std::string> names;
    bool everything = false;  // is to be looked at again, rather than more names
    std::vector<Remembered> versions;
    std::deque<FileRoot> rechecks;
  };

  // indexer.cpp
  void run(std::stop_token stop);
  void loadState();
  void poll();
  TimePoint nextDue() const;
  void wake();
  bool post(Command command);
  void takePosted();
  TimePoint publishDue() const;
  void publishIfDue();
  void publish();
  void saveIfDue(bool ending);
  void updateProgress();
  bool isHashed() const;
  bool atRest() const;
  void notice(log::Level level, const std::string& text);

  // indexer_scan.cpp
  std::uint32_t folderOf(std::string_view name) const;
  std::string pathOf(std::string_view name) const;
  bool isUnshared(std::string_view name) const;
  bool isShared(std::string_view name) const;
  bool isScanned(std::string_view name) const;
  bool isWanted(const std::string& name, std::string_view child);
  void checkFolders();
  void checkFolder(std::uint32_t index);
  void loseFolder(std::uint32_t index, int error);
  void loseTop(std::uint32_t index, int error);
  void forgetFolder(std::uint32_t index);
  void rescan();
  void scanSome(std::stop_token stop);
  void scanFolder(const std::string& name, std::stop_token stop);
  void scanOpened(const std::string& name, std::uint32_t folder, FileDescriptor opened,
                  std::stop_token stop);
  void scanned();

  // indexer_watch.cpp
  void watch(const std::string& name, int folder);
  void unwatch(const std::vector<int>& watches);
  void readWatch();
  void onWatchEvent(const WatchEvent& event);
  void onWatchEnded(int watch);
  void onChildEvent(const std::string& folderName, const WatchEvent& event);

  // indexer_file.cpp
  void look(const std::string& name);
  void lookAt(int folder, const char* child, const std::string& name, std::uint32_t index,
              bool descend);
  void consider(const std::string& name, std::uint32_t index, const FileStat& stat);
  void accept(const std::string& name, std::uint32_t index, const FileStat& stat,
              const FileRoot& root);
  HashJobPointer jobOf(const std::string& name, std::uint32_t index, const FileStat& stat) const;
  void submit(const std::string& name, std::uint32_t index, const FileStat& stat,
              unsigned attempts);
  void takeResults();
  void onResult(const HashJobPointer& job);
  void lookAtDue();
  void retryAt(const std::string& name, TimePoint due, unsigned attempts);
  void sooner(const std::string& name);
  void dropRetry(std::string_view name);
  void dropJob(std::string_view name);
  void lose(const std::string& name, int error);
  void found(const std::string& name);
  void forget(const std::string& name);
  void forgetTree(const std::string& name);

  // indexer_list.cpp
  Result<void> onCommand(const std::function<Result<void>()>& command);
  void loadShareFolders();
  Result<void> addNow(const fs::path& path, const std::string& name);
  Result<void> addInside(const fs::path& path, const std::vector<std::string>& names);
  Result<void> addOutside(const fs::path& path);
  Result<void> removeNow(const fs::path& path, const std::string& name);
  Result<void> unshare(const fs::path& real, const std::string& shown);
  Result<void> changeList(ShareList list);
  fs::path meant(const fs::path& path, const std::string& name) const;
  std::vector<std::string> namesOf(const std::string& real) const;
  std::string topOf(std::uint32_t index) const;
  bool concernsShare(const std::string& real) const;
  void openShareFolder(SharedFolder folder);
  void closeShareFolder(std::uint32_t index);
  bool isKnown(std::string_view name) const;

  // indexer_recheck.cpp
  void queueRecheck(const FileRoot& root);
  void recheckIfDue();
  void onRecheck(const HashJobPointer& job);

  const ShareOptions options_;
  const fs::path indexFile_;
  const fs::path listFile_;
  ChunkLists lists_;
  FileDescriptor wake_;  // an eventfd
  Guarded<Posted> posted_;

  mutable std::mutex publishedMutex_;
  mutable std::condition_variable publishedChange_;
  Published published_;

  // The thread's own from here on.
  Catalogue catalogue_;
  ShareList list_;
  std::shared_ptr<const SharedFolders> folders_;
  std::vector<FolderState> folderStates_;                        // of folders_
  std::map<std::string, std::uint32_t, std::less<>> labels_;     // of active folders but the first
  std::pair<std::uint64_t, std::uint64_t> stateFolderId_{0, 0};  // device, inode
  std::vector<std::string> scans_;                               // folders still to be scanned
  std::set<std::string> touched_;                                // files that events named
  std::map<std::string, HashJobPointer, std::less<>> jobs_;
  std::map<std::string, Retry, std::less<>> retries_;  // attempts 0: waiting until it is stable
  // Files and folders that cannot be read, and how often that was tried: they are in retries_, too.
  std::map<std::string, unsigned, std::less<>> troubles_;
  std::set<std::pair<TimePoint, std::string>> due_;
  std::uint64_t jobBytes_ = 0;
  std::size_t firstTries_ = 0;  // of jobs_ and due_, those with attempts 0
  Problems problems_;
  FolderWatch watch_;
  WatchTable watches_;
  std::uint64_t tickets_ = 0;  // given out by awaitPublished()
  bool rescanning_ = false;    // folders cannot be watched
  bool inRescan_ = false;      // of everything
  bool watchFailed_ = false;   // since that began
  bool scannedOnce_ = false;
  bool tidied_ = false;
  bool unsaved_ = false;
  bool saveFailed_ = false;
  TimePoint watchPausedUntil_{};
  TimePoint nextFolderCheck_{};
  TimePoint nextRescan_ = kNever;
  TimePoint publishedAt_{};
  Duration publishCost_{};
  TimePoint nextSave_{};

  std::deque<std::string> rechecks_;              // names, of files that are shared
  std::map<FileRoot, TimePoint> recheckedRoots_;  // when, of the last kRecheckAgain
  HashJobPointer recheck_;                        // the one that is hashed now
  TimePoint recheckStarted_{};
  TimePoint recheckDue_{};

  HashLanes lanes_;
  Result<void> started_;
  std::jthread thread_;  // last: it ends first
};

}  // namespace espalier::share
