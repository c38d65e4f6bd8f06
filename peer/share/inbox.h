// Requests of other threads for the indexer's thread, and what wakes it.
//
// Every part is bounded. When it is full: a command is refused; a name becomes a scan of
// everything; a version is dropped, so its file is hashed again; a recheck is dropped.
//
// Thread-safe. ShareIndex's callers put requests in, the hash lanes call wake(), and only the
// indexer's thread calls take(), descriptor() and clearWake(). No function blocks.
#pragma once

#include <deque>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "common/base/guarded.h"
#include "common/base/ids.h"
#include "common/base/wake_up.h"
#include "peer/share/index_file.h"

namespace espalier::share {

class Inbox {
 public:
  using Command = std::function<void()>;
  struct Requests {
    std::deque<Command> commands;        // at most kShareCommands, to be run in this order
    std::set<std::string> names;         // files to look at again, at most kPostedNames
    bool everything = false;             // scan everything again: there were more names
    std::vector<KnownVersion> versions;  // of verified downloads, at most kPostedVersions
    std::deque<FileRoot> rechecks;       // files to hash again, at most kRechecks
  };

  // False when kShareCommands are waiting already.
  bool post(Command command);
  void lookAgain(std::string name);
  void learn(const KnownVersion& version);
  void recheck(const FileRoot& root);
  void wake() { wake_.wake(); }

  Requests take();
  // Readable after a request or wake(), until clearWake().
  int descriptor() const { return wake_.descriptor(); }
  void clearWake() { wake_.clear(); }

 private:
  WakeUp wake_;
  Guarded<Requests> requests_;
};

}  // namespace espalier::share
