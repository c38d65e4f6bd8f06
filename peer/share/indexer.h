// The thread behind ShareIndex, and the parts that it owns. share_index.h says what it promises.
//
//   other threads --> Inbox --+
//   inotify --> WatchReader --+--> ScanQueue --> Scanner --> FileTracker --> HashSchedule --> lanes
//   timer --> FolderCheck ----+                                  |                              |
//                                                                v                              |
//   other threads <-- Publication <-- Catalogue <--------- accept, forget <------- results -----+
//
// Each part has one file pair, and a header that says who calls it. FolderTable and ShareRules say
// what a name stands for and whether it is shared; ShareEditor changes both (`share`, `unshare`);
// IndexSaver keeps the hashes on disk; Rechecker hashes a file again that a peer calls damaged;
// Problems gathers what the user is told. Only this class runs them all; it decides nothing but
// their order.
//
// Threads: Inbox, Publication and ChunkLists are thread-safe, and with them all public functions
// here. Everything else is of the indexer's thread alone. Members are in the order of their
// lifetimes: what borrows comes after what it borrows from; the lanes come after what they call,
// and the thread is last, so it is joined first.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "peer/share/folder_check.h"
#include "peer/share/inbox.h"
#include "peer/share/index_saver.h"
#include "peer/share/pending_command.h"
#include "peer/share/publication.h"
#include "peer/share/rechecker.h"
#include "peer/share/scanner.h"
#include "peer/share/share_editor.h"
#include "peer/share/share_index.h"
#include "peer/share/watch_reader.h"

namespace espalier::share {

class Indexer {
 public:
  explicit Indexer(ShareOptions options);
  ~Indexer();
  const Result<void>& started() const { return started_; }

  // As in ShareIndex.
  std::shared_ptr<const Snapshot> snapshot() const { return publication_.snapshot(); }
  IndexingProgress progress() const;
  bool wait(std::chrono::milliseconds timeout, const Publication::Enough& enough) const;
  bool awaitPublished(std::chrono::milliseconds timeout, const std::stop_token& stop);
  Result<void> add(const fs::path& path, const std::string& name, const std::stop_token& stop);
  Result<void> remove(const fs::path& path, const std::string& name, const std::stop_token& stop);
  bool wouldShare(const std::string& name, const std::stop_token& stop);
  void saveAgain();

  // Requests that need no answer.
  Inbox& inbox() { return inbox_; }
  ChunkLists& chunkLists() { return chunkLists_; }

 private:
  void run(const std::stop_token& stop);
  void load();
  // Waits until something is due, an event comes or another thread wakes it.
  void poll();
  TimePoint nextDue() const;
  void takeRequests();
  void takeResults();
  void publishIfDue();
  void publish();
  void updateProgress();
  void tidyChunkLists();
  // Runs it on the indexer's thread, and returns its result, or why it is waited for no longer.
  Result<void> onThread(PendingCommand::Command command, Duration patience,
                        const std::stop_token& stop);
  Result<void> published(Result<void> result);

  // Files are being scanned or hashed.
  bool isBusy() const { return queue_.hasFolders() || !schedule_.jobs().empty(); }
  // All files that were found are hashed and published, but for those that changed meanwhile.
  bool isHashed() const;
  // The same, and nothing waits to be scanned, not even a folder that was just opened.
  bool isAtRest() const;

  const ShareOptions options_;
  Inbox inbox_;
  Publication publication_;
  ChunkLists chunkLists_;

  // What is known.
  FolderTable folders_;
  ShareRules rules_;
  Catalogue catalogue_;
  Problems problems_;
  ScanQueue queue_;
  TreeWatch watch_;

  // What works on it.
  HashLanes lanes_;
  HashSchedule schedule_;
  FileTracker files_;
  FolderCheck check_;
  Scanner scanner_;
  WatchReader watchReader_;
  Rechecker rechecker_;
  ShareEditor editor_;
  IndexSaver saver_;

  bool chunkListsTidied_ = false;
  Result<void> started_;
  std::jthread thread_;
};

}  // namespace espalier::share
