#include "peer/share/folder_watch.h"

#include <fcntl.h>
#include <sys/inotify.h>

#include <array>
#include <cerrno>
#include <string>

namespace espalier::share {
namespace {

constexpr std::uint32_t kMask = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_MODIFY |
                                IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF |
                                IN_ONLYDIR;

}  // namespace

FolderWatch::FolderWatch(std::size_t watches) : most_(watches) {
  reopen();
}

void FolderWatch::reopen() {
  if (descriptor_) return;
  descriptor_ = FileDescriptor(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  openError_ = descriptor_ ? 0 : errno;
}

int FolderWatch::add(int folder) {
  if (!descriptor_) {
    errno = openError_;
    return -1;
  }
  // Not by the folder's path, which may lead to another folder by now.
  const std::string path = "/proc/self/fd/" + std::to_string(folder);
  const int watch = ::inotify_add_watch(descriptor_.get(), path.c_str(), kMask);
  if (watch < 0 || watches_.contains(watch)) return watch;
  if (watches_.size() >= most_) {
    remove(watch);
    errno = ENOSPC;
    return -1;
  }
  watches_.insert(watch);
  return watch;
}

std::string FolderWatch::reason(int error) {
  if (error == ENOSPC) {
    return "this user's inotify watches are used up (fs.inotify.max_user_watches sets how many "
           "there are)";
  }
  if (error != EMFILE) return systemError("inotify", error).message;
  // EMFILE means either. Opening another descriptor shows which it is.
  const FileDescriptor probe(::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  return probe || errno != EMFILE
             ? "this user's inotify instances are used up (fs.inotify.max_user_instances sets how "
               "many there are)"
             : "this process has too many files open (ulimit -n sets how many it may have)";
}

void FolderWatch::remove(int watch) {
  ::inotify_rm_watch(descriptor_.get(), watch);  // The kernel answers with IN_IGNORED.
}

void FolderWatch::read(const std::function<void(const WatchEvent&)>& onEvent) {
  alignas(inotify_event) std::array<char, 16 * 1024> buffer;
  for (int rounds = 0; rounds < 64; ++rounds) {
    const ssize_t got = ::read(descriptor_.get(), buffer.data(), buffer.size());
    if (got <= 0) return;
    for (const char* at = buffer.data(); at < buffer.data() + got;) {
      const auto* event = reinterpret_cast<const inotify_event*>(at);
      at += sizeof(inotify_event) + event->len;
      if (event->mask & IN_IGNORED) watches_.erase(event->wd);
      onEvent({event->wd, (event->mask & IN_Q_OVERFLOW) != 0, (event->mask & IN_IGNORED) != 0,
               (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0,
               (event->mask & IN_ATTRIB) != 0, (event->mask & IN_ISDIR) != 0,
               (event->mask & (IN_DELETE | IN_MOVED_FROM)) != 0,
               (event->mask & IN_CLOSE_WRITE) != 0,
               event->len > 0 ? std::string_view(event->name) : std::string_view{}});
    }
  }
}

}  // namespace espalier::share
