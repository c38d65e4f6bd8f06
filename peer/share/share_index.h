// The share of a peer: a folder tree, and what the user added to it with `share PATH`. It is
// scanned and hashed in the background, kept over a restart, and watched for changes.
//
//   found --at rest--> hashing --unchanged--> shared --changed, removed--> gone, or found again
//     ^                   |
//     +---- changed ------+   again after 100 ms, doubling to 30 s
//
// Invariants:
// - Each file of a snapshot was hashed whole, in exactly the version (FileStat) that the snapshot
//   names. A version whose bytes changed while they were hashed is not listed.
// - Never listed or opened: the state folder of any peer or metaserver; symbolic links, sockets,
//   fifos and devices; invalid names (share_name.h); what was unshared, and what a dot in its name
//   hides (share_list.h).
// - Before a file is hashed, its mtime and ctime are older than the clock's tick, so that a later
//   write changes them.
// - A version that was hashed before, under whatever name, is not hashed again.
//
// The user gets a notice of what cannot be shared. What cannot be read is tried again, after 100
// ms, doubling to 30 s.
//
// Threads: one that scans, watches and publishes (indexer.h), and one a core that hashes
// (hash_lanes.h). The constructor starts them and returns at once. The destructor joins them within
// one read (256 KiB) each, and saves the index. All functions are thread-safe. snapshot() and
// progress() never wait for a disk; the others may.
//
// Cost: about 200 bytes a file. publication.h says how often a snapshot is published.
//
// Called by the peer's shell: searches and `list` read snapshots, transfers open files and ask for
// their chunk hashes, commands share and unshare.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "peer/share/indexing_progress.h"
#include "peer/share/share_notice.h"
#include "peer/share/shared_file.h"
#include "peer/share/snapshot.h"

namespace espalier::share {

struct ShareOptions {
  fs::path root;         // the share's folder; it may be absent
  fs::path stateFolder;  // created if the folder above it is there
  unsigned lanes = 0;    // threads that hash; 0: one a core
  // Called on the indexer's thread, which waits for it. Must not call the ShareIndex.
  Notify onNotice = [](const ShareNotice&) {};
  bool shareHidden = false;  // share also names that begin with a dot
  std::size_t watches = limits::kFolderWatches;
  Duration rescanInterval = limits::kRescanInterval;
};

class Indexer;

class ShareIndex {
 public:
  explicit ShareIndex(ShareOptions options);
  ~ShareIndex();
  // An error if the system had no thread left: then nothing is ever listed.
  const Result<void>& started() const;

  std::shared_ptr<const Snapshot> snapshot() const;
  IndexingProgress progress() const;
  // Blocks until `enough` holds for what is published, or the timeout. True in the first case.
  bool wait(std::chrono::milliseconds timeout,
            const std::function<bool(const Snapshot&, const IndexingProgress&)>& enough) const;

  // Blocks until all that add() and remove() changed before this call is scanned, hashed and
  // published. False at the timeout, or when `stop` is requested. (progress().ready does not serve
  // for this: it may still be true from before the change.)
  bool awaitPublished(std::chrono::milliseconds timeout, std::stop_token stop = {});

  // The chunk hashes of the file with that root; the root alone for a file of one chunk. From
  // memory, else from the state folder, else by reading the file again. An error if no file of that
  // root is shared, or if it changed.
  Result<std::vector<Digest>> chunkHashes(const FileRoot& root);

  // Writes everything into the state folder again, soon. The state folder was removed, and made
  // again.
  void saveAgain();

  // As share::openForServing(). A file that proves to have changed is looked at again, so it soon
  // leaves the snapshot.
  Result<OpenedFile> openForServing(const SharedFile& file);

  // A download at `path`, still under its temporary name, was verified. Once it is renamed into the
  // share, it is shared without being hashed. `chunks`: as chunkHashes() returns them; a list that
  // does not match the root and the file's size is ignored.
  void learn(const fs::path& path, const FileRoot& root, std::span<const Digest> chunks);

  // Another peer says that it got a wrong chunk of this root from this peer. The files of that root
  // are hashed again, at most once in limits::kRecheckAgain, and shared under the root that they
  // have. Returns at once.
  void recheck(const FileRoot& root);

  // Whether a file of that share name would be shared, if it were there. False also when it is not
  // known within 30 s, or when `stop` is requested.
  bool wouldShare(const std::string& name, std::stop_token stop = {});

  // `share PATH`: a file or folder outside the share is shared under its last component; one that
  // remove() took away is shared again; one whose name begins with a dot is shared from now on.
  // `unshare PATH`: nothing at or below that path is shared, under whatever name, until add() of
  // the same path.
  //
  // `name` is what the user typed: it is taken as a share name if `path` is not in a shared folder.
  // Relative paths start at the working folder. Both are kept over a restart. When remove()
  // returns, the snapshot no longer has what it removed; awaitPublished() waits for what add()
  // adds. Errors are sentences for the user; `timeout` after 30 s, `interrupted` when `stop` is
  // requested: then the path is left as it was, unless the change had begun.
  Result<void> add(const fs::path& path, const std::string& name, std::stop_token stop = {});
  Result<void> remove(const fs::path& path, const std::string& name, std::stop_token stop = {});
  Result<void> add(const fs::path& path) { return add(path, path.string()); }
  Result<void> remove(const fs::path& path) { return remove(path, path.string()); }

  // An error of code `configuration` if a newer version wrote the files in that state folder.
  static Result<void> checkState(const fs::path& stateFolder);

 private:
  std::unique_ptr<Indexer> indexer_;
};

}  // namespace espalier::share
