#include "peer/shell/instance_key.h"

#include <fmt/format.h>

#include "common/base/file.h"
#include "common/base/fs.h"
#include "common/base/random.h"
#include "common/base/text.h"

namespace espalier::peer::shell {
namespace {

constexpr std::size_t kDigits = InstanceKey::kSizeBytes * 2;

Result<InstanceKey> makeKey(const std::string& path) {
  const auto key = randomFromKernel<InstanceKey>();
  const auto kept = replaceFile(path, toHex(key.view()) + "\n", Durability::durable, kPrivate);
  if (!kept) return kept.error();
  return key;
}

}  // namespace

Result<InstanceKey> loadInstanceKey(const std::string& stateFolder) {
  boost::system::error_code failed;
  if (fs::create_directories(stateFolder, failed)) {
    fs::permissions(stateFolder, fs::owner_all, failed);
  }
  if (failed) {
    return systemError("cannot make the folder " + escaped(stateFolder), failed.value());
  }
  const std::string path = stateFolder + "/instance.key";
  const auto text = readFile(path, kDigits + 1);
  if (!text && text.error().code == ErrorCode::failed) return makeKey(path);
  const std::string_view line = text ? std::string_view(*text) : "";
  const auto key =
      line.ends_with('\n') ? fromHex<InstanceKey>(line.substr(0, line.size() - 1)) : std::nullopt;
  if (key) return *key;
  return Error{ErrorCode::configuration,
               fmt::format("{} is damaged; remove it to join as a new peer", escaped(path))};
}

}  // namespace espalier::peer::shell
