#include <doctest/doctest.h>
#include <pwd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/thread.h"

using namespace espalier;

namespace {

// Runs `function` in a process of a user that may have no more threads; what it returned.
int withoutThreads(int (*function)()) {
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit one{1, 1};
    if (::setrlimit(RLIMIT_NPROC, &one) != 0) ::_exit(100);
    // Root may have as many as it likes.
    if (::getuid() == 0 && ::setuid(::getpwnam("nobody")->pw_uid) != 0) ::_exit(101);
    ::_exit(function());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("a thread is started, and told to stop by its owner") {
  bool ran = false;
  bool stopped = false;
  {
    auto simple = startThread([&] { ran = true; });
    REQUIRE(simple.ok());
    auto stoppable = startThread([&](std::stop_token stop) {
      while (!stop.stop_requested()) std::this_thread::yield();
      stopped = true;
    });
    REQUIRE(stoppable.ok());
  }
  CHECK(ran);
  CHECK(stopped);
}

TEST_CASE("a thread that the system does not give is an error, not an exception") {
  const int code = withoutThreads([] {
    std::jthread thread;
    const auto started = startThread(thread, [] {});
    if (started.ok() || thread.joinable()) return 1;
    if (started.error().code != ErrorCode::io) return 2;
    return started.error().message.starts_with("cannot start a thread: ") ? 0 : 3;
  });
  CHECK(code == 0);
}
