#include "peer/shell/outcome_parts.h"

#include <chrono>
#include "common/base/text.h"

namespace espalier::peer::shell {

Json fileData(const std::string& name, std::uint64_t sizeBytes, const FileRoot& root) {
  Json data;
  data["name"] = name;
  data["size"] = sizeBytes;
  data["root"] = toHex(root.view());
  return data;
}

std::vector<std::string> textsOf(const std::vector<PeerId>& ids) {
  std::vector<std::string> texts;
  for (const auto& id : ids) texts.push_back(id.text());
  return texts;
}

std::string secondsText(double seconds) {
  return formatDuration(std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9)));
}

}  // namespace espalier::peer::shell
