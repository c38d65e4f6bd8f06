// Messages from any program to a metaserver.
#include "common/wire/registry_codec.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::checkMessage(fuzz::view(data, size), wire::decodeRegistryRequest);
  return 0;
}
