// Messages of a link between two peers, with those of searches.
#include "common/wire/link_codec.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::checkMessage(fuzz::view(data, size), wire::decodeLink);
  return 0;
}
