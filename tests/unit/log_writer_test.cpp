#include "common/command/log_writer.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>

#include "common/base/file_descriptor.h"
#include "common/base/limits.h"
#include "common/base/log.h"

using namespace espalier;
using namespace espalier::command;

namespace {

struct Pipe {
  Pipe() {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    out = FileDescriptor(ends[0]);
    in = FileDescriptor(ends[1]);
  }
  // Reads until `last` has arrived.
  std::string readUntil(std::string_view last) const {
    std::string text;
    char buffer[4096];
    while (text.find(last) == std::string::npos) {
      const auto size = ::read(out.get(), buffer, sizeof buffer);
      REQUIRE(size > 0);
      text.append(buffer, static_cast<std::size_t>(size));
    }
    return text;
  }
  FileDescriptor out;
  FileDescriptor in;
};

const std::string kLong(100, 'x');

}  // namespace

TEST_CASE("logging does not wait for a reader, and the number of lost lines is reported") {
  const Pipe pipe;
  const LogWriter writer(pipe.in.get());
  for (std::size_t i = 0; i < 3 * limits::kNoticesQueued; ++i) log::info("{} {}", i, kLong);

  const std::string text = pipe.readUntil("that the output did not take in time\n");

  CHECK(text.find(" 0 xxx") != std::string::npos);
  CHECK(text.find("… and ") != std::string::npos);
  log::info("and on it goes");
  CHECK(pipe.readUntil("and on it goes\n").size() < 100);
}

TEST_CASE("the last lines are written before the end if the output is read") {
  const Pipe pipe;
  {
    const LogWriter writer(pipe.in.get());
    log::info("the last words");
  }
  CHECK(pipe.readUntil("\n").ends_with("the last words\n"));
}

TEST_CASE("a reader that never comes does not keep the program from ending") {
  const Pipe pipe;
  std::optional<LogWriter> writer(std::in_place, pipe.in.get());
  for (std::size_t i = 0; i < limits::kNoticesQueued; ++i) log::info("{} {}", i, kLong);
  writer.reset();
  CHECK(::fcntl(pipe.out.get(), F_GETFD) >= 0);
}

TEST_CASE("lines lost on a full disk are reported once it can be written again") {
  const Pipe pipe;
  const FileDescriptor output(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  REQUIRE(output.get() >= 0);
  const auto before = log::lost().lines;
  const LogWriter writer(output.get());
  log::info("lost");
  while (log::lost().lines == before) std::this_thread::yield();
  CHECK(log::lost().why == "No space left on device");
  REQUIRE(::dup3(pipe.in.get(), output.get(), O_CLOEXEC) == output.get());

  log::info("written");

  const auto text = pipe.readUntil("that could not be written: No space left on device\n");
  CHECK(text.find("lost") == std::string::npos);
  CHECK(text.find("written\n… and 1 line") != std::string::npos);
}
