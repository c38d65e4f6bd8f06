// Keeps the hashes of the catalogue in the file `index` of the state folder, so that a restart
// hashes nothing again.
//
//   saved --changed()--> unsaved --due--> saved, or unsaved still after a failure: notice, again
//
// Saves at most every 2 s while files are hashed, every 5 s otherwise, and in at most a fiftieth of
// the time; once more at the end. Only the indexer's thread; blocks on the disk.
#pragma once

#include "common/base/clock.h"
#include "peer/share/catalogue.h"
#include "peer/share/share_notice.h"

namespace espalier::share {

class IndexSaver {
 public:
  IndexSaver(fs::path stateFolder, Catalogue& catalogue, const Notify& notify)
      : stateFolder_(std::move(stateFolder)), catalogue_(catalogue), notify_(notify) {}

  // Makes the state folder, if the folder above it is there, and reads the index into the
  // catalogue.
  void load();

  // Something was published.
  void changed() { unsaved_ = true; }
  // What is on disk may be lost: save without a wait.
  void saveSoon();
  // When saveIfDue() has something to do; kNever.
  TimePoint due() const { return unsaved_ ? due_ : kNever; }
  // `busy`: files are being hashed. `shareThere`: the share's own folder is present; if it is not,
  // a state folder that cannot be written to needs no notice, since it went with the share.
  void saveIfDue(bool busy, bool shareThere);
  void saveAtEnd(bool shareThere);

 private:
  void save(bool busy, bool shareThere);

  const fs::path stateFolder_;
  Catalogue& catalogue_;
  const Notify& notify_;
  bool unsaved_ = false;
  bool failed_ = false;  // the last time, of which the user was told
  TimePoint due_{};
};

}  // namespace espalier::share
