// The first frame of a connection, and its answer.
#include "common/base/limits.h"
#include "common/wire/hello.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto payload = fuzz::view(data, size);
  fuzz::checkMessage(payload, wire::decodeHello);
  fuzz::checkMessage(payload, wire::decodeWelcome);
  if (const auto hello = wire::decodeHello(payload)) {
    const auto welcome = wire::decodeWelcome(wire::encode(wire::welcomeFor(*hello)));
    fuzz::require(welcome.ok(), "the answer to any Hello is a Welcome");
    fuzz::require(welcome->version >= hello->versionLeast && welcome->version <= hello->versionMost,
                  "of a version that the dialler speaks");
  }
  const auto failure = wire::decodeWelcome(payload);
  if (!failure) {
    const wire::Failure sent{failure.error().code, failure.error().message};
    fuzz::require(sent.message.size() <= limits::kMessageBytes, "a failure's sentence is bounded");
    const auto again = wire::decodeWelcome(wire::encode(sent));
    fuzz::require(!again.ok() && again.error() == failure.error(), "a failure reads back");
  }
  return 0;
}
