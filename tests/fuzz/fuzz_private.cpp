// Messages of a connection for private messages.
#include "common/wire/private_codec.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::checkMessage(fuzz::view(data, size), wire::decodePrivate);
  return 0;
}
