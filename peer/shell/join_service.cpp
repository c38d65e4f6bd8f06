#include "peer/shell/join_service.h"

#include <fmt/format.h>

#include "common/base/text.h"

namespace espalier::peer::shell {

std::string refusedWord(const std::string& word, const std::string& wanted) {
  return fmt::format("the metaserver refused the word \"{}\": type {} to join", escaped(word),
                     escaped(wanted));
}

std::string joinedLine(const Joined& joined) {
  const std::string place = joined.linkedTo.empty()
                                ? "the first of the network"
                                : "linked to " + escaped(joined.linkedTo.text());
  return fmt::format("{} joined on {}, {}; sharing {} ({}) from {}{}", escaped(joined.id.text()),
                     joined.endpoint.text(), place, counted(joined.sharedFiles, "file"),
                     formatSize(joined.sharedBytes), escaped(joined.share),
                     joined.indexing ? ", still indexing" : "");
}

std::string listOf(const std::vector<Endpoint>& metaservers) {
  std::string list;
  for (const auto& at : metaservers) list += (list.empty() ? "" : ", ") + escaped(at.text());
  return list;
}

std::string noMetaserverLine(const std::vector<Endpoint>& metaservers, const std::string& why) {
  return fmt::format("no metaserver at {}{}: start \"metaserver\"", listOf(metaservers),
                     why.empty() ? "" : fmt::format(" ({})", escaped(why)));
}

}  // namespace espalier::peer::shell
