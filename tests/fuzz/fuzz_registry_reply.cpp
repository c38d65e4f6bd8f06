// Messages from a metaserver, or from a program that claims to be one, to a peer.
#include "common/wire/registry_codec.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::checkMessage(fuzz::view(data, size), wire::decodeRegistryReply);
  return 0;
}
