// Messages of a link, searches among them.
#include "common/wire/link_codec.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::checkMessage(fuzz::view(data, size), wire::decodeLink);
  return 0;
}
