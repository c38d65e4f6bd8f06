#include "peer/shell/peer_state.h"

#include <fmt/format.h>

#include <chrono>

#include "common/base/fs.h"
#include "common/base/log.h"
#include "common/base/state_folder.h"
#include "common/base/text.h"
#include "peer/share/index_file.h"
#include "peer/share/share_list.h"
#include "peer/transfer/stale_parts.h"

namespace espalier::peer::shell {

Result<void> checkShareFolder(const std::string& share, const std::string& stateFolder) {
  boost::system::error_code ignored;
  const fs::path real = fs::weakly_canonical(share, ignored);
  if (real != fs::weakly_canonical(stateFolder, ignored) && !isInStateFolder(real.string())) {
    return {};
  }
  return Error{ErrorCode::configuration,
               fmt::format("{} is a state folder, or lies in one: nothing of it is ever shared; "
                           "choose another --share or --state",
                           escaped(share))};
}

Result<void> checkShareState(const std::string& stateFolder) {
  const fs::path folder(stateFolder);
  if (const auto list = share::loadShareList(folder / "share.json"); !list) {
    if (list.error().code == ErrorCode::configuration) return list.error();
    return Error{ErrorCode::configuration,
                 fmt::format("{}: it says what was shared and unshared by hand; mend it, or move "
                             "it away to begin without",
                             escaped(list.error().message))};
  }
  const auto index = share::loadIndex(folder / "index");
  if (!index && index.error().code == ErrorCode::configuration) return index.error();
  return {};
}

void tidyIncoming(const std::string& stateFolder, const std::string& downloads) {
  for (const auto& folder : {stateFolder, downloads + "/.espalier"}) {
    const auto now = std::chrono::system_clock::now();
    const auto stale = transfer::removeStaleParts(folder + "/incoming", now);
    if (stale.files == 0) continue;
    log::info("removed {} of {} that nobody went on with for 30 days",
              counted(stale.files, "incomplete file"), formatSize(stale.bytes));
  }
}

}  // namespace espalier::peer::shell
