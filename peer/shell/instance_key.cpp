#include "peer/shell/instance_key.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "common/base/file_descriptor.h"
#include "common/base/fs.h"
#include "common/base/random.h"

namespace espalier::peer::shell {
namespace {

constexpr std::size_t kDigits = InstanceKey::kSizeBytes * 2;

Result<InstanceKey> makeKey(const std::string& path) {
  const auto key = randomFromKernel<InstanceKey>();
  const std::string text = toHex(key.view()) + "\n";
  const std::string temporary = path + ".new";
  const FileDescriptor file(
      ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!file) return systemError("cannot write " + temporary, errno);
  const auto written = ::write(file.get(), text.data(), text.size());
  if (written != static_cast<ssize_t>(text.size()) || ::fsync(file.get()) != 0) {
    return systemError("cannot write " + temporary, errno);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return systemError("cannot write " + path, errno);
  }
  return key;
}

}  // namespace

Result<InstanceKey> loadInstanceKey(const std::string& stateFolder) {
  boost::system::error_code failed;
  if (fs::create_directories(stateFolder, failed)) {
    fs::permissions(stateFolder, fs::owner_all, failed);
  }
  if (failed) return systemError("cannot make the folder " + stateFolder, failed.value());
  const std::string path = stateFolder + "/instance.key";
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (!file && errno == ENOENT) return makeKey(path);
  if (!file) return systemError("cannot read " + path, errno);
  char text[kDigits + 2];
  const auto length = ::read(file.get(), text, sizeof text);
  InstanceKey key;
  // Two digits a byte: the parser of file roots wants as many again, so the text is given to it
  // twice.
  const std::string digits(text, length < 0 ? 0 : static_cast<std::size_t>(length));
  const auto root = parseFileRoot(digits.substr(0, kDigits) + digits.substr(0, kDigits));
  if (digits.size() != kDigits + 1 || !root) {
    return Error{ErrorCode::configuration,
                 fmt::format("{} is damaged; remove it to join as a new peer", path)};
  }
  std::copy_n(root->bytes.begin(), key.bytes.size(), key.bytes.begin());
  return key;
}

}  // namespace espalier::peer::shell
