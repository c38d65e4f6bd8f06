#include "topo/text_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::topo {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }
  // Some file systems report a failed write only here.
  bool close() { return ::close(std::exchange(number_, -1)) == 0; }

 private:
  int number_;
};

Error failed(std::string_view what, const std::string& path, int errnoValue) {
  return systemError(fmt::format("cannot {} {}", what, escaped(path)), errnoValue);
}

bool writeAll(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

Result<void> writeAtomically(const std::string& path, std::string_view text) {
  const std::string temporary = path + ".new";
  if (::unlink(temporary.c_str()) != 0 && errno != ENOENT) {
    return failed("replace", temporary, errno);
  }
  Descriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (file.get() < 0) return failed("create", temporary, errno);
  const auto giveUp = [&](std::string_view what, const std::string& where) {
    const int reason = errno;
    ::unlink(temporary.c_str());
    return failed(what, where, reason);
  };
  if (!writeAll(file.get(), text) || !file.close()) return giveUp("write", temporary);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return giveUp("replace", path);
  return {};
}

Result<std::string> readFile(const std::string& path) {
  // Without O_NONBLOCK a named pipe would hold us up.
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return failed("open", path, errno);
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::io, fmt::format("{} is no regular file", escaped(path))};
  }
  std::string text;
  char buffer[64 * 1024];
  while (true) {
    const ssize_t size = ::read(file.get(), buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return failed("read", path, errno);
    if (size == 0) return text;
    text.append(buffer, static_cast<std::size_t>(size));
    if (text.size() > limits::kTopoFileBytes) {
      return Error{ErrorCode::io, fmt::format("{} is larger than {}", escaped(path),
                                              formatSize(limits::kTopoFileBytes))};
    }
  }
}

}  // namespace espalier::topo
