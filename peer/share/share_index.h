// The share of a peer: a folder tree, and what the user added to it. Scanned and hashed in the
// background, kept over a restart, watched while running.
//
//   found --stable--> hashing --unchanged--> shared --changed, removed--> gone (or found again)
//     ^                   |
//     +---- changed ------+   again later: 100 ms, doubling to 30 s
//
// Invariants: what a snapshot lists was hashed whole in exactly the version (FileStat) that it
// names; no version is listed whose bytes changed while they were hashed. Nothing in the state
// folder of any peer or metaserver, no symbolic link, socket, fifo or device, no invalid name
// (share_name.h), nothing that was unshared or whose name hides it (share_list.h) is listed or
// opened. What cannot be shared is told in a notice; what cannot be read is tried again, after 100
// ms, doubling to 30 s. A file waits until its mtime and ctime are older than the clock's tick
// before it is hashed: a later write then shows in them. A version hashed before, whatever its
// name, is not hashed again.
//
// Threads: one that scans, watches and publishes, and a lane a core that hashes; the constructor
// starts them and returns at once, the destructor joins them within a read (256 KiB) of each and
// saves the index. All functions are thread-safe; snapshot() and progress() never wait for a disk,
// the others may. Cost: about 200 bytes a file; publishing at most every 10 ms (100 ms while
// indexing), less often when that takes more than a twentieth of the time.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "peer/share/notice.h"
#include "peer/share/progress.h"
#include "peer/share/shared_file.h"
#include "peer/share/snapshot.h"

namespace espalier::share {

struct ShareOptions {
  fs::path root;         // the share; it need not be there yet
  fs::path stateFolder;  // created if the folder above it is there
  unsigned lanes = 0;    // 0: one a core
  // Called from the index's own thread, which waits for it; must not call the index.
  Notify onNotice = [](const Notice&) {};
  bool shareHidden = false;  // also what begins with a dot
  std::size_t watches = limits::kFolderWatches;
  Duration rescanInterval = limits::kRescanInterval;
};

class Indexer;

class ShareIndex {
 public:
  explicit ShareIndex(ShareOptions options);
  ~ShareIndex();
  // An error where the system had no thread for it: then nothing is ever listed.
  const Result<void>& started() const;

  std::shared_ptr<const Snapshot> snapshot() const;
  Progress progress() const;
  // Waits until `enough` says so of what is published then, or the time is over; says which.
  bool wait(std::chrono::milliseconds timeout,
            const std::function<bool(const Snapshot&, const Progress&)>& enough) const;

  // Waits until what add() and remove() changed before is scanned, hashed and published; false when
  // the time is over first, or `stop` asks for it. (progress().ready may be of before the change.)
  bool awaitPublished(std::chrono::milliseconds timeout, std::stop_token stop = {});

  // The list that belongs to a root: one hash (the root) for a file of one chunk. From memory, from
  // the state folder, else the file is read again. An error when no file of that root is shared, or
  // it changed.
  Result<std::vector<Digest>> chunkHashes(const FileRoot& root);

  // The state folder was removed, and is there again: what is kept in it is saved soon.
  void saveAgain();

  // As share::openForServing; what proves changed is looked at again, so it soon leaves the index.
  Result<OpenedFile> openForServing(const SharedFile& file);

  // Tells of a file that was downloaded and verified, while it still has its temporary name: once
  // it is renamed into the share it is shared without being hashed again. `chunks` as chunkHashes()
  // gives them; what does not fit the root and size is ignored.
  void learn(const fs::path& path, const FileRoot& root, std::span<const Digest> chunks);

  // Somebody was sent a chunk of this root that does not match its hash: the files are hashed again
  // (limits::kRecheckAgain), and announced as what they prove to be. Returns at once.
  void recheck(const FileRoot& root);

  // Whether a file of that share name would be shared.
  bool wouldShare(const std::string& name);

  // `share PATH`: a file or folder from outside the share appears under its last component; one
  // that remove() took away comes back, one whose name begins with a dot is shared from now on.
  // `unshare PATH`: nothing at or below that path is shared, under whatever name, until add() of
  // that very path. Where the path is not in what is shared, `name` may be a share name. Kept over
  // a restart. Relative paths are from the working folder. When they return, the snapshot no longer
  // shows what is gone; awaitPublished() waits for what was added. Errors are sentences for the
  // user.
  Result<void> add(const fs::path& path, const std::string& name);
  Result<void> remove(const fs::path& path, const std::string& name);
  Result<void> add(const fs::path& path) { return add(path, path.string()); }
  Result<void> remove(const fs::path& path) { return remove(path, path.string()); }

  // An error of code `configuration` when a newer version wrote what lies in a state folder.
  static Result<void> checkState(const fs::path& stateFolder);

 private:
  std::unique_ptr<Indexer> indexer_;
};

}  // namespace espalier::share
